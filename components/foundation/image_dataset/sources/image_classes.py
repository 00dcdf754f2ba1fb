"""Which class and which split each image file of a source has, by its path."""

import re
from collections.abc import Iterable, Iterator, Sequence

from sanefit.components.foundation.errors import DataError
from sanefit.components.foundation.image_dataset.sources.class_folders import (
    IMAGE_SUFFIXES,
    Entries,
    Kind,
    by_highest_folder,
    layout_of,
    shown_files,
    utf8,
    why_no_picture,
    why_other_split,
)
from sanefit.components.foundation.image_dataset.sources.source_image import SourceListing
from sanefit.components.foundation.schemas.images import SplitName
from sanefit.components.foundation.schemas.sources import Folders

Classified = Iterator[tuple[str, str, SplitName | None]]


def with_class(entries: Entries, listing: SourceListing, *, folders: Folders, class_from: str = "") -> Classified:
    """The image files among ``entries``, each with its class and split.

    When the source's own splits are asked for, the folders above the classes are ``train``, ``val`` or ``test``; else,
    where there is a folder ``train`` with classes, only what lies below it is read.

    Args:
        entries: all that there is.
        listing: takes what is not taken, with the reasons.
        folders: what they say; when nothing, every image is listed, of no class.
        class_from: ``data.class_from``; empty: the class is the highest folder, below those of splits and below a
            single one around all.

    Raises:
        DataError: when a class folder gives no image at all, or ``class_from`` finds no class, or only held-out splits
            are there.
    """
    shown, own_splits = shown_files(entries.files), folders == "own_splits"
    if folders == "nothing":
        yield from _without_class(shown, listing)
    elif class_from:
        yield from _by_rule(shown, listing, class_from, own_splits=own_splits)
    else:
        yield from by_highest_folder(shown, entries, listing, own_splits=own_splits)
    for name, reason in entries.others.items():
        listing.pass_over(name, reason)


def _without_class(shown: Iterable[tuple[str, Kind]], listing: SourceListing) -> Classified:
    for name, kind in shown:
        if kind.suffix in IMAGE_SUFFIXES:
            yield name, "", None
        else:
            listing.pass_over(name, why_no_picture(kind.suffix))


def _by_rule(shown: Sequence[tuple[str, Kind]], listing: SourceListing, rule: str, *, own_splits: bool) -> Classified:
    images = {kind.parts for _, kind in shown if kind.suffix in IMAGE_SUFFIXES}
    layout = layout_of(images, own_splits=own_splits, classes_are_folders=False)
    listing.passed_through = layout.around
    found = 0
    for name, kind in shown:
        if kind.suffix not in IMAGE_SUFFIXES:
            listing.pass_over(name, why_no_picture(kind.suffix))
        elif reason := why_other_split(kind.parts, layout):
            listing.pass_over(name, reason)
        elif class_name := _class_by(rule, name, kind.parts[layout.depth : -1]):
            found += 1
            yield name, utf8(class_name), layout.split_of(kind.parts) if own_splits else None
        else:
            listing.pass_over(name, f"no class by data.class_from={rule}")
    if images and not found:
        raise DataError(
            f"data.class_from={rule!r} finds no class for any image, as {listing.example_of.popitem()[1]!r}; expected "
            "one for each; correct it"
        )


def _class_by(rule: str, name: str, folders: Sequence[str]) -> str:
    """By the folders that an image lies in, below those of splits, or by its path below the source."""
    kind, _, what = rule.partition(":")
    if kind == "folder":
        return folders[-int(what)] if len(folders) >= int(what) else ""
    return found_by(what, name) or ""


def found_by(pattern: str, path: str) -> str | None:
    """What a regular expression finds in a path: the first of its groups, if it has any."""
    found = re.search(pattern, path)
    return found and found.group(min(found.re.groups, 1))
