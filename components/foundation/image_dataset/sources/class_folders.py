"""How the folders around an image tell its class and split; and what is said of files that are not taken.

``image_classes.py`` says when.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from posixpath import splitext
from typing import NamedTuple

from sanefit.components.foundation.errors import DataError
from sanefit.components.foundation.image_dataset.sources.source_image import SourceListing
from sanefit.components.foundation.schemas.images import SplitName

IMAGE_SUFFIXES = frozenset(
    {".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".avif", ".heic", ".heif"}
    | {".ppm", ".pgm", ".pbm", ".pnm"}
)
# Pictures, but of kinds that nothing here decodes: a class of them is not to vanish.
OTHER_PICTURES = frozenset(
    {".jxl", ".jp2", ".j2k", ".psd", ".svg", ".eps", ".ico", ".tga", ".exr", ".hdr", ".dcm", ".pcx"}
    | {".dng", ".cr2", ".cr3", ".nef", ".arw", ".raf", ".orf", ".rw2", ".raw"}
)
SPLIT_FOLDERS: dict[str, SplitName] = {
    "train": "train",
    "training": "train",
    "val": "validation",
    "valid": "validation",
    "validation": "validation",
    "test": "test",
    "testing": "test",
}
LOOSE = "in no class folder"
NO_PICTURE = "no picture"
LINK_TO_NOWHERE = "a link to nowhere"
NEITHER = "neither file nor folder"
SYSTEM_FOLDERS = frozenset({"__MACOSX", "@eaDir"})  # copies of a file's name and preview, of macOS and Synology


@dataclass(frozen=True)
class Entries:
    """What a folder or an archive holds, as paths with slashes, relative to it.

    ``files``: what can be read. ``folders``: as far as the source knows them; without an image in it a folder is seen
    here only. ``others``: what is neither, a link to nowhere say, and why it cannot be read.
    """

    files: Iterable[str]
    folders: Iterable[str] = ()
    others: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Layout:
    """Where the class folders lie.

    ``around``: the folder around everything that is passed through. ``above``: the folders right above the classes, as
    they are written. ``depth``: of the class folders.
    """

    around: str
    above: frozenset[str]
    depth: int

    def split_of(self, parts: Sequence[str]) -> SplitName:
        """That of the folder above the classes that a path lies in."""
        return SPLIT_FOLDERS[parts[self.depth - 1].lower()]

    def class_at(self, parts: Sequence[str]) -> str:
        """The class folder that a path names or lies in; empty when it is in none, or hidden."""
        outside = self.around and list(parts[:1]) != [self.around]
        if len(parts) <= self.depth or outside or is_hidden(parts):
            return ""
        return parts[self.depth] if not self.above or parts[self.depth - 1] in self.above else ""


def by_highest_folder(
    shown: Sequence[tuple[str, "Kind"]], entries: Entries, listing: SourceListing, *, own_splits: bool
) -> Iterator[tuple[str, str, SplitName | None]]:
    """As ``image_classes.with_class``: the class is the highest folder that an image lies in, below those of splits.

    A single folder around all class folders is passed through.
    """
    kinds = Counter(kind for _, kind in shown)
    layout = layout_of([kind.parts for kind in kinds if kind.suffix in IMAGE_SUFFIXES], own_splits=own_splits)
    listing.passed_through = layout.around
    reasons = {kind: _why_not_taken(kind, layout) for kind in kinds}
    class_of = {kind: utf8(kind.parts[layout.depth]) for kind, reason in reasons.items() if not reason}
    for name, kind in shown:
        if reason := reasons[kind]:
            listing.pass_over(name, reason)
            continue
        yield name, class_of[kind], layout.split_of(kind.parts) if own_splits else None
    _require_every_class(entries, kinds, layout, set(class_of.values()))


def why_no_picture(suffix: str) -> str:
    """Of a file that is not taken, by its suffix, in lower case with its dot."""
    if suffix in OTHER_PICTURES:
        return f"pictures that cannot be decoded ({suffix})"
    return f"{NO_PICTURE} ({suffix or 'no suffix'})"


class Kind(NamedTuple):
    """What files of one folder with one suffix have in common. ``parts``: of their paths, the last one empty."""

    parts: tuple[str, ...]
    suffix: str


def shown_files(names: Iterable[str]) -> list[tuple[str, Kind]]:
    """The files that are not hidden; there are many of them, and few folders and suffixes."""
    kinds: dict[tuple[str, str], Kind | None] = {}
    shown = []
    for name in names:
        folder, _, base = name.rpartition("/")
        suffix = splitext(base)[1]
        key = folder, suffix
        if key not in kinds:
            parts = _parts(folder)
            kinds[key] = None if is_hidden(parts) else Kind((*parts, ""), suffix.lower())
        kind = kinds[key]
        if kind is not None and not (base.startswith(".") or base in SYSTEM_FOLDERS):
            shown.append((name, kind))
    return shown


def _parts(name: str) -> list[str]:
    return [part for part in name.split("/") if part not in ("", ".")]


def is_hidden(parts: Sequence[str]) -> bool:
    """Whether a path, by its parts, is hidden or in a hidden folder."""
    return any(part.startswith(".") for part in parts) or not SYSTEM_FOLDERS.isdisjoint(parts)


def layout_of(images: Collection[tuple[str, ...]], *, own_splits: bool, classes_are_folders: bool = True) -> Layout:
    """Where images lie, by the parts of their paths.

    Raises:
        DataError: when there are only held-out splits, or ``own_splits`` and none to train on.
    """
    around = _folder_around(images)
    start = 1 if around else 0
    least = start + 1 + classes_are_folders
    tops = {parts[start] for parts in images if len(parts) > least}
    above = _split_folders(tops, own_splits=own_splits)
    return Layout(around, above, start + 1 if above else start)


def _folder_around(images: Iterable[tuple[str, ...]]) -> str:
    """The one folder that holds all class folders, if there is one that is no class itself and no split."""
    tops, seconds = set(), set()
    for parts in images:
        if len(parts) < 2:  # in no folder at all, and so in no class
            continue
        if len(parts) < 3:
            return ""
        tops.add(parts[0])
        seconds.add(parts[1])
    if len(tops) != 1 or len(seconds) < 2:
        return ""
    [top] = tops
    return "" if top.lower() in SPLIT_FOLDERS else top


def _split_folders(tops: set[str], *, own_splits: bool) -> frozenset[str]:
    """The folders above the classes that are read; none where the classes lie at the top."""
    splits = frozenset(top for top in tops if top.lower() in SPLIT_FOLDERS)
    train = frozenset(top for top in splits if SPLIT_FOLDERS[top.lower()] == "train")
    if own_splits:
        if not train:
            raise DataError(
                f"data.splits=own: no folder train with class folders in it, but {_listed(tops) or 'class folders'}; "
                "expected train, and val or test, above the classes; set data.splits=by_content, or add the folders"
            )
        return splits
    if splits and not train and splits == tops:
        raise DataError(
            f"data.source: the folders {_listed(splits)} look like held-out splits, and there is no folder train "
            "beside them; expected class folders, or a folder train above them; correct the path, or rename them"
        )
    return train


def _listed(names: Iterable[str]) -> str:
    return ", ".join(sorted(names)[:5])


def _why_not_taken(kind: Kind, layout: Layout) -> str:
    parts, suffix = kind
    if suffix not in IMAGE_SUFFIXES:
        return why_no_picture(suffix)
    if reason := why_other_split(parts, layout):
        return reason
    return "" if len(parts) > layout.depth + 1 else LOOSE


def why_other_split(parts: Sequence[str], layout: Layout) -> str:
    """Why an image is not taken that does not lie in a folder of splits that are; empty where it does."""
    top = parts[layout.depth - 1]
    if not layout.above or top in layout.above:
        return ""
    if top.lower() in SPLIT_FOLDERS and len(parts) > layout.depth + 1:
        return f"in {top}, which looks like another split; set data.splits=own to take the source's splits"
    return f"beside {_listed(layout.above)}"


def _require_every_class(entries: Entries, kinds: Mapping[Kind, int], layout: Layout, classes: set[str]) -> None:
    """Raise DataError for a folder that looks like a class and gave no image.

    One that holds only files that are no pictures, notes or scripts say, does not look like one.
    """
    found: dict[str, Counter[str]] = {}
    for name in entries.folders:
        if class_name := layout.class_at(_parts(name)):
            found.setdefault(class_name, Counter())
    for (parts, suffix), count in kinds.items():
        if len(parts) > layout.depth + 1 and (class_name := layout.class_at(parts)):
            found.setdefault(class_name, Counter())[suffix if suffix in OTHER_PICTURES else NO_PICTURE] += count
    for name, reason in entries.others.items():
        if class_name := layout.class_at(_parts(name)):
            found.setdefault(class_name, Counter())[reason] += 1
    for class_name, reasons in sorted(found.items()):
        if class_name not in classes and set(reasons) != {NO_PICTURE}:
            what = ", ".join(f"{count:,} × {reason}" for reason, count in reasons.most_common()) or "it is empty"
            raise DataError(
                f"data.source: class folder {class_name!r} holds no image that can be read ({what}); expected images, "
                "as JPEG or PNG; convert or add some, or remove the folder"
            )


def utf8(class_name: str) -> str:
    """A class's name, or DataError when it is not UTF-8."""
    try:
        class_name.encode()
    except UnicodeEncodeError:
        raise DataError(f"class {class_name!r}: its name is not UTF-8; rename its folder or files") from None
    return class_name
