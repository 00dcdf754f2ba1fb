"""How the folders around an image tell its class and split; and what is said of files that are not taken."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from posixpath import splitext
from typing import NamedTuple

from sanefit.components.foundation.errors import DataError
from sanefit.components.foundation.image_dataset.sources.source_image import SourceListing
from sanefit.components.foundation.schemas.images import SplitName
from sanefit.components.foundation.schemas.sources import Folders

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

    def class_at(self, parts: Sequence[str]) -> str:
        """The class folder that a path names or lies in; empty when it is in none, or hidden."""
        outside = self.around and list(parts[:1]) != [self.around]
        if len(parts) <= self.depth or outside or is_hidden(parts):
            return ""
        return parts[self.depth] if not self.above or parts[self.depth - 1] in self.above else ""


def with_class(
    entries: Entries, listing: SourceListing, *, folders: Folders
) -> Iterator[tuple[str, str, SplitName | None]]:
    """The image files among ``entries``, each with its class and split.

    The class is the folder that it lies in; a single folder around all class folders is passed through. When the
    source's own splits are asked for, the folders above the classes are ``train``, ``val`` or ``test``; else, where
    there is a folder ``train`` with classes, only what lies below it is read.

    Args:
        entries: all that there is.
        listing: takes what is not taken, with the reasons.
        folders: what they say; when nothing, every image is listed, of no class.

    Raises:
        DataError: when a class folder gives no image at all, or only held-out splits are there.
    """
    shown, own_splits = _shown(entries.files), folders == "own_splits"
    if folders == "nothing":
        yield from _without_class(shown, entries, listing)
        return
    kinds = Counter(kind for _, kind in shown)
    layout = _layout([kind.parts for kind in kinds if kind.suffix in IMAGE_SUFFIXES], own_splits=own_splits)
    listing.passed_through = layout.around
    reasons = {kind: _why_not_taken(kind, layout) for kind in kinds}
    class_of = {kind: _utf8(kind.parts[layout.depth]) for kind, reason in reasons.items() if not reason}
    for name, kind in shown:
        if reason := reasons[kind]:
            listing.pass_over(name, reason)
            continue
        split = SPLIT_FOLDERS[kind.parts[layout.depth - 1].lower()] if own_splits else None
        yield name, class_of[kind], split
    for name, reason in entries.others.items():
        listing.pass_over(name, reason)
    _require_every_class(entries, kinds, layout, set(class_of.values()))


def _without_class(
    shown: Iterable[tuple[str, "_Kind"]], entries: Entries, listing: SourceListing
) -> Iterator[tuple[str, str, SplitName | None]]:
    for name, kind in shown:
        if kind.suffix in IMAGE_SUFFIXES:
            yield name, "", None
        else:
            listing.pass_over(name, why_no_picture(kind.suffix))
    for name, reason in entries.others.items():
        listing.pass_over(name, reason)


def why_no_picture(suffix: str) -> str:
    """Of a file that is not taken, by its suffix, in lower case with its dot."""
    if suffix in OTHER_PICTURES:
        return f"pictures that cannot be decoded ({suffix})"
    return f"{NO_PICTURE} ({suffix or 'no suffix'})"


class _Kind(NamedTuple):
    """What files of one folder with one suffix have in common. ``parts``: of their paths, the last one empty."""

    parts: tuple[str, ...]
    suffix: str


def _shown(names: Iterable[str]) -> list[tuple[str, _Kind]]:
    """The files that are not hidden; there are many of them, and few folders and suffixes."""
    kinds: dict[tuple[str, str], _Kind | None] = {}
    shown = []
    for name in names:
        folder, _, base = name.rpartition("/")
        suffix = splitext(base)[1]
        key = folder, suffix
        if key not in kinds:
            parts = _parts(folder)
            kinds[key] = None if is_hidden(parts) else _Kind((*parts, ""), suffix.lower())
        kind = kinds[key]
        if kind is not None and not (base.startswith(".") or base in SYSTEM_FOLDERS):
            shown.append((name, kind))
    return shown


def _parts(name: str) -> list[str]:
    return [part for part in name.split("/") if part not in ("", ".")]


def is_hidden(parts: Sequence[str]) -> bool:
    """Whether a path, by its parts, is hidden or in a hidden folder."""
    return any(part.startswith(".") for part in parts) or not SYSTEM_FOLDERS.isdisjoint(parts)


def _layout(images: Sequence[tuple[str, ...]], *, own_splits: bool) -> Layout:
    around = _folder_around(images)
    start = 1 if around else 0
    tops = {parts[start] for parts in images if len(parts) > start + 2}
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


def _why_not_taken(kind: _Kind, layout: Layout) -> str:
    parts, suffix = kind
    if suffix not in IMAGE_SUFFIXES:
        return why_no_picture(suffix)
    if layout.above and parts[layout.depth - 1] not in layout.above:
        top = parts[layout.depth - 1]
        if top.lower() in SPLIT_FOLDERS and len(parts) > layout.depth + 1:
            return f"in {top}, which looks like another split; set data.splits=own to take the source's splits"
        return f"beside {_listed(layout.above)}"
    return "" if len(parts) > layout.depth + 1 else LOOSE


def _require_every_class(entries: Entries, kinds: Mapping[_Kind, int], layout: Layout, classes: set[str]) -> None:
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


def _utf8(class_name: str) -> str:
    try:
        class_name.encode()
    except UnicodeEncodeError:
        raise DataError(f"class folder {class_name!r}: its name is not UTF-8; rename it") from None
    return class_name
