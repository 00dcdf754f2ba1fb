"""An image that is an object in S3."""

from dataclasses import dataclass

from sanefit.components.foundation.storage import object_store
from sanefit.components.foundation.storage.object_store import StoredObject


@dataclass(frozen=True, slots=True)
class S3Object:
    """An object as it was listed."""

    stored: StoredObject

    def read(self) -> bytes:
        """Its content.

        Raises:
            StorageError: when it cannot be read, or is not what was listed.
        """
        return object_store.read_object(self.stored)

    def state(self) -> bytes:
        """Server, URI, ETag and size."""
        stored = self.stored
        return f"object {object_store.endpoint()} {stored.uri} {stored.etag} {stored.size}".encode()
