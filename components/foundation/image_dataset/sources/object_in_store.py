"""An image that is an object in a store."""

from dataclasses import dataclass

from sanefit.components.foundation.storage.remote_stores import StoredObject, endpoint
from sanefit.components.foundation.storage.stored_objects import read_object


@dataclass(frozen=True, slots=True)
class ObjectInStore:
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
        return f"object {endpoint(stored.uri)} {stored.uri} {stored.etag} {stored.size}".encode()
