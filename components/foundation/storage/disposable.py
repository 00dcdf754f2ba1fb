"""What in a storage can be made again, and has not been used for some time.

``docs/data.md`` has the table of what a storage holds. Pixels are the snapshots' that name them: as long as one of
these is needed, or was used lately, they stay.
"""

import contextlib
import json
import re
from collections.abc import Iterable, Iterator, Set
from dataclasses import dataclass, field
from pathlib import Path

from sanefit.components.foundation.errors import StorageError
from sanefit.components.foundation.storage import object_store
from sanefit.components.foundation.storage.last_use import REMOVING
from sanefit.components.foundation.storage.layout import (
    CHECKS,
    DECODED,
    FEATURES,
    MANIFEST_FILE,
    RUNS,
    SCRATCH,
    SHORT,
    WITHOUT_LEDGER,
    WRITTEN,
    Storage,
)
from sanefit.components.foundation.storage.listed_files import ListedFile, grouped, list_tree
from sanefit.components.foundation.storage.object_store import join
from sanefit.components.foundation.storage.remote_stores import is_remote
from sanefit.components.foundation.storage.unfinished_uploads import unfinished_uploads

ASIDE = re.compile(r"\..+\.[0-9a-f]{32}$")  # as object_store names what is not whole yet
PARTIAL = re.compile(r"\.partial-[^/]+$")
KINDS = ("decoded images", "features", "scratch", "broken off", "local copies")


@dataclass(frozen=True)
class Disposable:
    """A folder, a file, or an upload to S3 that was not finished.

    ``kind``: one of KINDS. ``files``: below it; empty of a file and of an upload. ``size``: bytes. ``last_use``: epoch
    seconds. ``upload``: its id.
    """

    kind: str
    uri: str
    files: tuple[str, ...]
    size: int
    last_use: float
    upload: str = ""


@dataclass(frozen=True)
class Needed:
    """``fingerprints``: of snapshots that a registered version or a run in progress needs. ``runs``: in progress."""

    fingerprints: frozenset[str] = frozenset()
    runs: frozenset[str] = frozenset()


@dataclass
class Disposables:
    """``kept``: folders of pixels that were not used lately, and are needed: how many, and their bytes."""

    found: list[Disposable] = field(default_factory=list)
    kept: int = 0
    kept_bytes: int = 0


def find_disposable(storage: Storage, needed: Needed, used_since: float, cache_folder: str = "") -> Disposables:
    """What was not used since then, the largest first of each kind.

    Args:
        storage: a folder or ``s3://`` prefix.
        needed: what stays, however old it is.
        used_since: epoch seconds.
        cache_folder: of this machine, for copies of what lies in S3; empty to leave it alone.

    Raises:
        StorageError: when the storage cannot be read, or a manifest does not say which pixels its snapshot needs.
    """
    disposables = Disposables()
    found = [
        *_decoded(storage, needed, used_since, disposables),
        *_folders(storage.below(FEATURES), 1, "features"),
        *_scratch(storage, needed),
        *_broken_off(storage),
        *(_copies(cache_folder) if cache_folder else ()),
    ]
    unused = [item for item in found if item.last_use < used_since]
    disposables.found = sorted(unused, key=lambda item: (KINDS.index(item.kind), -item.size, item.uri))
    return disposables


def _decoded(storage: Storage, needed: Needed, used_since: float, kept: Disposables) -> Iterator[Disposable]:
    short = {fingerprint[:SHORT] for fingerprint in needed.fingerprints}
    needed_parts, recent_parts = _parts_of_snapshots(storage, short, used_since)
    for item in _folders(storage.below(DECODED), 2, "decoded images"):
        part = item.uri.removeprefix(storage.below(""))
        if part in needed_parts and item.last_use < used_since:
            kept.kept += 1
            kept.kept_bytes += item.size
        if part not in needed_parts | recent_parts:
            yield item


def _parts_of_snapshots(storage: Storage, needed: Set[str], used_since: float) -> tuple[set[str], set[str]]:
    """Folders of pixels that needed snapshots name, and those of snapshots that were used lately.

    A snapshot of before there were ledgers is needed: it alone says which images were held out, and by its pixels.
    """
    of_needed: set[str] = set()
    of_recent: set[str] = set()
    for name, files in grouped(list_tree(storage.snapshots), 1).items():
        if f"{name}/{MANIFEST_FILE}" not in {file.path for file in files}:
            continue
        parts, has_ledger = _named_in(join(storage.snapshots, name, MANIFEST_FILE))
        if name in needed or not has_ledger:
            of_needed |= parts
        elif _last_use(files) >= used_since:
            of_recent |= parts
    return of_needed, of_recent


def _named_in(manifest: str) -> tuple[set[str], bool]:
    """Folders of pixels, and whether a ledger says where its images are; of manifests of earlier versions, too."""
    try:
        content = json.loads(object_store.read_bytes(manifest))
        parts = {shard["path"].rpartition("/")[0] for shard in content["shards"]}
        return parts, content["format_version"] > WITHOUT_LEDGER
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise StorageError(
            f"{manifest!r} does not say which pixels its snapshot needs; expected a whole manifest; remove its folder"
        ) from error


def _folders(uri: str, depth: int, kind: str) -> Iterator[Disposable]:
    for name, files in grouped(list_tree(uri), depth).items():
        if not PARTIAL.search(name):
            yield _folder(kind, join(uri, name), files, prefix=f"{name}/")


def _scratch(storage: Storage, needed: Needed) -> Iterator[Disposable]:
    """Of local runs that were killed: others remove it when they end."""
    if is_remote(storage.uri):
        return
    for part in (RUNS, CHECKS):
        for run in object_store.list_folders(storage.below(part)):
            folder = join(storage.below(part), run, SCRATCH)
            if run not in needed.runs and (files := list_tree(folder)):
                yield _folder("scratch", folder, files)


def _broken_off(storage: Storage) -> Iterator[Disposable]:
    """What was to be renamed, or uploaded whole, when its writer ended."""
    if is_remote(storage.uri):
        for started in unfinished_uploads(storage.uri):
            yield Disposable("broken off", started.uri, (), 0, started.started, started.upload)
        return
    for part in WRITTEN:
        uri = storage.below(part)
        files = list_tree(uri)
        for depth in (1, 2):
            for name, inside in grouped(files, depth).items():
                if PARTIAL.search(name):
                    yield _folder("broken off", join(uri, name), inside, prefix=f"{name}/")
        yield from _files("broken off", uri, [file for file in files if ASIDE.match(file.path.rpartition("/")[2])])


def _copies(folder: str) -> Iterator[Disposable]:
    for file in list_tree(folder):
        with contextlib.suppress(FileNotFoundError):  # gone meanwhile
            read = Path(folder, file.path).stat().st_atime
            yield Disposable("local copies", join(folder, file.path), (), file.size, max(read, file.written))


def _folder(kind: str, uri: str, files: list[ListedFile], prefix: str = "") -> Disposable:
    paths = tuple(file.path.removeprefix(prefix) for file in files)
    return Disposable(kind, uri, paths, sum(file.size for file in files), _last_use(files))


def _files(kind: str, uri: str, files: Iterable[ListedFile]) -> Iterator[Disposable]:
    for file in files:
        yield Disposable(kind, join(uri, file.path), (), file.size, file.written)


def _last_use(files: Iterable[ListedFile]) -> float:
    """The last time that one of these was written, ``last-use`` among them."""
    return max((file.written for file in files if file.path.rpartition("/")[2] != REMOVING), default=0.0)
