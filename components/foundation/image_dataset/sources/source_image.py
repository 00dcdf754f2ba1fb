"""What every source lists, and how a path tells an image's class."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from posixpath import splitext

from sanefit.components.foundation.errors import DataError
from sanefit.components.foundation.image_dataset.sources.location import Location
from sanefit.components.foundation.schemas.images import SplitName

IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".gif", ".webp", ".tif", ".tiff"})


SPLIT_FOLDERS: dict[str, SplitName] = {
    "train": "train",
    "val": "validation",
    "valid": "validation",
    "validation": "validation",
    "test": "test",
}


@dataclass(frozen=True, slots=True)
class SourceImage:
    """One image as it was listed, not yet read.

    ``path``: its name, for people. ``location``: where its bytes are. ``split``: where the source itself puts it,
    when that was asked for.
    """

    class_name: str
    path: str
    location: Location
    split: SplitName | None = None


@dataclass(frozen=True)
class ListingRequest:
    """What a source is asked for.

    ``place``: the part of ``data.source`` that its form has in capitals. ``scratch``: a folder that stays until the
    images are read. ``own_splits``: whether each image keeps the split that the source puts it in.
    """

    place: str
    scratch: Path
    own_splits: bool


@dataclass
class SourceListing:
    """The images of a source, and how many files it passed over.

    Passed over are files without an image's suffix, or in no class folder.
    """

    images: list[SourceImage] = field(default_factory=list)
    ignored_files: int = 0


def with_class(
    names: Iterable[str], listing: SourceListing, *, own_splits: bool
) -> Iterator[tuple[str, str, SplitName | None]]:
    """The image files among ``names``, each with its class and split.

    The class is the folder that it lies in. When the source's own splits are asked for, that is the second folder,
    below ``train``, ``val`` or ``test``; else, where there is a folder ``train`` with classes, only what lies below
    it is read.

    Args:
        names: paths with slashes, relative to the source.
        listing: takes the count of the others.
        own_splits: whether the source's own splits are asked for.
    """
    # Strings, for pathlib would take longer than all else that listing a large folder does.
    paths = {name: [part for part in name.split("/") if part not in ("", ".")] for name in names}
    shown = {name: parts for name, parts in paths.items() if not any(part.startswith(".") for part in parts)}
    images = {name for name, parts in shown.items() if splitext(parts[-1])[1].lower() in IMAGE_SUFFIXES}
    below_train = any(shown[name][0] == "train" and len(shown[name]) > 2 for name in images)
    above = set(SPLIT_FOLDERS) if own_splits else {"train"} if below_train else set()
    depth = 1 if above else 0
    for name, parts in shown.items():
        if name in images and len(parts) > depth + 1 and (not above or parts[0] in above):
            yield name, _utf8(parts[depth]), SPLIT_FOLDERS[parts[0]] if own_splits else None
        else:
            listing.ignored_files += 1


def _utf8(class_name: str) -> str:
    try:
        class_name.encode()
    except UnicodeEncodeError:
        raise DataError(f"class folder {class_name!r}: its name is not UTF-8; rename it") from None
    return class_name
