import hashlib
import tempfile
from collections.abc import Callable
from pathlib import Path
from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from sanefit.components.foundation.errors import BadInputError, DataError, StorageError
from sanefit.components.foundation.image_dataset import pixel_files, shard_rows
from sanefit.components.foundation.image_dataset.shards import (
    SplitImages,
    blocks_of,
    open_split,
    read_manifest,
    read_split,
    snapshot_folder,
)
from sanefit.components.foundation.schemas.images import (
    SPLITS,
    DatasetReference,
    Manifest,
    Shard,
    SplitIndex,
    SplitName,
)
from sanefit.components.foundation.storage.layout import MANIFEST_FILE

Pixels = NDArray[np.uint8]
SHAPE = (3, 2, 3)


def some_pixels(count: int, seed: int = 0) -> Pixels:
    return np.random.default_rng(seed).integers(0, 256, (count, *SHAPE), dtype=np.uint8)


def saved(path: Path, array: NDArray[np.generic]) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    np.save(path, array)
    return hashlib.sha256(path.read_bytes()).hexdigest()


def make_snapshot(
    storage: Path, files: list[Pixels], splits: dict[SplitName, list[tuple[int, int, int]]]
) -> DatasetReference:
    """Files of pixels, and for each split the (file, row, label) of its images."""
    folder, listed = storage / "snapshots" / "f", []
    for number, pixels in enumerate(files):
        path = f"decoded/{number}.npy"
        listed.append(Shard(path=path, sha256=saved(storage / path, pixels), images=len(pixels)))
    indices = {}
    for split in SPLITS:
        index = np.array(splits.get(split, []), dtype=np.int64).reshape(-1, 3)
        file = f"{split}.index.npy"
        sha256 = saved(folder / file, index)
        indices[split] = SplitIndex(images=len(index), index_file=file, index_sha256=sha256)
    manifest = Manifest(
        fingerprint="f",
        class_names=["cat", "dog"],
        image_shape=SHAPE,
        images_per_class={},
        splits=indices,
        shards=listed,
    )
    (folder / MANIFEST_FILE).write_text(manifest.model_dump_json())
    return DatasetReference(storage=str(storage), fingerprint="f")


def snapshot_of_one(storage: Path, images: int = 4) -> tuple[DatasetReference, Pixels]:
    pixels = some_pixels(images)
    return make_snapshot(storage, [pixels], {"train": [(0, row, row % 2) for row in range(images)]}), pixels


@st.composite
def layouts(draw: st.DrawFn) -> tuple[list[int], dict[SplitName, list[tuple[int, int, int]]]]:
    """Sizes of files, and their rows dealt to the splits in any order; some belong to none."""
    sizes = draw(st.lists(st.integers(1, 9), min_size=1, max_size=4))
    rows = draw(st.permutations([(file, row) for file, size in enumerate(sizes) for row in range(size)]))
    cuts = sorted(draw(st.tuples(*[st.integers(0, len(rows))] * 3)))
    labeled = [(file, row, draw(st.integers(0, 1))) for file, row in rows]
    return sizes, {
        "train": labeled[: cuts[0]],
        "validation": labeled[cuts[0] : cuts[1]],
        "test": labeled[cuts[1] : cuts[2]],
    }


@settings(deadline=None, max_examples=60)
@given(layouts(), st.randoms(use_true_random=False), st.integers(1, 3), st.integers(1, 5))
def test_however_a_split_is_read_its_images_are_those_of_its_index(
    layout: tuple[list[int], dict[SplitName, list[tuple[int, int, int]]]], random: Random, opened: int, at_once: int
) -> None:
    sizes, splits = layout
    files = [some_pixels(size, seed) for seed, size in enumerate(sizes)]
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(pixel_files, "OPEN_FILES", opened)
        patch.setattr(shard_rows, "READ_AT_ONCE", at_once)
        dataset = make_snapshot(Path(folder), files, splits)
        for split, members in splits.items():
            expected = np.array([files[file][row] for file, row, _ in members], np.uint8).reshape(-1, *SHAPE)
            pixels, labels = read_split(dataset, split)
            np.testing.assert_array_equal(pixels, expected)
            assert labels.tolist() == [label for _, _, label in members]
            images = open_split(dataset, split)
            assert len(images) == len(members)
            numbers = np.array([random.randrange(len(members)) for _ in range(7 if members else 0)], np.int64)
            np.testing.assert_array_equal(images.read(numbers), expected[numbers])
            if members:
                np.testing.assert_array_equal(np.concatenate(list(images.batches(at_once))), expected)
                in_files = np.concatenate(list(images.blocks()))
                rows = sorted((file, row) for file, row, _ in members)
                np.testing.assert_array_equal(in_files, [files[file][row] for file, row in rows])


def test_only_the_files_of_the_split_that_is_asked_for_are_read(tmp_path: Path) -> None:
    files = [some_pixels(3, seed) for seed in range(3)]
    dataset = make_snapshot(tmp_path, files, {"train": [(0, 0, 0), (2, 1, 1)], "test": [(1, 0, 0)]})
    (tmp_path / "decoded" / "1.npy").unlink()
    assert len(read_split(dataset, "train")[1]) == 2
    with pytest.raises(BadInputError, match=r"1\.npy"):
        read_split(dataset, "test")


def test_a_split_in_memory_may_be_written_to(tmp_path: Path) -> None:
    dataset, expected = snapshot_of_one(tmp_path)
    pixels, labels = read_split(dataset, "train")
    pixels[0], labels[0] = 1, 1
    np.testing.assert_array_equal(read_split(dataset, "train")[0], expected)  # the files are as they were


def test_blocks_of_whole_files_are_not_copied(tmp_path: Path) -> None:
    dataset, _ = snapshot_of_one(tmp_path)
    [shard] = open_split(dataset, "train").shards
    [block] = blocks_of(shard)
    assert isinstance(block, np.memmap)


def paths_of(dataset: DatasetReference) -> list[Path]:
    images = open_split(dataset, "train")
    return [*(shard.path for shard in images.shards if shard.path), Path(snapshot_folder(dataset), "train.index.npy")]


@settings(max_examples=40)
@given(st.sampled_from([0, 1]), st.floats(0, 1, exclude_max=True), st.integers(1, 255))
def test_a_changed_byte_anywhere_is_an_error_that_names_the_file(which: int, place: float, change: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        dataset, _ = snapshot_of_one(Path(folder))
        path = paths_of(dataset)[which]
        content = bytearray(path.read_bytes())
        content[int(place * len(content))] ^= change
        path.write_bytes(content)
        with pytest.raises(DataError) as raised:
            read_split(dataset, "train")
    assert str(path) in str(raised.value)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("damage", [lambda content: content[:-1], lambda content: content + b"\0", lambda _: b""])
def test_a_file_of_another_length_is_an_error_that_names_it(damage: Callable[[bytes], bytes], tmp_path: Path) -> None:
    dataset, _ = snapshot_of_one(tmp_path)
    path = paths_of(dataset)[0]
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(DataError, match=str(path)):
        read_split(dataset, "train")


def test_a_file_that_is_cut_off_after_it_was_opened_is_an_error_and_no_crash(tmp_path: Path) -> None:
    dataset, pixels = snapshot_of_one(tmp_path)
    images: SplitImages = open_split(dataset, "train")
    np.testing.assert_array_equal(images.read(np.array([3])), pixels[3:])
    path = paths_of(dataset)[0]
    with path.open("r+b") as opened:
        opened.truncate(path.stat().st_size - 1)
    with pytest.raises(DataError, match="cut off"):
        images.read(np.array([3]))


def test_two_files_that_changed_places_are_an_error(tmp_path: Path) -> None:
    dataset = make_snapshot(tmp_path, [some_pixels(4), some_pixels(4, 1)], {"train": [(0, 0, 0), (1, 0, 1)]})
    first, second = paths_of(dataset)[:2]
    one, other = first.read_bytes(), second.read_bytes()
    first.write_bytes(other)
    second.write_bytes(one)
    with pytest.raises(DataError, match=first.name):
        read_split(dataset, "train")


@pytest.mark.parametrize("which", [0, 1])
def test_a_missing_file_is_an_error_of_one_line_that_names_it(which: int, tmp_path: Path) -> None:
    dataset, _ = snapshot_of_one(tmp_path)
    path = paths_of(dataset)[which]
    path.unlink()
    with pytest.raises(BadInputError) as raised:
        read_split(dataset, "train")
    assert str(path) in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_missing_manifest_is_a_storage_error_that_names_it(tmp_path: Path) -> None:
    with pytest.raises(StorageError) as raised:
        read_manifest(DatasetReference(storage=str(tmp_path / "gone"), fingerprint="f"))
    assert str(tmp_path / "gone") in str(raised.value)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("content", ["", '{"format_version": 2}', "{"])
def test_a_broken_manifest_is_an_error_of_one_line_that_names_it(content: str, tmp_path: Path) -> None:
    dataset, _ = snapshot_of_one(tmp_path)
    Path(snapshot_folder(dataset), MANIFEST_FILE).write_text(content)
    with pytest.raises(BadInputError) as raised:
        read_manifest(dataset)
    assert str(tmp_path) in str(raised.value)
    assert "\n" not in str(raised.value)
