"""``s3://BUCKET/PREFIX``: one folder per class, or a tar or zip archive."""

import tempfile
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

from components.foundation import object_store
from components.foundation.image_dataset.sources.source_image import SourceImage, SourceListing, with_class
from components.foundation.image_dataset.sources.tar_archive import read_tar
from components.foundation.image_dataset.sources.zip_archive import read_zip

TAR_SUFFIXES = (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz")
FETCHED_AT_ONCE = 16
AHEAD = 4 * FETCHED_AT_ONCE  # objects in memory


def read_s3(uri: str, listing: SourceListing) -> Iterator[SourceImage]:
    """Every image below a prefix, in the order of the keys; or in an archive, when the URI names one.

    An object is fetched once: another reading, also of a later run on this machine, takes the copy,
    as long as the object's ETag and size are the same.

    Raises:
        StorageError: when the bucket cannot be listed or an object not be read.
    """
    cache = Path(tempfile.gettempdir()) / "sanefit-cache"
    if uri.endswith((*TAR_SUFFIXES, ".zip")):
        [archive] = object_store.list_objects(uri, exactly=True)
        copy = object_store.fetch(archive, cache)
        yield from (read_zip if uri.endswith(".zip") else read_tar)(copy, listing)
        return
    prefix = uri.rstrip("/") + "/"
    objects = {found.uri.removeprefix(prefix): found for found in object_store.list_objects(prefix)}
    with ThreadPoolExecutor(FETCHED_AT_ONCE) as pool:
        ahead: deque[tuple[SourceImage, Future[bytes]]] = deque()
        for name, class_name, split in list(with_class(objects, listing)):
            stored = objects[name]
            future = pool.submit(lambda found: object_store.fetch(found, cache).read_bytes(), stored)
            ahead.append((SourceImage(class_name, stored.uri, b"", split), future))
            if len(ahead) == AHEAD:
                yield _taken(ahead)
        while ahead:
            yield _taken(ahead)


def _taken(ahead: deque[tuple[SourceImage, Future[bytes]]]) -> SourceImage:
    image, future = ahead.popleft()
    return replace(image, content=future.result())
