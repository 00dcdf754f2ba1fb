"""What is read of a bucket that keeps versions is what was listed, also when it has been overwritten since."""

import tempfile
from pathlib import Path

import pytest
from botocore.exceptions import ClientError
from foundation.conftest import S3Server
from packed_images import write_shards
from pyarrow import parquet
from said import Said
from stored_files import FILES, pngs, put

from sanefit.components.dataset_snapshot.snapshot import take_snapshot
from sanefit.components.dataset_snapshot.source_objects import OBJECTS_FILE
from sanefit.components.foundation.errors import StorageError
from sanefit.components.foundation.image_dataset.shards import snapshot_folder
from sanefit.components.foundation.image_dataset.sources.listing import list_source
from sanefit.components.foundation.image_dataset.sources.named_files import named_files
from sanefit.components.foundation.schemas.data_settings import DataSettings
from sanefit.components.foundation.storage.s3_store import s3_client
from sanefit.components.foundation.storage.stored_objects import LARGE

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Copies of objects go to this test's folder."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))


@pytest.fixture
def versioned(s3: str, s3_server: S3Server) -> str:
    """A bucket that keeps versions."""
    assert s3.endswith(s3_server.bucket)
    bucket = f"{s3_server.bucket}-versioned"
    if bucket not in [found["Name"] for found in s3_client().list_buckets()["Buckets"]]:
        s3_client().create_bucket(Bucket=bucket)
        s3_client().put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    return f"s3://{bucket}"


def test_an_overwritten_image_is_read_as_it_was_listed(versioned: str, tmp_path: Path) -> None:
    put(f"{versioned}/images", FILES)
    listed = list_source(f"{versioned}/images", tmp_path).images
    put(f"{versioned}/images", dict.fromkeys(FILES, b"another"))
    assert [image.location.read() for image in listed] == list(FILES.values())
    assert {image.location.read() for image in list_source(f"{versioned}/images", tmp_path).images} == {b"another"}


def test_a_large_object_is_fetched_as_it_was_listed(versioned: str, tmp_path: Path) -> None:
    content = bytes(LARGE + 1)
    put(f"{versioned}/large/cat", {"1.png": content})
    [listed] = list_source(f"{versioned}/large", tmp_path).images
    put(f"{versioned}/large/cat", {"1.png": b"\1" * (LARGE + 1)})
    assert listed.location.read() == content


def test_an_overwritten_shard_is_read_as_it_was_listed(versioned: str, tmp_path: Path) -> None:
    for name in ("first", "later"):
        write_shards(tmp_path / name, [("cat", name.encode())], 1)
    first, later = ((tmp_path / name / "train-000000.tar").read_bytes() for name in ("first", "later"))
    put(f"{versioned}/shards", {"train-000000.tar": first})
    _, [shard] = named_files(f"{versioned}/shards", ".tar")
    put(f"{versioned}/shards", {"train-000000.tar": later})
    assert shard.local().read_bytes() == first
    [image] = list_source(f"webdataset:{versioned}/shards", tmp_path).images
    assert image.location.read() == b"later"


def test_a_bucket_without_versions_pins_none_and_says_what_changed(s3: str, tmp_path: Path) -> None:
    put(f"{s3}/plain", FILES)
    listed = list_source(f"{s3}/plain", tmp_path)
    assert {stored.version for stored in listed.objects} == {""}
    put(f"{s3}/plain", dict.fromkeys(FILES, b"another"))
    with pytest.raises(StorageError, match="it has changed since it was listed"):
        listed.images[0].location.read()


@pytest.mark.parametrize("bucket", ["s3", "versioned"])
def test_a_snapshot_keeps_which_objects_it_was_read_from(
    bucket: str, tmp_path: Path, said: Said, request: pytest.FixtureRequest
) -> None:
    place = f"{request.getfixturevalue(bucket)}/kept"
    images = pngs(24, seed=0)
    put(place, images)
    dataset = take_snapshot(DataSettings(source=place), str(tmp_path / "storage"), said)
    table = parquet.read_table(Path(snapshot_folder(dataset), OBJECTS_FILE)).to_pylist()
    assert [row["uri"] for row in table] == sorted(f"{place}/{name}" for name in images)
    assert [row["bytes"] for row in table] == [len(images[name]) for name in sorted(images)]
    assert all(bool(row["version"]) == (bucket == "versioned") and row["etag"] for row in table)
    pins = 24 if bucket == "versioned" else 0
    assert f"read from 24 objects, {pins} of them pinned by a version: {OBJECTS_FILE} of the snapshot" in said


def test_a_snapshot_of_this_machine_has_no_objects(tmp_path: Path) -> None:
    dataset = take_snapshot(DataSettings(), str(tmp_path / "storage"), Said())
    assert not Path(snapshot_folder(dataset), OBJECTS_FILE).exists()


@pytest.mark.parametrize("operation", ["get_bucket_versioning", "list_object_versions", "head_object"])
def test_who_may_not_ask_for_versions_reads_without_them(
    operation: str, versioned: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(**_: object) -> None:
        raise ClientError({"Error": {"Code": "AccessDenied"}, "ResponseMetadata": {"HTTPStatusCode": 403}}, operation)  # type: ignore[typeddict-item]

    put(f"{versioned}/refused-{operation}", FILES)
    monkeypatch.setattr(s3_client(), operation, refused)
    listed = list_source(f"{versioned}/refused-{operation}", tmp_path)
    assert {stored.version for stored in listed.objects} == {""}
    assert [image.location.read() for image in listed.images] == list(FILES.values())
