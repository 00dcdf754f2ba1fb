"""An image that is an object in S3."""

from dataclasses import dataclass

from sanefit.components.foundation.storage.s3_client import endpoint
from sanefit.components.foundation.storage.s3_objects import StoredObject, read_object


@dataclass(frozen=True, slots=True)
class S3Object:
    """An object as it was listed."""

    stored: StoredObject

    def read(self) -> bytes:
        """Its content.

        Raises:
            StorageError: when it cannot be read, or is not what was listed.
        """
        return read_object(self.stored)

    def state(self) -> bytes:
        """Server, URI, ETag and size."""
        stored = self.stored
        return f"object {endpoint()} {stored.uri} {stored.etag} {stored.size}".encode()
