"""Where an image's bytes are.

A location can be sent to another process, read there in any order, and compared with one of an earlier listing.
"""

import hashlib
from dataclasses import dataclass
from typing import Protocol


class Location(Protocol):
    """A place that knows how to read itself; one that only one source has stands in that source's file."""

    def read(self) -> bytes:
        """The image's bytes.

        Raises:
            DataError: when they cannot be read, or are not what was listed.
            StorageError: when S3 does not give them.
        """

    def state(self) -> bytes:
        """What stays the same as long as the source says that the image is unchanged."""


def identity_of(location: Location) -> bytes:
    """32 bytes that stay the same as long as the source says that the image is unchanged.

    A file is unchanged with its path, time and size; an object in S3 with its URI, ETag and size; a member of an
    archive with the archive.
    """
    return hashlib.sha256(location.state()).digest()


@dataclass(frozen=True, slots=True)
class InMemory:
    """The bytes themselves."""

    content: bytes

    def read(self) -> bytes:
        """As they are."""
        return self.content

    def state(self) -> bytes:
        """The bytes."""
        return b"content " + self.content
