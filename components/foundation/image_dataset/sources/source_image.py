"""What every source yields, and how a path tells an image's class."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath

from components.foundation.errors import DataError

IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".gif", ".webp", ".tif", ".tiff"})


@dataclass(frozen=True)
class SourceImage:
    """One image as it comes: ``content`` is an image file, or for ``digits`` its uint8 pixels."""

    class_name: str
    path: str
    content: bytes


@dataclass
class SourceListing:
    """Counts files that a source passed over: no image's suffix, or in no class folder."""

    ignored_files: int = 0


def with_class(names: Iterable[str], listing: SourceListing) -> Iterator[tuple[str, str]]:
    """The image files among ``names``, each with its class: the folder it lies in, below a folder ``train`` if any.

    Args:
        names: paths with slashes, relative to the source.
        listing: takes the count of the others.
    """
    paths = {name: PurePosixPath(name) for name in names}
    shown = {name: path for name, path in paths.items() if not any(part.startswith(".") for part in path.parts)}
    images = {name: path for name, path in shown.items() if path.suffix.lower() in IMAGE_SUFFIXES}
    below_train = any(path.parts[0] == "train" and len(path.parts) > 2 for path in images.values())
    depth = 1 if below_train else 0
    for name in shown:
        parts = paths[name].parts
        if name in images and len(parts) > depth + 1 and (not below_train or parts[0] == "train"):
            yield name, _utf8(parts[depth])
        else:
            listing.ignored_files += 1


def _utf8(class_name: str) -> str:
    try:
        class_name.encode()
    except UnicodeEncodeError:
        raise DataError(f"class folder {class_name!r}: its name is not UTF-8; rename it") from None
    return class_name
