"""What does not fit on this machine's disk is refused before anything of it is copied."""

import pickle
import shutil
import tempfile
import uuid
from collections import namedtuple
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from said import Said

from sanefit.components.channel_stats.channel_stats import measure_channel_stats
from sanefit.components.foundation.errors import DataError, StorageError
from sanefit.components.foundation.image_dataset import shard_rows
from sanefit.components.foundation.image_dataset.shards import open_split, read_manifest, snapshot_folder
from sanefit.components.foundation.image_dataset.sources.listing import list_source
from sanefit.components.foundation.machine.devices import CPU
from sanefit.components.foundation.schemas.images import DatasetReference, Manifest
from sanefit.components.foundation.schemas.networks import TwoLayerSettings
from sanefit.components.foundation.schemas.statistics import ChannelStats, StatsSettings
from sanefit.components.foundation.storage import object_store
from sanefit.components.foundation.storage.listed_files import list_tree
from sanefit.components.foundation.storage.room import local_copies, require_room
from sanefit.components.foundation.training.loop import training_images
from sanefit.components.foundation.training.loop.training_images import read_batch
from sanefit.components.foundation.training.stacks.kept_features import training_data_for
from sanefit.components.foundation.training.stacks.trial import Problem

GIB = 2**30
Usage = namedtuple("Usage", "total used free")


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    folder = tmp_path / "tmp"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


def files_of(manifest: Manifest) -> list[tuple[str, str]]:
    """Each file of pixels and the split whose name it has."""
    return [(shard.path.rpartition("/")[2].split("_")[0].removesuffix(".npy"), shard.path) for shard in manifest.shards]


def pod(limit: int) -> dict[str, str]:
    return {"SANEFIT_EPHEMERAL_STORAGE": f"cluster.search_packs.ephemeral_storage={limit}"}


def test_a_pod_is_told_the_number_that_is_needed(temporary: Path) -> None:
    (temporary / "there").write_bytes(b"0" * 300)
    cache = temporary / "sanefit-cache"
    require_room(cache, [400, 300], "s3://b/one.npy", pod(1000))
    with pytest.raises(StorageError) as refused:
        require_room(cache, [400, 301], "s3://b/one.npy", pod(1000))
    message = str(refused.value)
    assert message.count("\n") == 0
    assert "2 files of 0.00 GiB in all, as 's3://b/one.npy'" in message
    assert "set cluster.search_packs.ephemeral_storage to 2Gi or more" in message
    require_room(Path("/"), [400, 301], "s3://b/one.npy", pod(1000))  # not in the folder that it bounds


def test_the_number_that_is_told_is_enough(temporary: Path) -> None:
    for needed in (GIB - 1, GIB, 3 * GIB + 1):
        with pytest.raises(StorageError, match="ephemeral_storage to") as refused:
            require_room(temporary, [needed], "s3://b/one.npy", pod(GIB // 2))
        told = int(str(refused.value).split("ephemeral_storage to ")[1].split("Gi")[0])
        require_room(temporary, [needed], "s3://b/one.npy", pod(told * GIB))


def test_the_disk_that_is_really_there_counts_too(temporary: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(10 * GIB, 8 * GIB, 2 * GIB))
    require_room(temporary / "not" / "there", [2 * GIB], "s3://b/one.npy", {})
    with pytest.raises(StorageError, match=r"1 file of 2\.00 GiB.*2\.00 GiB are free there.*TMPDIR"):
        require_room(temporary / "not" / "there", [2 * GIB + 1], "s3://b/one.npy", {})


def test_only_what_has_no_copy_yet_counts(s3: str, temporary: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place, cache = f"{s3}/{uuid.uuid4().hex}", temporary / "sanefit-cache"
    uris = [f"{place}/{name}" for name in "abc"]
    for uri in uris:
        object_store.write_bytes(uri, b"0" * 100)
    monkeypatch.setenv("SANEFIT_EPHEMERAL_STORAGE", "cluster.data_steps.ephemeral_storage=299")
    assert local_copies(uris, cache) == [None, None, None]
    assert list_tree(str(temporary)) == []
    copies = local_copies(uris[:2], cache)
    assert local_copies(uris, cache) == [*copies, None]
    monkeypatch.setenv("SANEFIT_EPHEMERAL_STORAGE", "cluster.data_steps.ephemeral_storage=300")
    assert [path and path.read_bytes() for path in local_copies(uris, cache)] == [b"0" * 100] * 3


@pytest.fixture
def far_digits(s3: str, digits: DatasetReference, temporary: Path) -> DatasetReference:
    """A snapshot in S3."""
    assert temporary.is_dir()
    place = f"{s3}/{uuid.uuid4().hex}"
    for file in list_tree(digits.storage):
        object_store.upload_file(Path(digits.storage, file.path), f"{place}/{file.path}")
    return digits.model_copy(update={"storage": place})


def limit_for(digits: DatasetReference, split: str) -> int:
    """Bytes that the copies of a split take."""
    manifest = read_manifest(digits)
    sizes = {name: Path(digits.storage, path).stat().st_size for name, path in files_of(manifest)}
    index = Path(snapshot_folder(digits), manifest.splits["train"].index_file).stat().st_size
    assert sizes["train"] > 3 * sizes["test"]
    return index + sizes[split]


def test_a_split_that_does_not_fit_is_read_where_it_is(
    far_digits: DatasetReference, digits: DatasetReference, temporary: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    limit = limit_for(digits, "train")
    monkeypatch.setenv("SANEFIT_EPHEMERAL_STORAGE", f"cluster.search_packs.ephemeral_storage={limit}")
    near = open_split(far_digits, "train", temporary / "enough")
    assert near.far == 0
    shutil.rmtree(temporary / "enough")
    monkeypatch.setenv("SANEFIT_EPHEMERAL_STORAGE", f"cluster.search_packs.ephemeral_storage={limit - 1}")
    far = open_split(far_digits, "train")
    assert far.far == len(far.shards)
    assert [file.path for file in list_tree(str(temporary)) if "decoded" in file.path] == []
    expected = open_split(digits, "train")
    numbers = np.random.default_rng(0).integers(0, len(expected), 50)
    np.testing.assert_array_equal(far.read(numbers), expected.read(numbers))
    np.testing.assert_array_equal(far.read_all(), expected.read_all())
    np.testing.assert_array_equal(np.concatenate(list(far.blocks())), np.concatenate(list(expected.blocks())))
    monkeypatch.setattr(shard_rows, "SPARSE", 0)
    np.testing.assert_array_equal(far.read_all(), expected.read_all())
    assert pickle.loads(pickle.dumps(far)).read(numbers).tobytes() == expected.read(numbers).tobytes()
    stats = StatsSettings()
    assert measure_channel_stats(far_digits, stats, Said()).mean == measure_channel_stats(digits, stats, Said()).mean
    assert open_split(far_digits, "test").far == 0


def test_a_damaged_file_that_does_not_fit_is_named(
    far_digits: DatasetReference, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SANEFIT_EPHEMERAL_STORAGE", "cluster.search_packs.ephemeral_storage=100000")
    uri = next(shard.uri for shard in open_split(far_digits, "train").shards if shard.path is None)
    content = bytearray(object_store.read_bytes(uri))
    content[-1] ^= 1
    object_store.write_bytes(uri, bytes(content))
    with pytest.raises(DataError, match="SHA-256"):
        open_split(far_digits, "train")


def test_training_says_that_images_are_read_from_the_storage(
    far_digits: DatasetReference,
    digits: DatasetReference,
    digits_stats: ChannelStats,
    monkeypatch: pytest.MonkeyPatch,
    said: Said,
) -> None:
    limit = limit_for(digits, "train")
    monkeypatch.setenv("SANEFIT_EPHEMERAL_STORAGE", f"cluster.search_packs.ephemeral_storage={limit - 1}")
    monkeypatch.setattr(training_images, "SHARE_OF_MEMORY", 0)
    network = TwoLayerSettings(kind="two_layer", hidden=8)
    problem = Problem((8, 8, 1), 10, digits_stats, CPU)
    data = training_data_for(far_digits, read_manifest(digits), network, problem, said, frozen=False)
    assert any("fit neither into memory nor on this disk" in line for line in said)
    numbers = torch.arange(20)
    expected = torch.from_numpy(open_split(digits, "train").read(numbers.numpy()))
    assert torch.equal(read_batch(data.train_pixels, numbers), expected)


def test_an_archive_that_does_not_fit_is_not_begun(
    s3: str, temporary: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = f"{s3}/{uuid.uuid4().hex}"
    for name in ("photos.zip", "shard-0.tar", "shard-1.tar"):
        object_store.write_bytes(f"{place}/{name}", b"0" * 600)
    monkeypatch.setenv("SANEFIT_EPHEMERAL_STORAGE", "cluster.data_steps.ephemeral_storage=1000")
    with pytest.raises(StorageError, match="2 files of"):
        list_source(f"webdataset:{place}/shard-{{0..1}}.tar", tmp_path)
    monkeypatch.setenv("SANEFIT_EPHEMERAL_STORAGE", "cluster.data_steps.ephemeral_storage=500")
    with pytest.raises(StorageError, match="1 file of"):
        list_source(f"{place}/photos.zip", tmp_path)
    assert list_tree(str(temporary)) == []
