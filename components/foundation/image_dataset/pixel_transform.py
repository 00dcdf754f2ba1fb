"""A normalization that treats each pixel of an image in its own way, as a file."""

import io
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sanefit.components.foundation.storage import object_store
from sanefit.components.foundation.storage.results import store_cached_content


@dataclass(frozen=True)
class PixelTransform:
    """An image x, flattened from (height, width, channels), becomes (x - shift) @ matrix.

    ``shift``: float32 (height, width, channels). ``matrix``: float32 (values, values); None for the identity.
    """

    shift: NDArray[np.float32]
    matrix: NDArray[np.float32] | None


def write_transform(transform: PixelTransform, storage: str) -> str:
    """Write to a file that is named by its content; its URI.

    Raises:
        StorageError: when it cannot be written.
    """
    buffer = io.BytesIO()
    if transform.matrix is None:
        np.savez(buffer, shift=transform.shift)
    else:
        np.savez(buffer, shift=transform.shift, matrix=transform.matrix)
    return store_cached_content(storage, "transforms", buffer.getvalue(), "npz").uri


def read_transform(uri: str) -> PixelTransform:
    """What ``write_transform`` wrote.

    Raises:
        StorageError: when it cannot be read.
    """
    with np.load(io.BytesIO(object_store.read_bytes(uri))) as arrays:
        return PixelTransform(arrays["shift"], arrays.get("matrix"))
