"""What was held out is never trained on, whatever becomes of a data set."""

import json
import random
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from columns_by_hand import most_held_out
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from said import Said

from sanefit.components.dataset_snapshot.snapshot import take_snapshot
from sanefit.components.dataset_snapshot.split_ledger import ledger_folder, read_ledger, write_ledger
from sanefit.components.foundation.errors import StorageError
from sanefit.components.foundation.image_dataset.picture_content import as_gray, pixel_digest
from sanefit.components.foundation.image_dataset.shards import read_manifest, read_split, snapshot_folder
from sanefit.components.foundation.image_dataset.splits import content_digest, digest_array
from sanefit.components.foundation.schemas.data_settings import DataSettings
from sanefit.components.foundation.schemas.images import SPLITS, DatasetReference, SplitName
from sanefit.components.foundation.storage.layout import Storage

ImageFolder = Callable[..., Path]
HELD_OUT = ("validation", "test")
digests = st.binary(min_size=32, max_size=32)


def splits_of(dataset: DatasetReference) -> dict[bytes, str]:
    return {pixel_digest(as_gray(pixels)): split for split in SPLITS for pixels in read_split(dataset, split)[0]}


def snapshot_of(source: str, storage: Path, said: Said | None = None, **options: object) -> dict[bytes, str]:
    settings = DataSettings.model_validate({"source": source, **options})
    return splits_of(take_snapshot(settings, str(storage), Said() if said is None else said, workers=1))


@given(st.lists(st.dictionaries(digests, st.sampled_from(SPLITS), max_size=5), max_size=5), st.randoms())
def test_parts_say_the_same_in_whatever_order_they_were_written(
    parts: list[dict[bytes, SplitName]], shuffled: random.Random
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        written: dict[str, bytes] = {}
        module = "sanefit.components.dataset_snapshot.split_ledger.object_store"
        patch.setattr(f"{module}.write_bytes", written.__setitem__)
        patch.setattr(f"{module}.read_bytes", written.__getitem__)
        for part in parts:
            write_ledger("folder", part, [], DataSettings())
        names = [uri.rpartition("/")[2] for uri in written]
        shuffled.shuffle(names)
        patch.setattr(f"{module}.list_files", lambda _: names)
        expected = {
            digest: most_held_out([part[digest] for part in parts if digest in part])
            for digest in {digest for part in parts for digest in part}
        }
        assert read_ledger("folder").split_of == expected


def test_a_damaged_part_is_refused(tmp_path: Path) -> None:
    write_ledger(str(tmp_path), {b"x" * 32: "test"}, [], DataSettings())
    [part] = tmp_path.iterdir()
    part.write_bytes(part.read_bytes()[:-1])
    with pytest.raises(StorageError, match="is damaged; expected what its name says"):
        read_ledger(str(tmp_path))


def test_nothing_new_is_nothing_written(image_folder: ImageFolder, tmp_path: Path) -> None:
    source = f"folder:{image_folder({'cat': 30, 'dog': 30})}"
    snapshot_of(source, tmp_path)
    parts = sorted(Path(tmp_path, "splits").rglob("*.npz"))
    snapshot_of(source, tmp_path)
    assert sorted(Path(tmp_path, "splits").rglob("*.npz")) == parts
    assert len(parts) == 1


def encoded_anew(path: Path, draw: random.Random) -> None:
    """The same pixels in another kind of file."""
    with Image.open(path) as picture:
        picture.load()
    path.unlink()
    picture.save(path.with_suffix(draw.choice([".png", ".bmp", ".tiff", ".webp"])), lossless=True)


@pytest.mark.parametrize("seed", range(3))
def test_what_was_held_out_is_never_trained_on_however_the_set_grows(
    seed: int, image_folder: ImageFolder, tmp_path: Path
) -> None:
    """Twenty steps of additions, deletions, renamed and re-encoded files, and other shares of the splits."""
    draw, held_out = random.Random(seed), set[bytes]()
    root = image_folder({"cat": 12, "dog": 12, "fox": 5})
    for step in range(20):
        files = sorted(path for path in root.rglob("*") if path.is_file())
        for path in draw.sample(files, 6):
            encoded_anew(path, draw)
        for path in draw.sample(sorted(path for path in root.rglob("*") if path.is_file()), 4):
            path.rename(path.with_name(f"renamed-{step}-{path.name}"))
        for path in draw.sample(sorted((root / "cat").iterdir()), 2):
            path.unlink()
        for class_name in ("cat", "dog", "fox"):
            for number in range(draw.randint(1, 4)):
                noise = np.random.default_rng([seed, step, number, ord(class_name[0])]).integers(0, 256, (5, 6, 3))
                Image.fromarray(noise.astype(np.uint8)).save(root / class_name / f"new-{step}-{number}.png")
        shares = {"validation_fraction": draw.choice([0.1, 0.15, 0.3]), "test_fraction": draw.choice([0.1, 0.15, 0.3])}
        splits = snapshot_of(f"folder:{root}", tmp_path / "storage", **shares)
        assert not {digest for digest, split in splits.items() if split == "train"} & held_out
        held_out |= {digest for digest, split in splits.items() if split in HELD_OUT}


def test_a_source_under_another_name_is_dealt_as_before(image_folder: ImageFolder, tmp_path: Path) -> None:
    root = image_folder({"cat": 30, "dog": 30})
    before = snapshot_of(f"folder:{root}", tmp_path / "storage", test_fraction=0.3)
    shutil.move(root, tmp_path / "renamed")
    assert snapshot_of(f"folder:{tmp_path / 'renamed'}", tmp_path / "storage") == before


def test_an_image_that_its_source_moves_into_training_stays_held_out(image_folder: ImageFolder, tmp_path: Path) -> None:
    for number, split in enumerate(("train", "val", "test")):
        shutil.move(image_folder({"cat": 10, "dog": 10}, name=split, seed=number), tmp_path / "own" / split)
    root = tmp_path / "own"
    before = snapshot_of(f"folder:{root}", tmp_path / "storage", splits="own")
    moved = sorted((root / "test" / "cat").iterdir())[0]
    with Image.open(moved) as picture:
        digest = pixel_digest(as_gray(np.asarray(picture.convert("RGB"))))
    moved.rename(root / "train" / "cat" / "moved.png")
    said = Said()
    after = snapshot_of(f"folder:{root}", tmp_path / "storage", said, splits="own")
    assert before[digest] == after[digest] == "test"
    assert any("1 images of the source's training split" in line and "moved.png" in line for line in said)


def test_snapshots_without_a_ledger_say_where_images_were(image_folder: ImageFolder, tmp_path: Path) -> None:
    """As sanefit wrote them until 0.3: splits by the bytes of the files, whose digests the decoded images had."""
    root, storage = image_folder({"cat": 30, "dog": 30}), tmp_path / "storage"
    settings = DataSettings(source=f"folder:{root}")
    files = sorted(root.rglob("*.png"))
    draw = random.Random(0)
    where = {path: draw.choice(SPLITS) for path in files}
    write_old_snapshot(storage, where)
    seen = splits_of(take_snapshot(settings, str(storage), Said(), workers=1))
    for path, split in where.items():
        with Image.open(path) as picture:
            assert seen[pixel_digest(as_gray(np.asarray(picture.convert("RGB"))))] == split


def write_old_snapshot(storage: Path, where: dict[Path, SplitName]) -> None:
    part, snapshot = storage / "decoded" / "old" / "part", storage / "snapshots" / "old"
    part.mkdir(parents=True)
    snapshot.mkdir(parents=True)
    splits, arrays = {}, {}
    for number, split in enumerate(SPLITS):
        members = [path for path, of in where.items() if of == split]
        arrays[split] = digest_array(content_digest(path.read_bytes()) for path in members)
        np.save(snapshot / f"{split}.index.npy", np.array([(number, row, 0) for row in range(len(members))]))
        splits[split] = {"images": len(members), "index_file": f"{split}.index.npy", "index_sha256": ""}
    np.savez(part / "images.npz", **arrays)
    shards = [{"path": f"decoded/old/part/{split}.npy", "sha256": "", "images": 1} for split in SPLITS]
    (snapshot / "manifest.json").write_text(json.dumps({"format_version": 3, "splits": splits, "shards": shards}))


def test_the_same_pixels_in_two_kinds_of_file_are_one_image(image_folder: ImageFolder, tmp_path: Path) -> None:
    root, said = image_folder({"cat": 30, "dog": 30}), Said()
    for path in sorted((root / "cat").iterdir())[:7]:
        with Image.open(path) as picture:
            picture.save(path.with_suffix(".bmp"))
    settings = DataSettings(source=f"folder:{root}")
    dataset = take_snapshot(settings, str(tmp_path / "storage"), said)
    assert read_manifest(dataset).duplicates == 7
    assert len(splits_of(dataset)) == 60


def test_the_ledger_lies_where_documents_say(image_folder: ImageFolder, tmp_path: Path) -> None:
    settings = DataSettings(source=f"folder:{image_folder({'cat': 30, 'dog': 30})}")
    dataset = take_snapshot(settings, str(tmp_path), Said())
    folder = ledger_folder(settings, Storage(str(tmp_path)))
    assert Path(folder).parent == tmp_path / "splits"
    known = read_ledger(folder).split_of
    assert {digest: known[digest] for digest in splits_of(dataset)} == splits_of(dataset)
    assert Path(snapshot_folder(dataset)).is_dir()


def test_other_fractions_are_those_of_new_images_and_it_is_said(image_folder: ImageFolder, tmp_path: Path) -> None:
    root, said = image_folder({"cat": 30, "dog": 30}), Said()
    before = snapshot_of(f"folder:{root}", tmp_path / "storage")
    assert snapshot_of(f"folder:{root}", tmp_path / "storage", said, test_fraction=0.4) == before
    [line] = [line for line in said if "are those of new images" in line]
    assert "data.test_fraction=0.4" in line
    assert "60 that are known stay in their split" in line


def test_own_splits_begin_with_the_source_s_word(image_folder: ImageFolder, tmp_path: Path) -> None:
    """Whatever was held out of the same images when they were dealt by their content."""
    for number, split in enumerate(("train", "val", "test")):
        shutil.move(image_folder({"cat": 20, "dog": 20}, name=split, seed=number), tmp_path / "own" / split)
    snapshot_of(f"folder:{tmp_path / 'own' / 'train'}", tmp_path / "storage")
    said = Said()
    splits = snapshot_of(f"folder:{tmp_path / 'own'}", tmp_path / "storage", said, splits="own")
    assert sorted(splits.values()) == sorted(["train"] * 40 + ["validation"] * 40 + ["test"] * 40)
    assert not any("held out" in line for line in said)


def shapes_in(root: Path, count: int, seed: int = 0) -> None:
    random = np.random.default_rng(seed)
    for name in ("cat", "dog"):
        (root / name).mkdir(parents=True, exist_ok=True)
        for number in range(count):
            rough = Image.fromarray(random.integers(50, 180, (7, 7, 3), dtype=np.uint8))
            rough.resize((40, 40), Image.Resampling.BICUBIC).save(root / name / f"{number}.png")


def by_name(source: Path, storage: Path, **options: object) -> dict[str, str]:
    """The split of each picture, by its class and the name of its file without the ending."""
    settings = DataSettings.model_validate({"source": f"folder:{source}", **options})
    dataset = take_snapshot(settings, str(storage), Said(), workers=1)
    known = read_ledger(ledger_folder(settings, Storage(str(storage)))).split_of
    assert set(splits_of(dataset).items()) <= set(known.items()) or options
    return {f"{path.parent.name}/{path.stem}": known[content_digest(path.read_bytes())] for path in source.rglob("*.*")}


def test_a_set_that_is_encoded_anew_with_loss_stays_held_out(tmp_path: Path) -> None:
    shapes_in(tmp_path / "images", 60)
    before = by_name(tmp_path / "images", tmp_path / "storage")
    for path in sorted((tmp_path / "images").rglob("*.png")):
        with Image.open(path) as picture:
            picture.save(path.with_suffix(".jpg"), quality=90)
        path.unlink()
    assert by_name(tmp_path / "images", tmp_path / "storage") == before


@pytest.mark.parametrize("options", [{"background": (0, 0, 0)}, {"bit_depth": 12}])
def test_images_that_are_decoded_otherwise_stay_held_out(options: dict[str, object], tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    for name in ("cat", "dog"):
        (tmp_path / "images" / name).mkdir(parents=True)
        for number in range(40):
            path = tmp_path / "images" / name / f"{number}.png"
            if "bit_depth" in options:
                Image.fromarray(random.integers(0, 4096, (9, 9), dtype=np.uint16)).save(path)
            else:
                Image.fromarray(random.integers(0, 256, (9, 9, 4), dtype=np.uint8), "RGBA").save(path)
    before = by_name(tmp_path / "images", tmp_path / "storage")
    assert by_name(tmp_path / "images", tmp_path / "storage", **options) == before
