"""What `sanefit gc` removes, in a folder and in S3, and what it never does."""

import json
import os
import time
import uuid
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sanefit.components.foundation.errors import StorageError
from sanefit.components.foundation.storage import object_store
from sanefit.components.foundation.storage.collection import collect
from sanefit.components.foundation.storage.disposable import Disposable, Needed, find_disposable
from sanefit.components.foundation.storage.last_use import mark_removing, mark_used, wait_until_settled
from sanefit.components.foundation.storage.layout import Storage
from sanefit.components.foundation.storage.listed_files import list_tree
from sanefit.components.foundation.storage.remote_stores import bucket_and_key
from sanefit.components.foundation.storage.s3_store import s3_client

HOUR = 3600.0
ALL_OLD = time.time() + 24 * HOUR  # what was used before then is old
KEPT = (
    "splits/KEY/ledger.npz",
    "snapshots/aaaa/manifest.json",
    "snapshots/aaaa/train.npy",
    "results/stats/1.json",
    "results/token",
    "trials/ab/abc.json",
    "checkpoints/final/1.pt",
    "weights/torchvision-resnet18.pt",
    "runs/one/report.html",
    "runs/one/weights.pt",
    "runs/one/results/registration.json",
    "checks/one/report.html",
    "locks/1.json",
    "mlflow-artifacts/1/model/data.bin",
    "mlflow.db",
)
PIXELS = ("decoded/KEY/one/train.npy", "decoded/KEY/one/images.npz")


@pytest.fixture(params=["folder", "s3"])
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> Storage:
    if request.param == "folder":
        return Storage(str(tmp_path / "storage"))
    return Storage(f"{request.getfixturevalue('s3')}/{uuid.uuid4().hex}")


def write(storage: Storage, *paths: str) -> None:
    for path in paths:
        object_store.write_bytes(storage.below(path), b"0123456789")


def manifest(storage: Storage, fingerprint: str, *parts: str, version: int = 5) -> None:
    shards = [{"path": f"{part}/train.npy", "sha256": "", "images": 1} for part in parts]
    content = json.dumps({"format_version": version, "shards": shards}).encode()
    object_store.write_bytes(object_store.join(storage.snapshot(fingerprint), "manifest.json"), content)


def paths(storage: Storage) -> set[str]:
    return {file.path for file in list_tree(storage.uri)}


def uris(storage: Storage, found: list[Disposable]) -> list[str]:
    return [item.uri.removeprefix(storage.below("")) for item in found]


def gc(storage: Storage, needed: Needed = Needed(), used_since: float = ALL_OLD) -> list[Disposable]:  # noqa: B008
    def find() -> list[Disposable]:
        return find_disposable(storage, needed, used_since).found

    return collect(find(), find)


def test_only_what_can_be_made_again_goes(storage: Storage) -> None:
    write(storage, *PIXELS, *KEPT, "features/KEY/train.npy", "features/KEY/validation.npy")
    manifest(storage, "aaaa", "decoded/KEY/one")
    removed = gc(storage)
    assert uris(storage, removed) == ["decoded/KEY/one", "features/KEY"]
    assert [item.size for item in removed] == [20, 20]
    assert paths(storage) == set(KEPT)


def test_nothing_that_was_used_lately_goes(storage: Storage) -> None:
    write(storage, *PIXELS, *KEPT, "features/KEY/train.npy", "features/KEY/validation.npy")
    manifest(storage, "aaaa", "decoded/KEY/one")
    before = paths(storage)
    assert gc(storage, used_since=time.time() - HOUR) == []
    assert paths(storage) == before


def test_pixels_of_a_version_and_of_before_there_were_ledgers_stay(storage: Storage) -> None:
    write(storage, *PIXELS, "decoded/KEY/two/images.npz", "decoded/KEY/three/images.npz", "decoded/KEY/four/images.npz")
    manifest(storage, "a" * 64, "decoded/KEY/one", "decoded/KEY/two")
    manifest(storage, "b" * 64, "decoded/KEY/three", version=3)
    manifest(storage, "c" * 64, "decoded/KEY/two", "decoded/KEY/four")
    needed = Needed(fingerprints=frozenset({"a" * 64}))
    found = find_disposable(storage, needed, ALL_OLD)
    assert uris(storage, found.found) == ["decoded/KEY/four"]
    assert (found.kept, found.kept_bytes) == (3, 40)


def test_what_comes_into_use_meanwhile_stays(tmp_path: Path) -> None:
    storage = Storage(str(tmp_path))
    write(storage, *PIXELS, "features/KEY/validation.npy", "features/OLD/validation.npy")
    manifest(storage, "aaaa", "decoded/KEY/one")
    before = paths(storage)
    for path in sorted(tmp_path.rglob("*")):
        os.utime(path, (0, 0))

    def find() -> list[Disposable]:
        return find_disposable(storage, Needed(), time.time() - HOUR).found

    def used_then_found() -> list[Disposable]:
        mark_used(storage.snapshot("aaaa"))
        mark_used(storage.features_of("KEY"))
        return find()

    assert uris(storage, collect(find(), used_then_found)) == ["features/OLD"]
    assert paths(storage) == before - {"features/OLD/validation.npy"} | {
        "snapshots/aaaa/last-use",
        "features/KEY/last-use",
    }


def test_what_failed_half_way_is_marked_no_longer(storage: Storage) -> None:
    write(storage, *PIXELS)
    before = paths(storage)

    def fails() -> list[Disposable]:
        raise StorageError("MLflow is away")

    with pytest.raises(StorageError, match="MLflow is away"):
        collect(find_disposable(storage, Needed(), ALL_OLD).found, fails)
    assert paths(storage) == before


def test_a_damaged_manifest_stops_it_all(storage: Storage) -> None:
    write(storage, *PIXELS, "snapshots/aaaa/manifest.json")
    with pytest.raises(StorageError, match="does not say which pixels"):
        gc(storage)
    assert set(PIXELS) <= paths(storage)


def test_scratch_and_what_broke_off_go(tmp_path: Path) -> None:
    storage = Storage(str(tmp_path))
    hidden = f".manifest.json.{uuid.uuid4().hex}"
    write(storage, "runs/killed/scratch/sanefit-abc/0.pixels", "runs/going/scratch/1.pixels", "checks/one/scratch/1")
    write(storage, "decoded/KEY/.partial-x/inside/train.npy", "snapshots/.partial-y/inside/train.npy")
    write(storage, f"snapshots/aaaa/{hidden}", *KEPT, f"mlflow-artifacts/{hidden}", ".hidden")
    manifest(storage, "aaaa")
    removed = gc(storage, Needed(runs=frozenset({"going"})))
    assert sorted(uris(storage, removed)) == [
        "checks/one/scratch",
        "decoded/KEY/.partial-x",
        "runs/killed/scratch",
        "snapshots/.partial-y",
        f"snapshots/aaaa/{hidden}",
    ]
    assert paths(storage) == {*KEPT, "runs/going/scratch/1.pixels", f"mlflow-artifacts/{hidden}", ".hidden"}


def test_links_are_not_followed(tmp_path: Path) -> None:
    storage, elsewhere = Storage(str(tmp_path / "storage")), tmp_path / "elsewhere"
    write(storage, *PIXELS)
    elsewhere.mkdir()
    (elsewhere / "photo.jpg").write_bytes(b"1")
    (tmp_path / "storage" / "decoded" / "KEY" / "one" / "linked").symlink_to(elsewhere)
    (tmp_path / "storage" / "decoded" / "linked").symlink_to(elsewhere)
    gc(storage)
    assert (elsewhere / "photo.jpg").is_file()


def test_uploads_that_nobody_finished_go(s3: str) -> None:
    storage, other = (Storage(f"{s3}/{uuid.uuid4().hex}") for _ in range(2))
    for place in (storage, other):
        bucket, key = bucket_and_key(place.below("decoded/KEY/one/train.npy"))
        begun = s3_client().create_multipart_upload(Bucket=bucket, Key=key)
        s3_client().upload_part(Bucket=bucket, Key=key, UploadId=begun["UploadId"], PartNumber=1, Body=b"1")
    assert gc(storage, used_since=time.time() - HOUR) == []
    assert [item.kind for item in gc(storage)] == ["broken off"]
    assert gc(storage) == []
    assert [item.kind for item in gc(other)] == ["broken off"]


def test_copies_of_s3_that_nobody_read_go(tmp_path: Path, s3: str) -> None:
    place, cache = f"{s3}/{uuid.uuid4().hex}", tmp_path / "cache"
    for name in ("one", "two"):
        object_store.write_bytes(f"{place}/{name}", b"1")
        os.utime(object_store.local_copy(f"{place}/{name}", cache), (0, 0))
    object_store.local_copy(f"{place}/one", cache)
    storage = Storage(str(tmp_path / "storage"))
    found = find_disposable(storage, Needed(), time.time() - HOUR, str(cache)).found
    assert [Path(item.uri).name for item in found] == ["two"]
    assert object_store.local_copy(f"{place}/one", cache).stat().st_mtime == 0  # what is made of it may go by that


def test_whoever_waits_outlasts_a_mark_of_somebody_killed(tmp_path: Path) -> None:
    storage, now = Storage(str(tmp_path)), [0.0]
    write(storage, *PIXELS)
    part = storage.below("decoded/KEY/one")
    mark_removing(part)

    def sleep(seconds: float) -> None:
        now[0] += seconds

    wait_until_settled(part, lambda: now[0], sleep)
    assert now[0] == pytest.approx(300, abs=2)
    assert paths(storage) == set(PIXELS)


def test_a_removal_that_was_killed_is_finished_by_the_next(storage: Storage) -> None:
    write(storage, *PIXELS)
    mark_removing(storage.below("decoded/KEY/one"))
    assert uris(storage, gc(storage)) == ["decoded/KEY/one"]
    assert paths(storage) == set()


Parts = st.sets(st.sampled_from("abcdef"))


@given(
    snapshots=st.dictionaries(st.sampled_from(["11", "22", "33", "44"]), st.tuples(Parts, st.booleans(), st.booleans()))
)
def test_a_part_goes_when_no_snapshot_holds_it(
    tmp_path_factory: pytest.TempPathFactory, snapshots: dict[str, tuple[set[str], bool, bool]]
) -> None:
    """For any snapshots, each of which is needed, used lately, or neither."""
    storage = Storage(str(tmp_path_factory.mktemp("storage")))
    write(storage, *(f"decoded/KEY/{part}/images.npz" for part in "abcdef"))
    for name, (parts, _, _) in snapshots.items():
        manifest(storage, name, *(f"decoded/KEY/{part}" for part in parts))
    for path in Path(storage.uri).rglob("*"):
        os.utime(path, (0, 0))
    for name, (_, _, used) in snapshots.items():
        if used:
            mark_used(storage.snapshot(name))
    needed = Needed(fingerprints=frozenset(name for name, (_, is_needed, _) in snapshots.items() if is_needed))
    gc(storage, needed, time.time() - HOUR)
    held = {part for parts, is_needed, used in snapshots.values() for part in parts if is_needed or used}
    assert set(object_store.list_folders(storage.below("decoded/KEY"))) == held
