"""What does not fit on this machine's disk is refused before anything of it is copied."""

import shutil
import tempfile
import uuid
from collections import namedtuple
from collections.abc import Iterator
from pathlib import Path

import pytest

from sanefit.components.foundation.errors import StorageError
from sanefit.components.foundation.image_dataset.shards import open_split, read_manifest, snapshot_folder
from sanefit.components.foundation.image_dataset.sources.listing import list_source
from sanefit.components.foundation.schemas.images import DatasetReference, Manifest
from sanefit.components.foundation.storage import object_store
from sanefit.components.foundation.storage.listed_files import list_tree
from sanefit.components.foundation.storage.room import local_copies, require_room

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
    with pytest.raises(StorageError, match="3 files"):
        local_copies(uris, cache)
    assert list_tree(str(temporary)) == []
    local_copies(uris[:2], cache)
    with pytest.raises(StorageError, match="1 file of"):
        local_copies(uris, cache)
    monkeypatch.setenv("SANEFIT_EPHEMERAL_STORAGE", "cluster.data_steps.ephemeral_storage=300")
    assert [path.read_bytes() for path in local_copies(uris, cache)] == [b"0" * 100] * 3


def test_a_split_that_does_not_fit_is_not_begun(
    s3: str, digits: DatasetReference, temporary: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = f"{s3}/{uuid.uuid4().hex}"
    for file in list_tree(digits.storage):
        object_store.upload_file(Path(digits.storage, file.path), f"{place}/{file.path}")
    dataset = digits.model_copy(update={"storage": place})
    manifest = read_manifest(digits)
    sizes = {split: Path(digits.storage, path).stat().st_size for split, path in files_of(manifest)}
    index = Path(snapshot_folder(digits), manifest.splits["train"].index_file).stat().st_size
    assert sizes["train"] > 3 * sizes["test"]
    monkeypatch.setenv("SANEFIT_EPHEMERAL_STORAGE", f"cluster.search_packs.ephemeral_storage={index + sizes['train']}")
    open_split(dataset, "train", temporary / "enough")
    shutil.rmtree(temporary / "enough")
    limit = index + sizes["train"] - 1
    monkeypatch.setenv("SANEFIT_EPHEMERAL_STORAGE", f"cluster.search_packs.ephemeral_storage={limit}")
    with pytest.raises(StorageError, match=r"search_packs\.ephemeral_storage"):
        open_split(dataset, "train")
    assert [file.path for file in list_tree(str(temporary)) if "decoded" in file.path] == []
    assert len(open_split(dataset, "test")) == manifest.splits["test"].images


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
