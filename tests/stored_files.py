"""Files put into an object store, and what a source there gives."""

import io

import numpy as np
import pytest
from listed_sources import read_all
from PIL import Image

from sanefit.components.foundation.errors import DataError, StorageError
from sanefit.components.foundation.storage import object_store

NAMES = [f"{name}/{number:03d}.png" for name in ("cat", "dog") for number in range(20)]
FILES = {name: name.encode() * 50 for name in NAMES}


def put(uri: str, files: dict[str, bytes]) -> None:
    for name, content in files.items():
        object_store.write_bytes(object_store.join(uri, name), content)


def found(source: str) -> dict[str, bytes]:
    """Content by class and file name."""
    images = read_all(source)
    return {f"{image.class_name}/{image.path.rpartition('/')[2]}": image.content for image in images}


def pngs(count: int, seed: int) -> dict[str, bytes]:
    random = np.random.default_rng(seed)
    files = {}
    for number in range(count):
        buffer = io.BytesIO()
        Image.fromarray(random.integers(0, 256, (5, 6, 3), dtype=np.uint8)).save(buffer, "PNG")
        files[f"{('cat', 'dog')[number % 2]}/{seed}-{number:03d}.png"] = buffer.getvalue()
    return files


def the_error(source: str) -> str:
    with pytest.raises((StorageError, DataError)) as caught:
        read_all(source)
    assert "\n" not in str(caught.value)
    return str(caught.value)
