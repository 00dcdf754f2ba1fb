"""Which images belong together, as ``data.group`` says: of one patient, one video, one camera, one burst."""

import hashlib
import re
from collections.abc import Sequence

from sanefit.components.foundation.errors import DataError
from sanefit.components.foundation.image_dataset.sources.source_image import SourceImage


def groups_of(images: Sequence[SourceImage], group: str | None) -> list[bytes | None]:
    """The digest of each image's group; None for an image that is in none.

    Args:
        images: as listed.
        group: ``data.group``.

    Raises:
        DataError: when no image is in a group.
    """
    if group is None:
        return [None] * len(images)
    names = [_name(image, group) for image in images]
    if images and not any(names):
        raise DataError(
            f"data.group={group!r} finds no group for any of {len(images):,} images, as {images[0].path!r}; expected "
            "a value for each; correct it"
        )
    return [group_digest(name) if name else None for name in names]


def group_digest(name: str) -> bytes:
    """What a group is called in a split ledger."""
    return hashlib.sha256(f"group {name}".encode()).digest()


def _name(image: SourceImage, group: str) -> str | None:
    kind, _, what = group.partition(":")
    if kind == "column":
        return image.group
    if kind == "folder":
        folders = image.path.split("/")[: -int(what)]
        return "/".join(folders) or None
    found = re.search(what, image.path)
    return found and found.group(found.lastindex or 0)
