"""What every source yields, and how a path tells an image's class."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath

from components.foundation.artifacts import SplitName
from components.foundation.errors import DataError

IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".gif", ".webp", ".tif", ".tiff"})


SPLIT_FOLDERS: dict[str, SplitName] = {
    "train": "train",
    "val": "validation",
    "valid": "validation",
    "validation": "validation",
    "test": "test",
}


@dataclass(frozen=True)
class SourceImage:
    """One image as it comes: ``content`` is an image file, or for ``digits`` its uint8 pixels.

    ``split``: where the source itself puts it, when the reading asks for that.
    """

    class_name: str
    path: str
    content: bytes
    split: SplitName | None = None


@dataclass
class SourceListing:
    """One reading of a source: whether its own splits are asked for, and how many files it passed over.

    Passed over are files without an image's suffix, or in no class folder.
    """

    own_splits: bool = False
    ignored_files: int = 0


def with_class(names: Iterable[str], listing: SourceListing) -> Iterator[tuple[str, str, SplitName | None]]:
    """The image files among ``names``, each with its class and split.

    The class is the folder that it lies in. When the source's own splits are asked for, that is the second folder,
    below ``train``, ``val`` or ``test``; else, where there is a folder ``train`` with classes, only what lies below
    it is read.

    Args:
        names: paths with slashes, relative to the source.
        listing: what is asked for; takes the count of the others.
    """
    paths = {name: PurePosixPath(name) for name in names}
    shown = {name: path for name, path in paths.items() if not any(part.startswith(".") for part in path.parts)}
    images = {name: path for name, path in shown.items() if path.suffix.lower() in IMAGE_SUFFIXES}
    below_train = any(path.parts[0] == "train" and len(path.parts) > 2 for path in images.values())
    above = set(SPLIT_FOLDERS) if listing.own_splits else {"train"} if below_train else set()
    depth = 1 if above else 0
    for name in shown:
        parts = paths[name].parts
        if name in images and len(parts) > depth + 1 and (not above or parts[0] in above):
            yield name, _utf8(parts[depth]), SPLIT_FOLDERS[parts[0]] if listing.own_splits else None
        else:
            listing.ignored_files += 1


def _utf8(class_name: str) -> str:
    try:
        class_name.encode()
    except UnicodeEncodeError:
        raise DataError(f"class folder {class_name!r}: its name is not UTF-8; rename it") from None
    return class_name
