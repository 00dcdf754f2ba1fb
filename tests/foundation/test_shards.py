import hashlib
import io
import tempfile
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from components.foundation.artifacts import DatasetReference, Manifest, Shard, SplitName
from components.foundation.errors import BadInputError, DataError, StorageError
from components.foundation.image_dataset.shards import (
    MANIFEST_FILE,
    iterate_shards,
    read_manifest,
    read_split,
    write_shard,
)

Images = tuple[NDArray[np.uint8], NDArray[np.int64]]


def some_images(count: int, seed: int = 0) -> Images:
    random = np.random.default_rng(seed)
    return random.integers(0, 256, (count, 3, 2, 3), dtype=np.uint8), random.integers(0, 2, count)


def make_snapshot(folder: Path, parts: list[tuple[SplitName, Images]]) -> DatasetReference:
    """A folder of shards with its manifest, numbered per split."""
    numbers = dict.fromkeys(get_args(SplitName), 0)
    shards: list[Shard] = []
    for split, (pixels, labels) in parts:
        shards.append(write_shard(folder, split, numbers[split], pixels, labels))
        numbers[split] += 1
    manifest = Manifest(
        fingerprint="f",
        class_names=["cat", "dog"],
        image_shape=(3, 2, 3),
        images_per_class={},
        ignored_files=0,
        shards=shards,
    )
    (folder / MANIFEST_FILE).write_text(manifest.model_dump_json())
    return DatasetReference(folder_uri=str(folder), fingerprint="f")


def test_a_shard_comes_back_as_it_was_written(tmp_path: Path) -> None:
    pixels, labels = some_images(5)
    ((seen_pixels, seen_labels),) = iterate_shards(make_snapshot(tmp_path, [("train", (pixels, labels))]), "train")
    assert (seen_pixels.dtype, seen_labels.dtype) == (np.uint8, np.int64)
    np.testing.assert_array_equal(seen_pixels, pixels)
    np.testing.assert_array_equal(seen_labels, labels)


def test_the_files_are_plain_npy_with_their_sha256(tmp_path: Path) -> None:
    pixels, labels = some_images(5)
    shard = write_shard(tmp_path, "test", 12, pixels, labels)
    assert (shard.split, shard.images) == ("test", 5)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([shard.pixels_file, shard.labels_file])
    for file, sha256, array in (
        (shard.pixels_file, shard.pixels_sha256, pixels),
        (shard.labels_file, shard.labels_sha256, labels),
    ):
        content = (tmp_path / file).read_bytes()
        assert hashlib.sha256(content).hexdigest() == sha256
        np.testing.assert_array_equal(np.load(io.BytesIO(content)), array)


def test_the_same_images_give_the_same_bytes(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    pixels, labels = some_images(5)
    one, other = (write_shard(tmp_path / folder, "train", 0, pixels.copy(), labels) for folder in ("a", "b"))
    assert one == other
    for path in (tmp_path / "a").iterdir():
        assert path.read_bytes() == (tmp_path / "b" / path.name).read_bytes()


def test_only_the_split_that_is_asked_for_is_read(tmp_path: Path) -> None:
    dataset = make_snapshot(
        tmp_path, [("train", some_images(4)), ("test", some_images(3, 1)), ("train", some_images(2, 2))]
    )
    assert [len(labels) for _, labels in iterate_shards(dataset, "train")] == [4, 2]
    assert [len(labels) for _, labels in iterate_shards(dataset, "test")] == [3]
    (tmp_path / read_manifest(dataset).shards[1].pixels_file).unlink()
    assert len(read_split(dataset, "train")[1]) == 6


@settings(max_examples=25)
@given(st.lists(st.integers(1, 6), min_size=1, max_size=5))
def test_a_split_is_its_shards_end_to_end(sizes: list[int]) -> None:
    pixels, labels = some_images(sum(sizes))
    bounds = np.cumsum([0, *sizes])
    parts: list[tuple[SplitName, Images]] = [
        ("validation", (pixels[start:end], labels[start:end])) for start, end in pairwise(bounds)
    ]
    with tempfile.TemporaryDirectory() as folder:
        seen_pixels, seen_labels = read_split(make_snapshot(Path(folder), parts), "validation")
    np.testing.assert_array_equal(seen_pixels, pixels)
    np.testing.assert_array_equal(seen_labels, labels)


@pytest.mark.parametrize("shards", [1, 2])
def test_a_split_in_memory_may_be_written_to(shards: int, tmp_path: Path) -> None:
    dataset = make_snapshot(tmp_path, [("train", some_images(3))] * shards)
    pixels, labels = read_split(dataset, "train")
    pixels[0], labels[0] = 1, 1
    read_split(dataset, "train")  # the files are as they were


@settings(max_examples=40)
@given(st.booleans(), st.floats(0, 1, exclude_max=True), st.integers(1, 255))
def test_a_changed_byte_anywhere_is_an_error_that_names_the_shard(labels: bool, place: float, change: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        dataset = make_snapshot(Path(folder), [("train", some_images(4))])
        (shard,) = read_manifest(dataset).shards
        path = Path(folder, shard.labels_file if labels else shard.pixels_file)
        content = bytearray(path.read_bytes())
        content[int(place * len(content))] ^= change
        path.write_bytes(content)
        with pytest.raises(DataError) as raised:
            read_split(dataset, "train")
    assert path.name in str(raised.value)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("damage", [lambda content: content[:-1], lambda content: content + b"\0", lambda _: b""])
def test_a_shard_of_another_length_is_an_error_that_names_it(damage: Callable[[bytes], bytes], tmp_path: Path) -> None:
    dataset = make_snapshot(tmp_path, [("train", some_images(4))])
    path = tmp_path / read_manifest(dataset).shards[0].pixels_file
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(DataError, match=path.name):
        read_split(dataset, "train")


def test_two_shards_that_changed_places_are_an_error(tmp_path: Path) -> None:
    dataset = make_snapshot(tmp_path, [("train", some_images(4)), ("train", some_images(4, 1))])
    first, second = (tmp_path / shard.pixels_file for shard in read_manifest(dataset).shards)
    one, other = first.read_bytes(), second.read_bytes()
    first.write_bytes(other)
    second.write_bytes(one)
    with pytest.raises(DataError, match=first.name):
        read_split(dataset, "train")


def test_a_missing_shard_is_an_error_of_one_line_that_names_it(tmp_path: Path) -> None:
    dataset = make_snapshot(tmp_path, [("train", some_images(4))])
    path = tmp_path / read_manifest(dataset).shards[0].labels_file
    path.unlink()
    with pytest.raises(BadInputError) as raised:
        read_split(dataset, "train")
    assert path.name in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_missing_manifest_is_a_storage_error_that_names_it(tmp_path: Path) -> None:
    with pytest.raises(StorageError) as raised:
        read_manifest(DatasetReference(folder_uri=str(tmp_path / "gone"), fingerprint="f"))
    assert str(tmp_path / "gone") in str(raised.value)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("content", ["", '{"format_version": 2}', "{"])
def test_a_broken_manifest_is_an_error_of_one_line_that_names_it(content: str, tmp_path: Path) -> None:
    dataset = make_snapshot(tmp_path, [("train", some_images(4))])
    (tmp_path / MANIFEST_FILE).write_text(content)
    with pytest.raises(BadInputError) as raised:
        read_manifest(dataset)
    assert str(tmp_path) in str(raised.value)
    assert "\n" not in str(raised.value)
