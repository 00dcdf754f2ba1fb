import resource
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import boto3
import numpy as np
import pytest

from sanefit.components.dataset_snapshot.snapshot import take_snapshot
from sanefit.components.foundation.errors import DataError, StorageError
from sanefit.components.foundation.image_dataset.shards import open_split, read_manifest, read_split, snapshot_folder
from sanefit.components.foundation.schemas.data_settings import DataSettings
from sanefit.components.foundation.schemas.images import SPLITS, DatasetReference
from sanefit.components.foundation.storage import object_store
from sanefit.components.foundation.storage.s3_store import s3_client

pytestmark = pytest.mark.slow

ImageFolder = Callable[..., Path]
Say = Callable[[str], None]


def client_of_the_server() -> Any:
    """As the tests look into the server: not through the code under test."""
    return boto3.session.Session().client("s3")


def files_below(uri: str) -> list[str]:
    bucket, _, prefix = uri.removeprefix("s3://").partition("/")
    found = client_of_the_server().list_objects_v2(Bucket=bucket, Prefix=prefix).get("Contents", [])
    return sorted(item["Key"].removeprefix(f"{prefix}/") for item in found)


def delete(uri: str) -> None:
    bucket, _, key = uri.removeprefix("s3://").partition("/")
    client_of_the_server().delete_object(Bucket=bucket, Key=key)


def assert_one_line_with(culprit: str, error: Exception) -> None:
    assert culprit in str(error)
    assert "\n" not in str(error)


@contextmanager
def no_file_above(size: int) -> Iterator[None]:
    """As on a full disk: writing more than ``size`` bytes to a file fails."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_parts_are_joined_by_single_slashes() -> None:
    assert object_store.join("s3://b/p/", "x", "y.json") == "s3://b/p/x/y.json"
    assert object_store.join("/data", "x") == "/data/x"


def test_what_is_written_locally_is_read_back(tmp_path: Path) -> None:
    uri = str(tmp_path / "a" / "b" / "file")
    assert not object_store.exists(uri)
    for content in (b"\0\1\2" * 1000, b"", b"shorter"):
        object_store.write_bytes(uri, content)
        assert object_store.exists(uri)
        assert Path(uri).read_bytes() == object_store.read_bytes(uri) == content
    assert [path.name for path in Path(uri).parent.iterdir()] == ["file"]


def test_a_written_file_is_for_every_user_to_read(tmp_path: Path) -> None:
    object_store.write_bytes(str(tmp_path / "file"), b"x")
    assert (tmp_path / "file").stat().st_mode & 0o777 == 0o644


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    assert not object_store.exists(str(tmp_path))


def test_who_reads_the_old_content_reads_all_of_it(tmp_path: Path) -> None:
    uri, old = str(tmp_path / "file"), b"old" * 1000
    object_store.write_bytes(uri, old)
    with Path(uri).open("rb") as reader:
        start = reader.read(10)
        object_store.write_bytes(uri, b"new")
        assert start + reader.read() == old


def test_a_failing_write_leaves_the_old_content(tmp_path: Path) -> None:
    uri = str(tmp_path / "file")
    object_store.write_bytes(uri, b"old")
    with no_file_above(4096), pytest.raises(StorageError) as raised:
        object_store.write_bytes(uri, bytes(100_000))
    assert_one_line_with(uri, raised.value)
    assert Path(uri).read_bytes() == b"old"


def test_a_failing_write_leaves_no_stray_file(tmp_path: Path) -> None:
    with no_file_above(4096), pytest.raises(StorageError):
        object_store.write_bytes(str(tmp_path / "file"), bytes(100_000))
    assert list(tmp_path.iterdir()) == []


def test_a_failing_rename_leaves_no_stray_file(tmp_path: Path) -> None:
    (tmp_path / "taken").mkdir()
    with pytest.raises(StorageError):
        object_store.write_bytes(str(tmp_path / "taken"), b"x")
    assert [path.name for path in tmp_path.iterdir()] == ["taken"]


def test_a_missing_file_is_a_storage_error_of_one_line(tmp_path: Path) -> None:
    with pytest.raises(StorageError) as raised:
        object_store.read_bytes(str(tmp_path / "gone"))
    assert_one_line_with(str(tmp_path / "gone"), raised.value)


def test_a_folder_below_a_file_is_a_storage_error_of_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(StorageError) as raised:
        object_store.write_bytes(str(tmp_path / "file" / "below"), b"x")
    assert_one_line_with(str(tmp_path / "file" / "below"), raised.value)


def test_a_local_file_is_its_own_local_copy(tmp_path: Path) -> None:
    assert object_store.local_copy(str(tmp_path / "file"), tmp_path / "cache") == tmp_path / "file"
    assert not (tmp_path / "cache").exists()


def test_what_is_written_to_s3_is_read_back(s3: str) -> None:
    uri = f"{s3}/round/trip"
    for content in (b"\0\1\2" * 100_000, b"", b"shorter"):
        object_store.write_bytes(uri, content)
        stored = client_of_the_server().get_object(Bucket="images", Key="round/trip")["Body"].read()
        assert object_store.read_bytes(uri) == stored == content


def test_what_is_removed_is_gone_and_may_be_removed_again(s3: str, tmp_path: Path) -> None:
    for uri in (f"{s3}/removed/file", str(tmp_path / "file")):
        object_store.write_bytes(uri, b"content")
        object_store.remove(uri)
        assert not object_store.exists(uri)
        object_store.remove(uri)


def test_an_object_exists_under_its_whole_key_only(s3: str) -> None:
    object_store.write_bytes(f"{s3}/some/where/file.json", b"x")
    assert object_store.exists(f"{s3}/some/where/file.json")
    for other in ("some/where/file", "some/where/", "some/where", "some/where/file.json.bak", "nothing"):
        assert not object_store.exists(f"{s3}/{other}")


def test_a_large_file_is_uploaded_whole(s3: str, tmp_path: Path) -> None:
    content = np.random.default_rng(0).bytes(9 * 2**20)  # boto3 cuts at 8 MiB
    (tmp_path / "large").write_bytes(content)
    object_store.upload_file(tmp_path / "large", f"{s3}/large")
    assert object_store.read_bytes(f"{s3}/large") == content


def test_a_missing_key_is_a_storage_error_of_one_line(s3: str, tmp_path: Path) -> None:
    uri = f"{s3}/no/such/key"
    for read in (object_store.read_bytes, lambda missing: object_store.local_copy(missing, tmp_path)):
        with pytest.raises(StorageError) as raised:
            read(uri)
        assert_one_line_with(uri, raised.value)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


@pytest.mark.usefixtures("s3")
def test_a_missing_bucket_is_a_storage_error_of_one_line() -> None:
    with pytest.raises(StorageError) as raised:
        object_store.write_bytes("s3://no-such-bucket/key", b"x")
    assert_one_line_with("s3://no-such-bucket/key", raised.value)


def test_a_local_copy_is_downloaded_once(s3: str, tmp_path: Path) -> None:
    uri = f"{s3}/shards/one"
    object_store.write_bytes(uri, b"content")
    copy = object_store.local_copy(uri, tmp_path)
    delete(uri)
    assert object_store.local_copy(uri, tmp_path) == copy
    assert copy.read_bytes() == b"content"
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == [copy]


def test_local_copies_of_two_objects_are_two_files(s3: str, tmp_path: Path) -> None:
    copies = []
    for key in ("one/file", "two/file"):
        object_store.write_bytes(f"{s3}/{key}", key.encode())
        copies.append(object_store.local_copy(f"{s3}/{key}", tmp_path))
    assert [copy.read_bytes() for copy in copies] == [b"one/file", b"two/file"]


@pytest.fixture
def wrong_secret(s3: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """The URI of an object that is there, for someone who may not have it."""
    object_store.write_bytes(f"{s3}/secret", b"x")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong")
    monkeypatch.setattr(boto3, "DEFAULT_SESSION", None)
    s3_client.cache_clear()
    return f"{s3}/secret"


@pytest.fixture
def no_server(s3: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """The URI of an object behind an endpoint where nobody listens."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    monkeypatch.setattr(boto3, "DEFAULT_SESSION", None)
    s3_client.cache_clear()
    return f"{s3}/secret"


@pytest.mark.parametrize("refusal", ["wrong_secret", "no_server"])
def test_a_refusal_is_a_storage_error_of_one_line(refusal: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    uri: str = request.getfixturevalue(refusal)
    for attempt in (
        lambda: object_store.read_bytes(uri),
        lambda: object_store.write_bytes(uri, b"y"),
        lambda: object_store.local_copy(uri, tmp_path),
    ):
        with pytest.raises(StorageError) as raised:
            attempt()
        assert_one_line_with(uri, raised.value)


@pytest.mark.parametrize("refusal", ["wrong_secret", "no_server"])
def test_a_refused_question_is_a_storage_error_of_one_line(refusal: str, request: pytest.FixtureRequest) -> None:
    uri: str = request.getfixturevalue(refusal)
    with pytest.raises(StorageError) as raised:
        object_store.exists(uri)
    assert_one_line_with(uri, raised.value)


@pytest.mark.parametrize("refusal", ["wrong_secret", "no_server"])
def test_a_refused_upload_is_a_storage_error_of_one_line(
    refusal: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    uri: str = request.getfixturevalue(refusal)
    (tmp_path / "file").write_bytes(b"x")
    with pytest.raises(StorageError) as raised:
        object_store.upload_file(tmp_path / "file", uri)
    assert_one_line_with(uri, raised.value)


@pytest.mark.parametrize("refusal", ["wrong_secret", "no_server"])
def test_a_snapshot_to_a_refusing_server_is_a_storage_error(
    refusal: str, request: pytest.FixtureRequest, said: Say
) -> None:
    uri: str = request.getfixturevalue(refusal)
    with pytest.raises(StorageError):
        take_snapshot(DataSettings(), object_store.join(uri, "storage"), said)


def splits_of(dataset: DatasetReference, cache: Path) -> dict[str, tuple[list[int], bytes]]:
    read = {split: read_split(dataset, split, cache) for split in SPLITS}
    return {split: (labels.tolist(), pixels.tobytes()) for split, (pixels, labels) in read.items()}


def test_a_snapshot_in_s3_reads_back_equal_to_a_local_one(
    s3: str, image_folder: ImageFolder, tmp_path: Path, said: Say
) -> None:
    settings = DataSettings(source=f"folder:{image_folder({'cat': 30, 'dog': 30})}")
    remote = take_snapshot(settings, f"{s3}/my/prefix", said)
    local = take_snapshot(settings, str(tmp_path / "local"), said)
    assert snapshot_folder(remote).startswith(f"{s3}/my/prefix/")
    assert remote.fingerprint == local.fingerprint
    assert read_manifest(remote) == read_manifest(local)
    assert splits_of(remote, tmp_path / "cache") == splits_of(local, tmp_path / "cache")
    for remote_folder, local_folder in (
        (snapshot_folder(remote), snapshot_folder(local)),
        (f"{s3}/my/prefix", f"{tmp_path}/local"),
    ):
        below = [path for path in Path(local_folder).rglob("*") if path.is_file()]
        assert files_below(remote_folder) == sorted(str(path.relative_to(local_folder)) for path in below)


def test_a_second_snapshot_in_s3_writes_nothing(s3: str, image_folder: ImageFolder, said: Say) -> None:
    settings = DataSettings(source=f"folder:{image_folder({'cat': 30, 'dog': 30})}")
    first = take_snapshot(settings, f"{s3}/twice", said)
    pixels = object_store.join(f"{s3}/twice", read_manifest(first).shards[0].path)
    delete(pixels)
    assert take_snapshot(settings, f"{s3}/twice", said) == first
    assert not object_store.exists(pixels)


def test_a_broken_image_leaves_no_snapshot_in_s3(s3: str, image_folder: ImageFolder, said: Say) -> None:
    root = image_folder({"cat": 30, "dog": 30})
    (root / "dog" / "broken.png").write_bytes(b"no image")
    with pytest.raises(DataError, match=r"broken\.png"):
        take_snapshot(DataSettings(source=f"folder:{root}"), f"{s3}/broken", said)
    assert not any("manifest" in name for name in files_below(f"{s3}/broken"))


def test_an_upload_that_broke_off_is_done_again(s3: str, image_folder: ImageFolder, tmp_path: Path, said: Say) -> None:
    settings = DataSettings(source=f"folder:{image_folder({'cat': 30, 'dog': 30})}")
    first = take_snapshot(settings, f"{s3}/upload", said)
    expected = splits_of(first, tmp_path / "cache")
    [images_file] = [name for name in files_below(f"{s3}/upload") if name.endswith("images.npz")]
    delete(f"{s3}/upload/{images_file}")
    delete(object_store.join(snapshot_folder(first), "manifest.json"))
    assert splits_of(take_snapshot(settings, f"{s3}/upload", said), tmp_path / "other") == expected
    assert images_file in files_below(f"{s3}/upload")


def test_a_changed_object_is_an_error_that_names_it(
    s3: str, image_folder: ImageFolder, tmp_path: Path, said: Say
) -> None:
    dataset = take_snapshot(DataSettings(source=f"folder:{image_folder({'cat': 30, 'dog': 30})}"), f"{s3}/flip", said)
    [uri] = [shard.uri for shard in open_split(dataset, "train").shards]
    content = bytearray(object_store.read_bytes(uri))
    content[-1] ^= 1
    object_store.write_bytes(uri, bytes(content))
    with pytest.raises(DataError) as raised:
        read_split(dataset, "train", tmp_path / "cache")
    assert_one_line_with(uri, raised.value)


def test_a_damaged_cached_copy_is_replaced_or_named(
    s3: str, image_folder: ImageFolder, tmp_path: Path, said: Say
) -> None:
    dataset = take_snapshot(DataSettings(source=f"folder:{image_folder({'cat': 30, 'dog': 30})}"), f"{s3}/cache", said)
    expected = splits_of(dataset, tmp_path / "cache")
    copy = open_split(dataset, "train", tmp_path / "cache").shards[0].path
    copy.write_bytes(b"damaged")
    try:
        outcome: object = splits_of(dataset, tmp_path / "cache")
    except DataError as error:
        outcome = str(error)
    assert outcome == expected or str(copy) in str(outcome)
