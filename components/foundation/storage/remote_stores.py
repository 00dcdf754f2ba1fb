"""Object stores of others: which addresses they have, and what each of them can do."""

import importlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, cast

from sanefit.components.foundation.schemas.sources import REMOTE

# The file of this folder that speaks to a store. It is named and not imported: their libraries take a while to load.
MODULES = {"s3": "s3_store", "gs": "cloud_store", "az": "cloud_store"}
ATTEMPTS = 5


@dataclass(frozen=True, slots=True)
class StoredObject:
    """An object as it was listed.

    ``written``: epoch seconds. ``version``: which one is read, where its store keeps several.
    """

    uri: str
    etag: str
    size: int
    written: float = field(default=0.0, repr=False, compare=False)  # what it is does not depend on it
    version: str = field(default="", repr=False, compare=False)  # nor on this: the ETag tells


class RemoteStore(Protocol):
    """What a store of objects can do; an address is ``SCHEME://BUCKET/KEY``.

    Errors are its library's own: ``storage_failures.explained`` puts them into words.
    """

    def endpoint(self, uri: str, /) -> str:
        """The URL of the server that an address lies on."""

    def get(self, uri: str, /) -> bytes:
        """An object's content as it is now."""

    def get_as_listed(self, stored: StoredObject, /) -> bytes:
        """An object's content; an error when it is not what was listed."""

    def get_range(self, uri: str, start: int, size: int, /) -> bytes:
        """So many bytes of an object from here on; fewer at its end."""

    def pinned(self, objects: Sequence[StoredObject], /) -> list[StoredObject]:
        """The same objects, each with its version where the store keeps versions and says them."""

    def put(self, uri: str, content: bytes, /) -> None:
        """Write an object; a reader sees all of it, or what was there before."""

    def put_new(self, uri: str, content: bytes, /) -> bool:
        """Write an object unless there is one, which no other writer can come between; whether it did."""

    def delete(self, uri: str, /) -> None:
        """Delete an object, if there is one."""

    def stat(self, uri: str, /) -> StoredObject | None:
        """An object as it is now; None where there is none."""

    def listed(self, folder: str, /) -> Iterator[StoredObject]:
        """Every object below an address that ends with a slash, in the order of the keys."""

    def right_below(self, folder: str, /) -> tuple[list[str], list[str]]:
        """The names of the folders and of the objects right below an address that ends with a slash."""

    def upload(self, path: Path, uri: str, /) -> None:
        """Copy a local file to an object, in parts when it is large."""

    def download(self, uri: str, path: Path, /, version: str = "") -> None:
        """Copy an object, or a version of it, to a local file, in parallel ranges when it is large."""


def is_remote(uri: str) -> bool:
    """Whether ``uri`` names an object or a folder in a store rather than a local path."""
    return uri.startswith(REMOTE)


def scheme_of(uri: str) -> str:
    """What an address begins with: ``s3``, ``gs`` or ``az``."""
    return uri.partition("://")[0]


def bucket_and_key(uri: str) -> tuple[str, str]:
    """The two parts of ``SCHEME://BUCKET/KEY``."""
    bucket, _, key = uri.partition("://")[2].partition("/")
    return bucket, key


def outermost_folders(uris: Iterable[str]) -> list[str]:
    """The folders that these objects lie in, but for those within others of them; each ends with a slash."""
    found: list[str] = []
    for folder in sorted({uri.rpartition("/")[0] + "/" for uri in uris}):
        if not found or not folder.startswith(found[-1]):
            found.append(folder)
    return found


def store_of(uri: str) -> RemoteStore:
    """The store that an address lies in."""
    module = MODULES[scheme_of(uri)]
    return cast(RemoteStore, importlib.import_module(f"sanefit.components.foundation.storage.{module}"))


def endpoint(uri: str) -> str:
    """The URL of the server that an address lies on."""
    return store_of(uri).endpoint(uri)
