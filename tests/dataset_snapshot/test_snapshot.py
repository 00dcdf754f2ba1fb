import hashlib
import io
import os
import resource
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from columns_by_hand import listed_images
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from said import Said

from sanefit.components.dataset_snapshot import distinct as distinct_module
from sanefit.components.dataset_snapshot import new_images, part_writer, reading
from sanefit.components.dataset_snapshot.digest_table import digests_in
from sanefit.components.dataset_snapshot.distinct import distinct_images
from sanefit.components.dataset_snapshot.listed_images import ListedImage
from sanefit.components.dataset_snapshot.snapshot import take_snapshot
from sanefit.components.dataset_snapshot.split_codes import codes_of
from sanefit.components.foundation.errors import DataError, StorageError
from sanefit.components.foundation.image_dataset.shards import open_split, read_manifest, read_split, snapshot_folder
from sanefit.components.foundation.image_dataset.sources.local_file import LocalFile
from sanefit.components.foundation.image_dataset.splits import content_digest, split_of
from sanefit.components.foundation.schemas.data_settings import DataSettings
from sanefit.components.foundation.schemas.images import SPLITS, DatasetReference, SplitName

ImageFolder = Callable[..., Path]
Settings = DataSettings


@pytest.fixture
def storage(tmp_path: Path) -> str:
    return str(tmp_path / "storage")


def snapshot_of(root: Path, storage: str, workers: int | None = None, **options: float) -> DatasetReference:
    return take_snapshot(DataSettings(source=f"folder:{root}", **options), storage, Said(), workers)


def require_enough(settings: DataSettings, images: list[ListedImage]) -> None:
    distinct_module.require_classes(settings, listed_images(images))
    distinct_module.require_splits(settings, listed_images(images))


def oracle_split(content: bytes, validation: float = 0.15, test: float = 0.15) -> str:
    position = int(hashlib.sha256(content).hexdigest()[:16], 16) / 2**64
    return "test" if position < test else "validation" if position < test + validation else "train"


def image_files(root: Path) -> list[Path]:
    return sorted(path for path in root.rglob("*.png"))


def pixels_of(path: Path) -> bytes:
    with Image.open(path) as image:
        return image.convert("RGB").tobytes()


def named_by(path: Path) -> bytes:
    """What the digest of an image is taken of: its shape, and its pixels."""
    with Image.open(path) as image:
        return f"({image.height}, {image.width}, 3) ".encode() + image.convert("RGB").tobytes()


def splits_by_pixels(dataset: DatasetReference) -> dict[bytes, str]:
    return {pixels.tobytes(): split for split in SPLITS for pixels in read_split(dataset, split)[0]}


def test_every_image_is_kept_once_in_its_split_with_its_class(image_folder: ImageFolder, storage: str) -> None:
    root = image_folder({"zebra": 20, "Äpfel": 25, "cat": 30})
    dataset = snapshot_of(root, storage)
    names = read_manifest(dataset).class_names
    assert names == sorted(["zebra", "Äpfel", "cat"])
    kept = Counter(
        (split, names[label], pixels.tobytes())
        for split in SPLITS
        for pixels, label in zip(*read_split(dataset, split), strict=True)
    )
    expected = Counter((oracle_split(named_by(path)), path.parent.name, pixels_of(path)) for path in image_files(root))
    assert kept == expected


def test_the_manifest_counts_what_is_there(image_folder: ImageFolder, storage: str) -> None:
    root = image_folder({"cat": 30, "dog": 25}, size=(6, 5))
    (root / "README.md").write_text("about")
    (root / "cat" / "labels.csv").write_text("1")
    manifest = read_manifest(snapshot_of(root, storage))
    counted = Counter((oracle_split(named_by(path)), path.parent.name) for path in image_files(root))
    assert manifest.images_per_class == {
        split: {name: counted[split, name] for name in ("cat", "dog")} for split in SPLITS
    }
    assert manifest.image_shape == (5, 6, 3)
    assert {passed.reason: passed.files for passed in manifest.passed_over} == {
        "no picture (.md)": 1,
        "no picture (.csv)": 1,
    }
    assert sum(shard.images for shard in manifest.shards) == 55


def test_the_files_are_those_of_the_manifest_and_there_is_nothing_else(image_folder: ImageFolder, storage: str) -> None:
    dataset = snapshot_of(image_folder({"cat": 30, "dog": 30}), storage)
    manifest = read_manifest(dataset)
    folder, expected = (
        Path(snapshot_folder(dataset)),
        {Path(snapshot_folder(dataset), name) for name in ("manifest.json", "names.npz", "last-use")},
    )
    for index in manifest.splits.values():
        assert hashlib.sha256((folder / index.index_file).read_bytes()).hexdigest() == index.index_sha256
        assert hashlib.sha256((folder / index.facts_file).read_bytes()).hexdigest() == index.facts_sha256
        expected |= {folder / index.index_file, folder / index.facts_file}
    for shard in manifest.shards:
        path = Path(storage, shard.path)
        assert hashlib.sha256(path.read_bytes()).hexdigest() == shard.sha256
        assert np.load(path).shape == (shard.images, 5, 6, 3)
        expected |= {path, path.with_name("images.npz")}
    [ledger] = Path(storage, "splits").glob("*/*.npz")
    expected.add(ledger)
    assert {path for path in Path(storage).rglob("*") if path.is_file()} == expected


def test_the_images_of_a_split_are_shuffled(image_folder: ImageFolder, storage: str) -> None:
    labels = read_split(snapshot_of(image_folder({"cat": 100, "dog": 100}), storage), "train")[1]
    changes = int(np.count_nonzero(np.diff(labels)))
    assert changes > len(labels) / 4  # one class after the other would change once


def test_small_shards_hold_the_same_images(
    image_folder: ImageFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = image_folder({"cat": 30, "dog": 30})
    whole = snapshot_of(root, str(tmp_path / "whole"))
    monkeypatch.setattr(part_writer, "SHARD_BYTES", 8 * 5 * 6 * 3)
    monkeypatch.setattr(new_images, "BATCH_IMAGES", 2)
    cut = snapshot_of(root, str(tmp_path / "cut"))
    assert max(shard.images for shard in read_manifest(cut).shards) in (8, 9)  # a batch is taken whole
    assert len(read_manifest(cut).shards) > 6
    for split in SPLITS:
        for one, other in zip(read_split(whole, split), read_split(cut, split), strict=True):
            np.testing.assert_array_equal(one, other)


def png(seed: int) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(np.random.default_rng(seed).integers(0, 256, (3, 4, 3), dtype=np.uint8)).save(buffer, "PNG")
    return buffer.getvalue()


IMAGES = [(("cat", "dog")[number % 2], png(number)) for number in range(40)]
HALVES = {"validation_fraction": 0.3, "test_fraction": 0.3}


def content_of(dataset: DatasetReference) -> list[Any]:
    manifest = read_manifest(dataset)
    splits = [(pixels.tobytes(), labels.tolist()) for pixels, labels in (read_split(dataset, s) for s in SPLITS)]
    return [manifest.class_names, manifest.images_per_class, manifest.image_shape, *splits]


def pack(where: Path, files: list[tuple[str, bytes]], kind: str) -> str:
    if kind == "folder":
        for name, content in files:
            (where / name).parent.mkdir(parents=True, exist_ok=True)
            (where / name).write_bytes(content)
    else:
        with tarfile.open(where, kind) as tar:
            for name, content in files:
                member = tarfile.TarInfo(name)
                member.size = len(content)
                tar.addfile(member, io.BytesIO(content))
    return f"{'folder' if kind == 'folder' else 'tar'}:{where}"


@pytest.mark.slow
@settings(max_examples=12, deadline=None)
@given(st.permutations(range(40)), st.sampled_from(["folder", "w", "w:gz"]), st.sampled_from(["", "train/"]))
def test_neither_order_nor_names_nor_packing_change_a_snapshot(order: list[int], kind: str, prefix: str) -> None:
    in_order = [(f"{class_name}/{number}.png", content) for number, (class_name, content) in enumerate(IMAGES)]
    shuffled = [(f"{prefix}{IMAGES[n][0]}/{place:03}.png", IMAGES[n][1]) for place, n in enumerate(order)]
    with tempfile.TemporaryDirectory() as folder:
        sources = [pack(Path(folder, "a"), in_order, "folder"), pack(Path(folder, "b"), shuffled, kind)]
        one, other = (
            take_snapshot(DataSettings(source=source, **HALVES), f"{folder}/storage-{number}", Said())
            for number, source in enumerate(sources)
        )
        assert one.fingerprint == other.fingerprint
        assert content_of(one) == content_of(other)


@given(st.sets(st.binary(max_size=6), min_size=1, max_size=25), st.integers(1, 49), st.integers(1, 49))
def test_a_split_is_a_function_of_the_content_alone(contents: set[bytes], validation: int, test: int) -> None:
    for content in contents:
        got = split_of(content_digest(content), validation / 100, test / 100)
        assert got == oracle_split(content, validation / 100, test / 100)


@pytest.mark.slow
def test_a_thousand_more_images_move_no_old_one_and_only_they_are_read(
    image_folder: ImageFolder, storage: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = image_folder({"cat": 400, "dog": 400})
    before = splits_by_pixels(snapshot_of(root, storage, workers=1))
    added = image_folder({"cat": 500, "dog": 500}, name="more", seed=1)
    for path in image_files(added):
        path.rename(root / path.parent.name / f"new-{path.name}")
    seen, read = [], LocalFile.read

    def recording(location: LocalFile) -> bytes:
        seen.append(Path(location.path).name)
        return read(location)

    monkeypatch.setattr(LocalFile, "read", recording)
    second = snapshot_of(root, storage, workers=1)
    assert len(seen) == 1000
    assert all(name.startswith("new-") for name in seen)
    after = splits_by_pixels(second)
    assert len(after) == 1800
    assert before.items() <= after.items()


def test_a_moved_image_is_read_but_not_decoded_again(
    image_folder: ImageFolder, storage: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = image_folder({"cat": 30, "dog": 30})
    first = snapshot_of(root, storage)
    for path in image_files(root):
        path.rename(path.with_name(f"moved-{path.name}"))
    monkeypatch.setattr(reading, "decode_image", must_not_decode)
    assert snapshot_of(root, storage) == first
    image_folder({"cat": 31, "dog": 30}, seed=9)
    with pytest.raises(AssertionError, match="decoded again"):
        snapshot_of(root, storage)


def must_not_decode(*_: object) -> None:
    raise AssertionError("decoded again")


@pytest.mark.parametrize("workers", [1, 2, 3])
def test_the_number_of_workers_does_not_change_a_byte(
    workers: int, image_folder: ImageFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(new_images, "BATCH_IMAGES", 7)
    root = image_folder({"cat": 60, "dog": 60})
    storages = [tmp_path / f"storage-{count}" for count in (1, workers)]
    for count, where in zip((1, workers), storages, strict=True):
        snapshot_of(root, str(where), workers=count)
    one, other = (
        {path.relative_to(where): path.read_bytes() for path in where.rglob("*") if path.suffix in (".npy", ".json")}
        for where in storages
    )
    assert one == other


@pytest.mark.slow
def test_a_snapshot_that_is_killed_goes_on_from_its_last_part(
    image_folder: ImageFolder, storage: str, tmp_path: Path
) -> None:
    root = image_folder({"cat": 300, "dog": 300})
    killed = f"""
import os
from sanefit.components.dataset_snapshot import new_images, part_writer
from sanefit.components.dataset_snapshot.snapshot import take_snapshot
from sanefit.components.foundation.schemas.data_settings import DataSettings
part_writer.SHARD_BYTES, new_images.BATCH_IMAGES = 100 * 90, 10
read = new_images.read_batch
def read_then_die(task):
    if task.pixels_file.name == "40.pixels":
        os.kill(os.getpid(), 9)
    return read(task)
new_images.read_batch = read_then_die
take_snapshot(DataSettings(source="folder:{root}"), {storage!r}, print, workers=1)
"""
    assert subprocess.run([sys.executable, "-c", killed], check=False).returncode == -9
    said = Said()
    dataset = take_snapshot(DataSettings(source=f"folder:{root}"), storage, said)
    new = int(said[0].split()[0])
    assert 200 <= new < 350
    assert said[0] == f"{new} of 600 images are new; the others are known from earlier snapshots"
    assert content_of(dataset) == content_of(snapshot_of(root, str(tmp_path / "undisturbed")))


def test_adding_images_keeps_the_split_of_every_old_one(image_folder: ImageFolder, storage: str) -> None:
    root = image_folder({"cat": 40, "dog": 40})
    first = snapshot_of(root, storage)
    before = splits_by_pixels(first)
    for path in image_files(root):
        path.rename(path.with_name(f"old-{path.name}"))
    image_folder({"cat": 25, "dog": 10, "ant": 30}, seed=1)
    second = snapshot_of(root, storage)
    after = splits_by_pixels(second)
    assert len(before) == 80
    assert len(after) == 145
    assert before.items() <= after.items()
    assert second.fingerprint != first.fingerprint
    assert splits_by_pixels(first) == before  # the old snapshot is still there


def test_another_validation_fraction_keeps_the_test_images(image_folder: ImageFolder, storage: str) -> None:
    root = image_folder({"cat": 60, "dog": 60})
    test_images = [
        {pixels for pixels, split in splits_by_pixels(dataset).items() if split == "test"}
        for dataset in (snapshot_of(root, storage, validation_fraction=share) for share in (0.1, 0.4))
    ]
    assert test_images[0] == test_images[1] != set()


def test_the_same_image_in_two_classes_is_a_conflict_and_left_out(image_folder: ImageFolder, storage: str) -> None:
    root = image_folder({"cat": 40, "dog": 40})
    copied = image_files(root / "cat")[:3]
    for path in copied:
        (root / "dog" / f"copy-{path.name}").write_bytes(path.read_bytes())
    said = Said()
    dataset = take_snapshot(DataSettings(source=f"folder:{root}"), storage, said)
    manifest = read_manifest(dataset)
    assert len(splits_by_pixels(dataset)) == 77
    assert splits_by_pixels(dataset).keys().isdisjoint(pixels_of(path) for path in copied)
    assert [conflict.class_names for conflict in manifest.label_conflicts] == [["cat", "dog"]] * 3
    expected = [sorted([str(path), str(root / "dog" / f"copy-{path.name}")]) for path in copied]
    assert [conflict.paths for conflict in manifest.label_conflicts] == expected
    assert sum("label conflict" in line for line in said) == 3


def test_a_duplicate_in_its_class_is_kept_once(image_folder: ImageFolder, storage: str) -> None:
    root = image_folder({"cat": 40, "dog": 40})
    for path in image_files(root / "cat")[:5]:
        (root / "cat" / f"copy-{path.name}").write_bytes(path.read_bytes())
    dataset = snapshot_of(root, storage)
    assert read_manifest(dataset).duplicates == 5
    assert sum(len(read_split(dataset, split)[1]) for split in SPLITS) == len(splits_by_pixels(dataset)) == 80


@given(st.lists(st.tuples(st.integers(0, 5), st.sampled_from(["cat", "dog", "owl"])), max_size=30))
def test_distinct_images_are_one_of_each_content_that_has_one_class(drawn: list[tuple[int, str]]) -> None:
    images = [listed(seed, name) for seed, name in drawn]
    distinct = distinct_images(listed_images(images))
    classes = {seed: {name for other, name in drawn if other == seed} for seed, _ in drawn}
    alone = {seed for seed, names in classes.items() if len(names) == 1}
    assert sorted(drawn[index][0] for index in distinct.indices.tolist()) == sorted(alone)
    assert distinct.indices.tolist() == sorted(distinct.indices.tolist())
    assert distinct.duplicates == sum(seed in alone for seed, _ in drawn) - len(alone)
    assert len(distinct.conflicts) == len(classes) - len(alone)


def listed(seed: int, class_name: str = "cat", split: SplitName = "train") -> ListedImage:
    return ListedImage(hashlib.sha256(str(seed).encode()).digest(), class_name, split)


def fingerprint_of(
    settings: DataSettings, images: list[ListedImage], placed: dict[bytes, tuple[SplitName, bytes]]
) -> str:
    codes = codes_of(placed[image.digest][0] if image.digest in placed else None for image in images)
    bundles = digests_in(placed.get(image.digest, ("", bytes(32)))[1] for image in images)
    return distinct_module.fingerprint_of(settings, listed_images(images), codes, bundles)


def by_definition(
    settings: DataSettings, images: list[ListedImage], placed: dict[bytes, tuple[SplitName, bytes]]
) -> str:
    digest = hashlib.sha256(f"5 {settings.decoding} {settings.max_bad_fraction!r} {settings.splits}".encode())
    for image in sorted(images, key=lambda image: (image.digest, image.class_name)):
        split, bundle = ("excluded", b"") if image.excluded else placed.get(image.digest, ("", b""))
        digest.update(image.digest + image.class_name.encode() + b"\0" + split.encode() + b"\0" + bundle)
    return digest.hexdigest()


@given(
    st.lists(st.tuples(st.integers(0, 9), st.sampled_from(["cat", "dog", "ü"]), st.booleans()), max_size=20), st.data()
)
def test_the_fingerprint_is_that_of_the_images_one_by_one(
    drawn: list[tuple[int, str, bool]], data: st.DataObject
) -> None:
    images = [replace(listed(seed, name), excluded=excluded) for seed, name, excluded in drawn]
    splits = st.sampled_from(SPLITS)
    placed = {listed(seed).digest: (data.draw(splits), listed(seed + 1).digest) for seed in range(0, 10, 2)}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(distinct_module, "HASHED_AT_ONCE", data.draw(st.integers(1, 5)))
        assert fingerprint_of(Settings(), images, placed) == by_definition(Settings(), images, placed)


def test_the_fingerprint_knows_images_classes_and_settings() -> None:
    images = [listed(0), listed(1, "dog"), listed(2)]
    trained: dict[bytes, tuple[SplitName, bytes]] = {image.digest: ("train", image.digest) for image in images}
    first, last = images[0].digest, images[2].digest
    variants = [
        fingerprint_of(Settings(), images, trained),
        fingerprint_of(Settings(), images[:2], trained),
        fingerprint_of(Settings(), [*images, listed(2)], trained),
        fingerprint_of(Settings(), [listed(0), listed(1, "cow"), listed(2)], trained),
        fingerprint_of(Settings(), [listed(0), listed(1), listed(2, "dog")], trained),
        fingerprint_of(Settings(image_size=8), images, trained),
        fingerprint_of(Settings(image_size=9), images, trained),
        fingerprint_of(Settings(bit_depth=12), images, trained),
        fingerprint_of(Settings(), images, trained | {first: ("test", first)}),
        fingerprint_of(Settings(), images, trained | {first: ("validation", first)}),
        fingerprint_of(Settings(), images, trained | {first: ("train", last)}),
    ]
    assert len(set(variants)) == len(variants)
    assert all(len(fingerprint) == 64 for fingerprint in variants)


@given(st.permutations([listed(0), listed(0, "dog"), listed(1, "dog"), listed(2), listed(2)]))
def test_the_fingerprint_does_not_know_the_order(images: list[ListedImage]) -> None:
    placed: dict[bytes, tuple[SplitName, bytes]] = {
        listed(1).digest: ("train", b"1" * 32),
        listed(2).digest: ("test", b"2" * 32),
    }
    expected = fingerprint_of(Settings(), [listed(0), listed(0, "dog"), listed(1, "dog"), listed(2), listed(2)], placed)
    assert fingerprint_of(Settings(), images, placed) == expected


def test_sizes_and_modes_are_those_of_the_files(storage: str, tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    modes = {"RGB": 20, "L": 12, "RGBA": 8, "P": 5, "CMYK": 4}
    for mode, count in modes.items():
        for number in range(count):
            pixels = random.integers(0, 256, (10, 10 + number % 12, 3), dtype=np.uint8)
            folder = tmp_path / "images" / ("cat" if number % 2 else "dog")
            folder.mkdir(parents=True, exist_ok=True)
            picture = Image.fromarray(pixels).convert(mode)
            picture.save(folder / f"{mode}{number}.{'tif' if mode == 'CMYK' else 'png'}")
    heic = Path(__file__).parent.parent / "foundation" / "image_dataset" / "gradient.heic"
    shutil.copy(heic, tmp_path / "images" / "cat" / "photo.HEIC")
    manifest = read_manifest(snapshot_of(tmp_path / "images", storage, image_size=8))
    assert manifest.modes == {**modes, "RGB": 21}
    assert manifest.different_sizes == 13
    widths = Counter(10 + number % 12 for count in modes.values() for number in range(count))
    assert {(size.width, size.height, size.images) for size in manifest.sizes} <= {
        *((width, 10, count) for width, count in widths.items()),
        (32, 24, 1),
    }
    assert [size.images for size in manifest.sizes] == sorted(widths.values(), reverse=True)[:10]
    again = read_manifest(snapshot_of(tmp_path / "images", storage, image_size=8, max_bad_fraction=0.5))
    assert (again.modes, again.sizes) == (manifest.modes, manifest.sizes)


def test_blank_images_of_several_sizes_are_one_for_they_are_equal_once_scaled(
    image_folder: ImageFolder, storage: str
) -> None:
    root = image_folder({"cat": 30, "dog": 30})
    for number, color in enumerate([(200, 200, 200), (200, 200, 200), (200, 200, 201), (200, 200, 200)]):
        Image.new("RGB", (20 + number, 30), color).save(root / "cat" / f"blank{number}.png")
    manifest = read_manifest(snapshot_of(root, storage, image_size=16))
    assert manifest.duplicates == 2
    assert sum(index.images for index in manifest.splits.values()) == 62


def test_a_second_snapshot_of_unchanged_data_decodes_nothing(
    image_folder: ImageFolder, storage: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = image_folder({"cat": 30, "dog": 30})
    first = snapshot_of(root, storage)
    used = Path(snapshot_folder(first), "last-use")
    stamps = {path: path.stat().st_mtime_ns for path in used.parent.iterdir()}

    monkeypatch.setattr(reading, "decode_image", must_not_decode)
    with pytest.raises(AssertionError, match="decoded again"):
        snapshot_of(root, str(tmp_path / "other"))
    said = Said()
    assert take_snapshot(DataSettings(source=f"folder:{root}"), storage, said) == first
    stamps[used] = used.stat().st_mtime_ns
    assert {path: path.stat().st_mtime_ns for path in used.parent.iterdir()} == stamps
    assert "unchanged" in said[0]


def test_files_that_came_since_are_counted_though_no_image_did(image_folder: ImageFolder, storage: str) -> None:
    root = image_folder({"cat": 30, "dog": 30})
    first = snapshot_of(root, storage)
    for number in range(3):
        (root / "cat" / f"{number}.jxl").write_bytes(b"")
    said = Said()
    assert take_snapshot(DataSettings(source=f"folder:{root}"), storage, said) == first
    assert any("passed over 3 files" in line and ".jxl" in line for line in said)


def test_what_is_said_are_the_numbers_of_the_snapshot(image_folder: ImageFolder, storage: str) -> None:
    root, said = image_folder({"cat": 30, "dog": 30}, size=(6, 5)), Said()
    (root / "README.md").write_text("about")
    dataset = take_snapshot(DataSettings(source=f"folder:{root}"), storage, said)
    splits = Counter(oracle_split(named_by(path)) for path in image_files(root))
    counts = f"{splits['train']} train, {splits['validation']} validation, {splits['test']} test"
    assert said[0] == f"60 images of 6x5x3 in 2 classes: {counts}"
    assert any("passed over 1 file" in line for line in said)
    assert said[-1] == f"fingerprint {dataset.fingerprint[:16]}"


def test_a_class_without_test_images_is_warned_about(image_folder: ImageFolder, storage: str) -> None:
    root, said = image_folder({"cat": 60, "dog": 60}), Said()
    snapshot_of(root, storage)
    for path in image_files(root / "dog"):
        if oracle_split(named_by(path)) == "test":
            path.unlink()
    take_snapshot(DataSettings(source=f"folder:{root}"), storage, said)
    assert [line for line in said if "warning" in line] == ["warning: no test image of class dog"]


@pytest.mark.parametrize("size", [3, 16])
def test_image_size_resizes_every_image(size: int, image_folder: ImageFolder, storage: str) -> None:
    image_folder({"cat": 20, "dog": 20}, size=(9, 7))
    root = image_folder({"ant": 20}, size=(5, 30))
    dataset = snapshot_of(root, storage, image_size=size)
    assert read_manifest(dataset).image_shape == (size, size, 3)
    shapes = [read_split(dataset, split)[0].shape for split in SPLITS]
    assert all(shape[1:] == (size, size, 3) for shape in shapes)
    assert sum(shape[0] for shape in shapes) == 60


@pytest.mark.parametrize(("size", "shape"), [([6, 20], (6, 20, 3)), ([7, 7], (7, 7, 3))])
def test_image_size_may_be_a_rectangle(
    size: list[int], shape: tuple[int, int, int], image_folder: ImageFolder, storage: str
) -> None:
    root = image_folder({"cat": 20, "dog": 20}, size=(9, 12))
    dataset = snapshot_of(root, storage, image_size=size)
    assert read_manifest(dataset).image_shape == shape
    assert read_split(dataset, "train")[0].shape[1:] == shape


def test_a_square_is_the_same_setting_however_it_is_written(image_folder: ImageFolder, storage: str) -> None:
    root = image_folder({"cat": 20, "dog": 20}, size=(9, 12))
    assert snapshot_of(root, storage, image_size=[7, 7]) == snapshot_of(root, storage, image_size=7)


def test_the_digits_are_grey_8x8_images(digits: DatasetReference) -> None:
    manifest = read_manifest(digits)
    assert manifest.image_shape == (8, 8, 1)
    assert manifest.class_names == [str(digit) for digit in range(10)]
    assert sum(sum(counts.values()) for counts in manifest.images_per_class.values()) == 1797


def assert_refused(root: Path, storage: str, *culprits: str, source: str = "") -> None:
    """A DataError of one line that names the culprits, and no snapshot, nor half of anything, left behind."""
    with pytest.raises(DataError) as raised:
        take_snapshot(DataSettings(source=source or f"folder:{root}"), storage, Said())
    message = str(raised.value)
    assert "\n" not in message
    assert all(culprit in message for culprit in culprits), message
    assert not list(Path(storage).rglob("manifest.json"))
    assert not list(Path(storage).rglob(".partial-*"))


def test_images_of_two_sizes_are_refused(image_folder: ImageFolder, storage: str) -> None:
    image_folder({"cat": 20}, size=(6, 5))
    root = image_folder({"dog": 20}, size=(7, 5))
    culprits = (str(root / "dog" / "0000.png"), "7x5", str(root / "cat" / "0000.png"), "6x5", "data.image_size")
    assert_refused(root, storage, *culprits)


def test_images_on_their_side_are_refused(image_folder: ImageFolder, storage: str) -> None:
    image_folder({"cat": 20}, size=(6, 5))
    assert_refused(image_folder({"dog": 20}, size=(5, 6)), storage, "dog/0000.png", "5x6")


def test_a_single_class_is_refused(image_folder: ImageFolder, storage: str) -> None:
    root = image_folder({"cat": 30})
    assert_refused(root, storage, str(root), "'cat'", "at least 2")


@pytest.mark.parametrize(("count", "said"), [(1, "1 image;"), (2, "2 images;")])
def test_a_class_of_too_few_images_is_refused(count: int, said: str, image_folder: ImageFolder, storage: str) -> None:
    assert_refused(image_folder({"cat": 30, "okapi": count, "dog": 30}), storage, "'okapi'", said)


def test_an_empty_folder_is_refused(tmp_path: Path, storage: str) -> None:
    (tmp_path / "images" / "cat").mkdir(parents=True)
    assert_refused(tmp_path / "images", storage, "class folder 'cat' holds no image", "it is empty")
    (tmp_path / "images" / "cat").rmdir()
    assert_refused(tmp_path / "images", storage, str(tmp_path / "images"), "no images")


def test_a_missing_path_is_refused(tmp_path: Path, storage: str) -> None:
    assert_refused(tmp_path / "nowhere", storage, str(tmp_path / "nowhere"))
    assert_refused(tmp_path, storage, str(tmp_path / "no.tar"), source=f"tar:{tmp_path / 'no.tar'}")


def test_a_truncated_jpeg_is_refused(image_folder: ImageFolder, storage: str) -> None:
    root, buffer = image_folder({"cat": 30, "dog": 30}), io.BytesIO()
    pixels = np.random.default_rng(0).integers(0, 256, (50, 60, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(buffer, "JPEG")
    (root / "dog" / "broken.jpg").write_bytes(buffer.getvalue()[: len(buffer.getvalue()) // 2])
    assert_refused(root, storage, str(root / "dog" / "broken.jpg"))


@pytest.mark.parametrize("content", ["these are words\n" * 30, ""])
def test_a_text_file_with_the_name_of_an_image_is_refused(
    content: str, image_folder: ImageFolder, storage: str
) -> None:
    root = image_folder({"cat": 30, "dog": 30})
    (root / "cat" / "notes.png").write_text(content)
    assert_refused(root, storage, str(root / "cat" / "notes.png"))


def test_a_broken_image_in_a_tar_is_named(tmp_path: Path, storage: str) -> None:
    files = [(f"{class_name}/{number}.png", content) for number, (class_name, content) in enumerate(IMAGES)]
    source = pack(tmp_path / "images.tar", [*files, ("dog/broken.png", b"no image")], "w")
    assert_refused(tmp_path, storage, "dog/broken.png", source=source)


SPLIT_COUNTS = st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4), st.integers(0, 4)), max_size=3)


@given(SPLIT_COUNTS)
def test_enough_means_two_classes_trained_and_judged(per_class: list[tuple[int, int, int]]) -> None:
    images = [
        listed(0, f"class-{label}", split)
        for label, counts in enumerate(per_class)
        for split, count in zip(SPLITS, counts, strict=True)
        for _ in range(count)
    ]
    present = [counts for counts in per_class if sum(counts)]
    enough = (
        len(present) >= 2
        and all(sum(counts) >= 3 and counts[0] >= 1 for counts in present)
        and all(sum(counts[place] for counts in present) >= 1 for place in range(3))
    )
    if enough:
        require_enough(DataSettings(source="folder:x"), images)
    else:
        with pytest.raises(DataError) as raised:
            require_enough(DataSettings(source="folder:x"), images)
        assert "\n" not in str(raised.value)


@pytest.mark.parametrize("split", ["validation", "test"])
def test_an_empty_split_is_named(split: SplitName) -> None:
    other: SplitName = "test" if split == "validation" else "validation"
    images = [listed(0, name, kind) for name in ("cat", "dog") for kind in ("train", "train", other)]
    with pytest.raises(DataError, match=f"the {split} split is empty: 6 images"):
        require_enough(DataSettings(source="folder:x"), images)


def test_a_class_that_is_not_trained_is_named() -> None:
    images = [listed(0, name, split) for name in ("cat", "dog") for split in SPLITS]
    with pytest.raises(DataError, match="class 'cow' has no image in the training split"):
        require_enough(DataSettings(source="folder:x"), [*images, *[listed(0, "cow", "test")] * 3])


def test_what_an_interrupted_snapshot_left_is_replaced(image_folder: ImageFolder, storage: str) -> None:
    root = image_folder({"cat": 30, "dog": 30})
    folder = Path(snapshot_folder(snapshot_of(root, storage)))
    expected = {path.name: path.read_bytes() for path in folder.iterdir()}
    (folder / "manifest.json").unlink()
    (folder / "train.index.npy").write_bytes(b"half")
    (folder / "stray").write_bytes(b"")
    snapshot_of(root, storage)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == expected


def test_two_snapshots_of_the_same_data_at_once_both_succeed(
    image_folder: ImageFolder, storage: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    root, decode, others = image_folder({"cat": 30, "dog": 30}), reading.decode_image, []

    def decode_after_another_run(*arguments: Any) -> Any:
        monkeypatch.setattr(reading, "decode_image", decode)
        others.append(snapshot_of(root, storage))
        return decode(*arguments)

    monkeypatch.setattr(reading, "decode_image", decode_after_another_run)
    dataset = snapshot_of(root, storage)
    assert others == [dataset]
    assert len(splits_by_pixels(dataset)) == 60
    assert len(list(Path(snapshot_folder(dataset)).parent.iterdir())) == 1
    assert len(list(Path(storage, "decoded").glob("*/*"))) == 1


def test_a_storage_that_is_a_file_is_an_error_of_one_line_that_names_it(
    image_folder: ImageFolder, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError) as raised:
        snapshot_of(image_folder({"cat": 30, "dog": 30}), str(tmp_path / "file"))
    assert str(tmp_path / "file") in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_disk_that_fills_up_is_a_storage_error_that_leaves_nothing(image_folder: ImageFolder, storage: str) -> None:
    root = image_folder({"cat": 100, "dog": 100})
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, limits[1]))
    try:
        with pytest.raises(StorageError) as raised:
            snapshot_of(root, storage)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert "\n" not in str(raised.value)
    assert not [path for path in Path(storage).rglob("*") if path.is_file()]


@pytest.mark.parametrize("change", [lambda path: path.write_bytes(png(99)), lambda path: path.unlink()])
def test_an_image_that_changes_after_it_was_listed_is_refused(
    change: Callable[[Path], object], image_folder: ImageFolder, storage: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = image_folder({"cat": 30, "dog": 30})
    read_batch = new_images.read_batch

    def change_and_read(task: Any) -> Any:
        change(root / "dog" / "0003.png")
        return read_batch(task)

    monkeypatch.setattr(new_images, "read_batch", change_and_read)
    assert_refused(root, storage, str(root / "dog" / "0003.png"))


def test_a_class_name_that_is_no_text_is_refused(image_folder: ImageFolder, storage: str) -> None:
    root = image_folder({"cat": 30, "dog": 30})
    (root / "dog").rename(os.fsdecode(os.fsencode(root) + b"/d\xf6g"))
    assert_refused(root, storage, "d\\udcf6g")


def test_one_flipped_byte_is_found_when_it_is_read(image_folder: ImageFolder, storage: str) -> None:
    dataset = snapshot_of(image_folder({"cat": 30, "dog": 30}), storage)
    for split in SPLITS:
        index_file = Path(snapshot_folder(dataset), read_manifest(dataset).splits[split].index_file)
        for path in (index_file, *(shard.path for shard in open_split(dataset, split).shards)):
            whole = path.read_bytes()
            path.write_bytes(whole[:-9] + bytes([whole[-9] ^ 1]) + whole[-8:])
            with pytest.raises(DataError, match=str(path)) as raised:
                read_split(dataset, split)
            assert "\n" not in str(raised.value)
            path.write_bytes(whole)
            assert len(read_split(dataset, split)[1]) == read_manifest(dataset).splits[split].images
