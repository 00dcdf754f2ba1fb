"""What every object store does alike: S3, Google's and Azure's, each on a real server or an emulator of it."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from foundation.conftest import remote_store_names

from sanefit.components.foundation.errors import StorageError
from sanefit.components.foundation.storage import object_store
from sanefit.components.foundation.storage.remote_stores import StoredObject, is_remote, store_of
from sanefit.components.foundation.storage.stored_objects import (
    LARGE,
    fetch,
    list_objects,
    object_at,
    read_object,
    read_ranges,
    stat_objects,
)

pytestmark = pytest.mark.slow


@pytest.fixture(params=remote_store_names())
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty folder of each store."""
    bucket: str = request.getfixturevalue(request.param)
    return f"{bucket}/{tmp_path.name}"


ODD = ["plain.txt", "with space.txt", "ümlaut é.txt", "100 %+#?&=.txt", "'quoted\".txt"]


def test_what_is_written_is_read_and_listed(folder: str) -> None:
    wanted = {f"{folder}/{name}": name.encode() * 3 for name in ODD}
    for uri, content in wanted.items():
        assert not object_store.exists(uri)
        object_store.write_bytes(uri, content)
    assert all(object_store.exists(uri) for uri in wanted)
    found = list_objects(f"{folder}/")
    assert {stored.uri: read_object(stored) for stored in found} == wanted
    assert [stored.size for stored in found] == [len(wanted[stored.uri]) for stored in found]
    assert [stored.uri for stored in found] == sorted(wanted)
    assert stat_objects([*wanted, f"{folder}/gone"]) == {stored.uri: stored for stored in found}
    assert [object_at(stored.uri) for stored in found] == found


def test_folders_and_files_right_below_are_told_apart(folder: str) -> None:
    for name in ("b/x", "b/c/y", "a/z", "file", "other file"):
        object_store.write_bytes(f"{folder}/{name}", b"x")
    object_store.write_bytes(f"{folder}-beside/z", b"x")
    assert object_store.list_folders(folder) == ["a", "b"]
    assert object_store.list_files(folder) == ["file", "other file"]
    assert object_store.list_files(f"{folder}/nowhere") == []
    assert [stored.uri.removeprefix(f"{folder}/") for stored in list_objects(f"{folder}/b/")] == ["b/c/y", "b/x"]


def test_one_of_many_writers_is_the_first(folder: str) -> None:
    uri = f"{folder}/lock"
    with ThreadPoolExecutor(8) as threads:
        wrote = list(threads.map(lambda number: object_store.write_new(uri, str(number).encode()), range(8)))
    assert sum(wrote) == 1
    assert object_store.read_bytes(uri) == str(wrote.index(True)).encode()


def test_what_changed_since_it_was_listed_is_an_error(folder: str) -> None:
    uri = f"{folder}/image"
    object_store.write_bytes(uri, b"one")
    stored = object_at(uri)
    object_store.write_bytes(uri, b"two")
    with pytest.raises(StorageError, match="cannot read"):
        read_object(stored)
    assert read_object(object_at(uri)) == b"two"


def test_a_large_object_travels_in_parts(folder: str, tmp_path: Path) -> None:
    content = bytes(range(256)) * (3 * LARGE // 256 + 1)
    (tmp_path / "large").write_bytes(content)
    uri = f"{folder}/large"
    object_store.upload_file(tmp_path / "large", uri)
    stored = object_at(uri)
    assert stored.size == len(content)
    assert read_object(stored) == content
    copy = fetch(stored, tmp_path / "cache")
    assert copy.read_bytes() == content
    assert fetch(stored, tmp_path / "cache") == copy
    assert object_store.local_copy(uri, tmp_path / "copies").read_bytes() == content


def test_parts_of_objects_are_read_side_by_side(folder: str) -> None:
    content = {f"{folder}/{number}": bytes([number]) * 50 + bytes(range(50)) for number in range(3)}
    for uri, value in content.items():
        object_store.write_bytes(uri, value)
    wanted = [(uri, start, size) for uri in content for start, size in ((0, 1), (40, 25), (99, 1), (0, 100))]
    assert read_ranges(wanted) == [content[uri][start : start + size] for uri, start, size in wanted]
    assert read_ranges([]) == []
    with pytest.raises(StorageError, match="9 bytes from byte 91 on, 10 were expected"):
        read_ranges([*wanted, (f"{folder}/0", 91, 10)])
    with pytest.raises(StorageError, match="cannot read"):
        read_ranges([(f"{folder}/none", 0, 1)])


def test_what_is_gone_is_gone_and_may_be_removed_again(folder: str) -> None:
    uri = f"{folder}/short-lived"
    object_store.write_bytes(uri, b"x")
    for _ in range(2):
        object_store.remove(uri)
        assert not object_store.exists(uri)
    assert list_objects(f"{folder}/") == []


def test_a_missing_object_is_an_error_of_one_line(folder: str) -> None:
    for ask in (object_store.read_bytes, object_at):
        with pytest.raises(StorageError) as raised:
            ask(f"{folder}/gone")
        assert f"{folder}/gone" in str(raised.value)
        assert "\n" not in str(raised.value)
        assert len(str(raised.value)) < 400


def test_a_fetched_object_that_is_not_as_it_was_listed_is_an_error(folder: str, tmp_path: Path) -> None:
    object_store.write_bytes(f"{folder}/image", b"longer than that")
    listed = StoredObject(f"{folder}/image", "etag", 3)
    with pytest.raises(StorageError, match="it changed"):
        fetch(listed, tmp_path)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_addresses_of_stores_are_told_from_paths() -> None:
    assert all(is_remote(uri) for uri in ("s3://bucket/key", "gs://bucket/key", "az://container/key"))
    assert not any(is_remote(uri) for uri in ("/tmp/s3://bucket", "photos", "file:///mnt/x"))
    assert store_of("gs://bucket/key").endpoint("gs://bucket/key") == "https://storage.googleapis.com"
