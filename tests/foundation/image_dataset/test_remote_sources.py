"""Images from every object store: the same as those of the folder that they were copied from."""

import io
import tarfile
import tempfile
import zipfile
from pathlib import Path

import numpy as np
import pytest
from cloud_servers import google_storage, proxy
from foundation.conftest import S3Server, remote_store_names
from listed_sources import files_passed_over, read_all
from packed_images import write_embedded, write_shards
from said import Said
from stored_files import FILES, found, pngs, put, the_error

from sanefit.components.dataset_snapshot import new_images
from sanefit.components.dataset_snapshot.snapshot import take_snapshot
from sanefit.components.foundation.image_dataset.shards import read_manifest, read_split
from sanefit.components.foundation.schemas.data_settings import DataSettings
from sanefit.components.foundation.schemas.images import SPLITS, DatasetReference
from sanefit.components.foundation.storage import object_store
from sanefit.components.foundation.storage.cloud_store import reached_store
from sanefit.components.foundation.storage.s3_store import s3_client
from sanefit.components.foundation.storage.stored_objects import fetch, object_at
from sanefit.components.model_registry.predicted_files import find_images

pytestmark = pytest.mark.slow


@pytest.fixture(params=remote_store_names())
def place(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """An empty folder of each store; copies of objects go to this test's folder."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    bucket: str = request.getfixturevalue(request.param)
    return f"{bucket}/{tmp_path.name}"


def test_a_prefix_is_read_as_a_folder_is(place: str) -> None:
    put(place, {**FILES, "notes.txt": b"no image"})
    assert found(place) == found(f"{place}/") == found(f"folder:{place}") == FILES
    assert files_passed_over(place) == 1


@pytest.mark.parametrize("suffix", ["tar", "tar.gz", "zip"])
def test_an_archive_is_read_as_one_on_disk(suffix: str, place: str) -> None:
    buffer = io.BytesIO()
    if suffix == "zip":
        with zipfile.ZipFile(buffer, "w") as archive:
            for name, content in FILES.items():
                archive.writestr(name, content)
    else:
        with tarfile.open(fileobj=buffer, mode="w:gz" if suffix == "tar.gz" else "w") as tar:
            for name, content in FILES.items():
                member = tarfile.TarInfo(name)
                member.size = len(content)
                tar.addfile(member, io.BytesIO(content))
    object_store.write_bytes(f"{place}/images.{suffix}", buffer.getvalue())
    kind = suffix.partition(".")[0]
    assert found(f"{place}/images.{suffix}") == found(f"{kind}:{place}/images.{suffix}") == FILES


def test_a_table_names_objects_beside_it_and_elsewhere(place: str, tmp_path: Path) -> None:
    put(place, {"table/images/one.png": b"1", "elsewhere/two.png": b"2"})
    (tmp_path / "three.png").write_bytes(b"3")
    rows = f"label,path\ncat,images/one.png\ndog,{place}/elsewhere/two.png\ndog,{tmp_path}/three.png\n"
    object_store.write_bytes(f"{place}/table/images.csv", rows.encode())
    images = read_all(f"csv:{place}/table/images.csv")
    assert [(image.class_name, image.content) for image in images] == [("cat", b"1"), ("dog", b"2"), ("dog", b"3")]


def test_shards_and_parquet_are_read_as_those_on_disk(place: str, tmp_path: Path) -> None:
    images = [(name[:3], content) for name, content in FILES.items()]
    write_shards(tmp_path / "shards", images, 15)
    write_embedded(tmp_path / "data", images, files=1, group=7)
    for folder in ("shards", "data"):
        put(f"{place}/{folder}", {path.name: path.read_bytes() for path in (tmp_path / folder).iterdir()})
    for source in (f"webdataset:{place}/shards/train-{{000000..000002}}.tar", f"parquet:{place}/data/*.parquet"):
        assert [(image.class_name, image.content) for image in read_all(source)] == images


def test_a_snapshot_with_its_storage_there_is_that_of_the_folder(
    place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By processes that begin after the store was reached, which not every store's library survives."""
    monkeypatch.setattr(new_images, "BATCH_IMAGES", 16)
    files = pngs(120, 1)
    put(f"{place}/images", files)
    for name, content in files.items():
        (tmp_path / "images" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "images" / name).write_bytes(content)
    there = snapshot(f"{place}/images", f"{place}/storage", workers=2)
    here = snapshot(str(tmp_path / "images"), str(tmp_path / "storage"), workers=1)
    assert there.fingerprint == here.fingerprint
    assert read_manifest(there).images_per_class == read_manifest(here).images_per_class
    for split in SPLITS:
        for one, other in zip(read_split(there, split), read_split(here, split), strict=True):
            np.testing.assert_array_equal(one, other)
    assert snapshot(f"{place}/images", f"{place}/storage", workers=2) == there


def snapshot(source: str, storage: str, workers: int) -> DatasetReference:
    return take_snapshot(DataSettings(source=source), storage, Said(), workers=workers)


def test_images_to_be_named_are_found_there_too(place: str, tmp_path: Path) -> None:
    put(place, FILES)
    found_there = find_images([place, f"folder:{place}/cat"], tmp_path, {})
    assert [image.location.read() for image in found_there] == [*FILES.values(), *list(FILES.values())[:20]]


def test_a_bucket_whose_readers_pay_is_read_by_those_who_say_so(
    s3_server: S3Server, s3: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(f"{s3}/paid", FILES)
    with proxy(s3_server.endpoint, {"x-amz-request-payer": "requester"}) as endpoint:
        monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
        s3_client.cache_clear()
        assert "403" in the_error(f"{s3}/paid")
        monkeypatch.setenv("AWS_REQUEST_PAYER", "requester")
        s3_client.cache_clear()
        assert found(f"{s3}/paid") == FILES
        fetch(object_at(f"{s3}/paid/{next(iter(FILES))}"), tmp_path)
    s3_client.cache_clear()


def test_a_bucket_of_google_whose_readers_pay_is_read_by_those_who_say_so(
    google_environment: dict[str, str], gs: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(f"{gs}/paid", FILES)
    with google_storage(google_environment["GOOGLE_BASE_URL"], paid_by="our-project") as environment:
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        reached_store.cache_clear()
        assert "403" in the_error(f"{gs}/paid")
        monkeypatch.setenv("GOOGLE_CLOUD_QUOTA_PROJECT", "our-project")
        reached_store.cache_clear()
        assert found(f"{gs}/paid") == FILES


def test_nothing_there_is_an_error_of_one_line(place: str) -> None:
    assert place in the_error(f"{place}/images.tar.gz")
    assert "no .tar file at" in the_error(f"webdataset:{place}/val-*.tar")
