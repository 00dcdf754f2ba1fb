"""Which images belong together, as ``data.group`` says: of one patient, one video, one camera, one burst."""

import hashlib
from collections.abc import Sequence

from sanefit.components.foundation.errors import DataError
from sanefit.components.foundation.image_dataset.sources.image_classes import found_by
from sanefit.components.foundation.image_dataset.sources.source_image import SourceImage
from sanefit.components.foundation.image_dataset.sources.table_rows import NOT_A_LABEL


def groups_of(images: Sequence[SourceImage], group: str | None) -> list[bytes]:
    """The digest of each image's group; empty for an image that is in none.

    Args:
        images: as listed.
        group: ``data.group``.

    Raises:
        DataError: when no image is in a group.
    """
    if group is None:
        return [b""] * len(images)
    names = [_name(image, group) for image in images]
    if images and not any(names):
        raise DataError(
            f"data.group={group!r} finds no group for any of {len(images):,} images, as {images[0].path!r}; expected "
            "a value for each; correct it"
        )
    return [group_digest(group, name) if name else b"" for name in names]


def group_digest(group: str, name: str) -> bytes:
    """What a group is called in a split ledger: by ``data.group`` and its own name."""
    return hashlib.sha256(f"{group} {name}".encode()).digest()


def _name(image: SourceImage, group: str) -> str | None:
    kind, _, what = group.partition(":")
    if kind == "column":
        return None if image.group in NOT_A_LABEL else image.group
    if kind == "folder":
        folders = image.path.split("/")[: -int(what)]
        return "/".join(folders) or None
    return found_by(what, image.path)
