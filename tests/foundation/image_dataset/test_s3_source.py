"""Images from a real S3 server: whole, or a clear error, never wrong data."""

import contextlib
import socket
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import boto3
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from foundation.conftest import S3Server, new_s3_server, running_s3_server
from listed_sources import files_passed_over, read_all
from packed_images import write_embedded, write_shards
from said import Said
from stored_files import FILES, found, pngs, put, the_error

from sanefit.components.dataset_snapshot import new_images
from sanefit.components.dataset_snapshot.reading import BATCH_IMAGES, ReadImage, ReadingTask
from sanefit.components.dataset_snapshot.snapshot import take_snapshot
from sanefit.components.foundation.errors import StorageError
from sanefit.components.foundation.image_dataset.shards import read_split
from sanefit.components.foundation.image_dataset.sources.listing import list_source
from sanefit.components.foundation.schemas.data_settings import DataSettings
from sanefit.components.foundation.schemas.images import SPLITS
from sanefit.components.foundation.storage import object_store
from sanefit.components.foundation.storage.s3_store import s3_client
from sanefit.components.foundation.storage.stored_objects import LARGE

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Copies of objects go to this test's folder."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path / "sanefit-cache"


def test_a_prefix_is_read_as_a_folder_is(s3: str) -> None:
    put(f"{s3}/prefix", {**FILES, "notes.txt": b"no image", "cat/": b""})
    assert {image.content for image in read_all(f"{s3}/prefix")} == set(FILES.values())
    assert files_passed_over(f"{s3}/prefix") == 1
    assert found(f"{s3}/prefix/") == FILES


def test_the_order_is_that_of_the_keys(s3: str) -> None:
    put(f"{s3}/order", FILES)
    assert [image.content for image in read_all(f"{s3}/order")] == list(FILES.values())


def test_two_thousand_keys_are_more_than_one_page(s3: str) -> None:
    files = {f"{name}/{number:04d}.png": f"{name}{number}".encode() for name in ("a", "b") for number in range(1000)}
    put(f"{s3}/pages", files)
    assert found(f"{s3}/pages") == files


def test_shards_in_s3_are_read_as_those_on_disk(s3: str, tmp_path: Path) -> None:
    images = [(name[:3], content) for name, content in FILES.items()]
    write_shards(tmp_path / "shards", images, 15)
    (tmp_path / "shards" / "classes.txt").write_text("zero\none")
    put(f"{s3}/shards", {path.name: path.read_bytes() for path in (tmp_path / "shards").iterdir()})
    put(f"{s3}/shards", {"below/train-000000.tar": b"no shard of these"})
    for place in (f"{s3}/shards/train-{{000000..000002}}.tar", f"{s3}/shards", f"{s3}/shards/", f"{s3}/shards/tr*.tar"):
        assert [(image.class_name, image.content) for image in read_all(f"webdataset:{place}")] == images
    assert "train-000003.tar': 1 of the 4" in the_error(f"webdataset:{s3}/shards/train-{{000000..000003}}.tar")
    assert "no .tar file at" in the_error(f"webdataset:{s3}/shards/val-*.tar")
    assert "no .tar file at" in the_error(f"webdataset:{s3}/no-shards")


def test_shards_may_lie_in_a_bucket_alone(s3: str, tmp_path: Path) -> None:
    write_shards(tmp_path / "shards", [("cat", b"x")], 1, name="alone")
    put(s3, {path.name: path.read_bytes() for path in (tmp_path / "shards").iterdir()})
    for place in (f"{s3}/alone-{{000000..000000}}.tar", f"{s3}/alone-*.tar"):
        assert [image.content for image in read_all(f"webdataset:{place}")] == [b"x"]


def test_a_shard_that_is_cut_in_s3_is_named_as_it_is_there(s3: str, tmp_path: Path) -> None:
    write_shards(tmp_path, [("cat", b"x")] * 9, 9)
    put(f"{s3}/cut", {"train-0.tar": (tmp_path / "train-000000.tar").read_bytes()[:3000]})
    assert f"cannot read '{s3}/cut/train-0.tar'" in the_error(f"webdataset:{s3}/cut/train-{{0..0}}.tar")


def test_images_in_parquet_in_s3_are_read_as_those_on_disk(s3: str, tmp_path: Path) -> None:
    images = [(name[:3], content) for name, content in FILES.items()]
    write_embedded(tmp_path / "data", images, files=2, group=7)
    put(f"{s3}/data", {path.name: path.read_bytes() for path in (tmp_path / "data").iterdir()})
    expected = images[0::2] + images[1::2]
    for place in (f"{s3}/data", f"{s3}/data/train-{{00000..00001}}-of-00002.parquet", f"{s3}/data/*.parquet"):
        assert [(image.class_name, image.content) for image in read_all(f"parquet:{place}")] == expected
    one = read_all(f"parquet:{s3}/data/train-00001-of-00002.parquet")
    assert [image.content for image in one] == [content for _, content in images[1::2]]


def test_a_parquet_table_in_s3_names_objects_beside_it(s3: str, tmp_path: Path) -> None:
    pq.write_table(pa.table({"path": ["images/one.png"], "label": [7]}), tmp_path / "t.parquet")
    put(f"{s3}/paths", {"images/one.png": b"1", "t.parquet": (tmp_path / "t.parquet").read_bytes()})
    assert [(i.class_name, i.content) for i in read_all(f"parquet:{s3}/paths/t.parquet")] == [("7", b"1")]


def recorded_gets(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The keys of the objects that are fetched from now on."""
    fetched: list[str] = []
    get = s3_client().get_object

    def recording(**arguments: str) -> object:
        fetched.append(arguments["Key"])
        return get(**arguments)

    monkeypatch.setattr(s3_client(), "get_object", recording)
    return fetched


def test_the_next_snapshot_fetches_only_what_is_new_or_changed(
    s3: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old, new = pngs(60, 1), pngs(20, 2)
    put(f"{s3}/growing", old)
    settings, storage = DataSettings(source=f"{s3}/growing"), str(tmp_path / "storage")
    first = take_snapshot(settings, storage, Said(), workers=1)
    changed = next(iter(old))
    put(f"{s3}/growing", {**new, changed: pngs(1, 3).popitem()[1]})
    fetched = recorded_gets(monkeypatch)
    second = take_snapshot(settings, storage, Said(), workers=1)
    assert sorted(fetched) == sorted(f"growing/{name}" for name in [*new, changed])
    apart = take_snapshot(settings, str(tmp_path / "other"), Said(), workers=1)
    assert second.fingerprint == apart.fingerprint != first.fingerprint
    for split in SPLITS:
        for one, other in zip(read_split(second, split), read_split(apart, split), strict=True):
            np.testing.assert_array_equal(one, other)


def test_an_object_that_changes_after_the_listing_is_an_error(s3: str, tmp_path: Path) -> None:
    put(f"{s3}/changing", FILES)
    image = list_source(f"{s3}/changing", tmp_path).images[0]
    object_store.write_bytes(image.path, b"other")
    with pytest.raises(StorageError, match="it has changed since it was listed"):
        image.location.read()


def test_large_objects_are_read_in_ranges(s3: str) -> None:
    large = np.random.default_rng(0).bytes(LARGE + 12345)
    object_store.write_bytes(f"{s3}/in-ranges/cat/1.png", large)
    assert found(f"{s3}/in-ranges") == {"cat/1.png": large}


def test_wrong_credentials_are_named(s3: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong")
    monkeypatch.setattr(boto3, "DEFAULT_SESSION", None)
    s3_client.cache_clear()
    said = the_error(f"{s3}/prefix")
    assert "SignatureDoesNotMatch" in said
    assert f"{s3}/prefix" in said


def test_a_missing_bucket_and_a_missing_archive_are_named(s3: str) -> None:
    assert "NoSuchBucket" in the_error("s3://no-such-bucket/images")
    assert "there is no such object" in the_error(f"{s3}/absent.tar.gz")


def test_an_empty_prefix_holds_no_images(s3: str) -> None:
    assert found(f"{s3}/nothing-here") == {}


@contextmanager
def breaking_proxy(server: S3Server, cuts: list[int]) -> Iterator[str]:
    """A way to the server on which answers break off after so many bytes, while there are cuts; at the end, all do."""
    host, port = server.endpoint.removeprefix("http://").split(":")
    listener = socket.create_server(("127.0.0.1", 0))
    opened: list[socket.socket] = []

    def hang_up(*ends: socket.socket) -> None:
        for end in ends:
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def forward(client: socket.socket) -> None:
        with client, socket.create_connection((host, int(port))) as upstream:
            upward = threading.Thread(target=copy, args=(client, upstream, None), daemon=True)
            upward.start()
            copy(upstream, client, cuts)

    def copy(source: socket.socket, target: socket.socket, limits: list[int] | None) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                if limits and len(data) > limits[0]:
                    target.sendall(data[: limits.pop(0)])
                    break
                target.sendall(data)
        hang_up(source, target)

    def accept() -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            opened.append(client)
            threading.Thread(target=forward, args=(client,), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        hang_up(listener, *opened)
        listener.close()


def through(endpoint: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
    monkeypatch.setattr(boto3, "DEFAULT_SESSION", None)
    s3_client.cache_clear()


@pytest.mark.parametrize("cuts", [[20_000], [1_000, 30_000, 5_000]])
def test_a_connection_that_drops_in_mid_object_gives_the_right_data(
    cuts: list[int], s3: str, s3_server: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = {f"{name}/large.png": name.encode() * 200_000 for name in ("cat", "dog")}
    put(f"{s3}/dropped", files)
    with breaking_proxy(s3_server, cuts) as endpoint:
        through(endpoint, monkeypatch)
        assert found(f"{s3}/dropped") == files
    assert cuts == []


def test_a_server_that_is_gone_is_an_error_and_back_again_gives_the_right_data(
    s3: str, s3_server: S3Server, own_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(f"{s3}/gone", FILES)
    with breaking_proxy(s3_server, []) as endpoint:
        through(endpoint, monkeypatch)
        assert found(f"{s3}/gone") == FILES
    said = the_error(f"{s3}/gone")
    assert f"{s3}/gone" in said
    assert not list(own_cache.rglob(".partial-*"))
    through(s3_server.endpoint, monkeypatch)
    assert found(f"{s3}/gone") == FILES


def test_a_server_that_is_killed_in_mid_reading_gives_an_error_and_when_it_is_back_the_right_data(
    s3: str,  # noqa: ARG001  # sets credentials
    tmp_path: Path,
    own_cache: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    folder = tmp_path / "server"
    folder.mkdir()
    server, command = new_s3_server(folder)
    files = {
        f"{name}/{number:03d}.png": f"{name}{number}".encode() * 999 for name in ("a", "b") for number in range(150)
    }
    source = f"s3://{server.bucket}/killed"
    with running_s3_server(folder, server, command):
        through(server.endpoint, monkeypatch)
        put(source, files)
        images = list_source(source, tmp_path).images
        assert images[0].location.read() == files["a/000.png"]
    with pytest.raises(StorageError, match="killed") as caught:
        images[1].location.read()
    assert "\n" not in str(caught.value)
    assert not list(own_cache.rglob(".partial-*"))
    with running_s3_server(folder, server, command):
        assert found(source) == files


def test_a_snapshot_goes_on_where_a_lost_server_broke_it_off(
    s3: str,  # noqa: ARG001  # sets credentials
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    folder = tmp_path / "server"
    folder.mkdir()
    server, command = new_s3_server(folder)
    files = pngs(600, 4)
    settings = DataSettings(source=f"s3://{server.bucket}/broken-off")
    storage = str(tmp_path / "storage")
    with running_s3_server(folder, server, command):
        through(server.endpoint, monkeypatch)
        put(settings.source, files)
        read_batch, read = new_images.read_batch, 0

        def read_until_killed(task: ReadingTask) -> list[ReadImage]:
            nonlocal read
            read += 1
            if read == 3:
                through("http://127.0.0.1:9", monkeypatch)  # where no server listens
            return read_batch(task)

        monkeypatch.setattr(new_images, "read_batch", read_until_killed)
        with pytest.raises(StorageError):
            take_snapshot(settings, storage, Said(), workers=1)
        monkeypatch.setattr(new_images, "read_batch", read_batch)
        through(server.endpoint, monkeypatch)
        fetched = recorded_gets(monkeypatch)
        dataset = take_snapshot(settings, storage, Said(), workers=1)
        assert len(fetched) == len(files) - 2 * BATCH_IMAGES
        assert sum(len(read_split(dataset, split)[1]) for split in SPLITS) == len(files)
