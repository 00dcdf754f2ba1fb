"""Files that a path, a folder or a pattern names, of this machine or in S3."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from sanefit.components.foundation.errors import DataError
from sanefit.components.foundation.image_dataset.sources.local_file import local_file
from sanefit.components.foundation.storage import object_store
from sanefit.components.foundation.storage.remote_stores import StoredObject, is_remote
from sanefit.components.foundation.storage.room import require_room_for
from sanefit.components.foundation.storage.stored_objects import fetch, list_objects, pinned_objects

BRACES = re.compile(r"\{(\d+)\.\.(\d+)\}|\{([^{}]*,[^{}]*)\}")
WILD = re.compile("[*?]")
MOST_FILES = 1_000_000


@dataclass(frozen=True, slots=True)
class NamedFile:
    """A file that was named. ``name``: where in the folder that all lie in. ``stored``: the object, if it is one."""

    uri: str
    name: str
    stored: StoredObject | None = None

    @property
    def objects(self) -> list[StoredObject]:
        """The object alone, or nothing."""
        return [] if self.stored is None else [self.stored]

    def local(self) -> Path:
        """The file on this machine; an object is fetched, unless there is a copy of it.

        Raises:
            StorageError: when it cannot be read, or is not what was listed.
        """
        return Path(self.uri) if self.stored is None else fetch(self.stored, object_store.local_cache())

    def origin(self) -> str:
        """The file and its state: path, time and size, or URI, ETag and size."""
        return repr(local_file(self.uri) if self.stored is None else self.stored)


def named_files(place: str, suffix: str) -> tuple[str, list[NamedFile]]:
    """The folder that all files of a place lie in, and the files: in the order of braces, then of names.

    Args:
        place: a file; a folder, whose files with the suffix are meant; or a pattern: braces, as in ``{000..146}`` and
            ``{train,val}``, name files that must all be there, ``*`` and ``?`` in a file's name those that are.
        suffix: in lower case, with its dot.

    Raises:
        DataError: when there is none, or one is missing.
        StorageError: when S3 cannot be asked, or there is no room for copies of all files.
    """
    fixed = re.split(r"[{*?]", place, maxsplit=1)[0]
    if _is_file(place) or (fixed == place and is_remote(place) and object_store.exists(place)):
        folder, uris = place.rpartition("/")[0], [place]
    elif fixed != place:
        folder, uris = fixed.rpartition("/")[0], list(dict.fromkeys(_named_by(place)))
    else:
        folder = place.rstrip("/")
        uris = [uri for uri in _right_below(folder) if uri.lower().endswith(suffix)]
    if not uris:
        raise DataError(
            f"data.source: no {suffix} file at {place!r}; expected one, a folder of them, or a pattern, as in "
            f"train-{{000..146}}{suffix}; correct the path"
        )
    objects = pinned_objects(uri for uri in uris if is_remote(uri))
    if missing := [uri for uri in uris if uri not in objects and not _is_file(uri)]:
        raise DataError(
            f"data.source: no file {missing[0]!r}: {len(missing):,} of the {len(uris):,} that {place!r} names are "
            "missing; expected all of them; correct the pattern, or add them"
        )
    require_room_for(list(objects.values()), object_store.local_cache())
    return folder, [NamedFile(uri, uri.removeprefix(folder).lstrip("/"), objects.get(uri)) for uri in uris]


def _named_by(pattern: str) -> Iterator[str]:
    for uri in without_braces(pattern):
        folder, slash, name = uri.rpartition("/")
        if WILD.search(folder):
            raise DataError(
                f"data.source: {pattern!r} has * or ? in a folder's name; expected them in the files' names alone; put "
                "the folders into braces, as in {train,val}/*.tar"
            )
        if not WILD.search(name):
            yield uri
            continue
        yield from (found for found in _right_below(folder + slash) if fnmatchcase(found.rpartition("/")[2], name))


def without_braces(pattern: str) -> Iterator[str]:
    """All texts that a pattern stands for, as shells take it: ``{8..11}``, ``{008..011}``, ``{train,val}``.

    Raises:
        DataError: when they are too many.
    """
    braces = BRACES.search(pattern)
    if braces is None:
        yield pattern
        return
    first, last, choices = braces.groups()
    if choices is None and int(last) - int(first) >= MOST_FILES:
        raise DataError(
            f"data.source: {braces[0]!r} names more than {MOST_FILES:,} files; expected fewer; correct the pattern"
        )
    for choice in _numbers(first, last) if choices is None else choices.split(","):
        yield from without_braces(pattern[: braces.start()] + choice + pattern[braces.end() :])


def _numbers(first: str, last: str) -> Iterator[str]:
    """With as many digits as are written, where one is written with zeros before it."""
    padded = any(len(number) > 1 and number[0] == "0" for number in (first, last))
    digits = max(len(first), len(last)) if padded else 1
    return (f"{number:0{digits}}" for number in range(int(first), int(last) + 1))


def _right_below(folder: str) -> list[str]:
    """The files of a folder that are not hidden, in the order of their names."""
    if not is_remote(folder):
        names = object_store.list_files(folder or ".")
        return [object_store.join(folder, name) for name in names] if folder else names
    prefix = folder.rstrip("/") + "/"
    below = [stored.uri.removeprefix(prefix) for stored in list_objects(prefix)]
    return [prefix + name for name in sorted(below) if "/" not in name and name[0] != "."]


def _is_file(uri: str) -> bool:
    try:
        return not is_remote(uri) and Path(uri).is_file()
    except OSError:  # in a folder that may not be entered, or too long a name
        return False
