"""The split that the name of a file of many images tells, as in ``train-00000-of-00012.parquet``."""

import re
from collections.abc import Sequence
from pathlib import PurePosixPath

from sanefit.components.foundation.errors import DataError
from sanefit.components.foundation.image_dataset.sources.class_folders import SPLIT_FOLDERS
from sanefit.components.foundation.image_dataset.sources.named_files import NamedFile
from sanefit.components.foundation.image_dataset.sources.source_image import SourceListing
from sanefit.components.foundation.schemas.images import SplitName


def files_to_read(
    files: Sequence[NamedFile], listing: SourceListing, *, own_splits: bool
) -> list[tuple[NamedFile, SplitName | None]]:
    """Each file with its split; or, unless the source's own are asked for, those of training, where some are named so.

    A split is a word in a file's name, or else in that of the nearest folder.

    Args:
        files: one or more.
        listing: takes those that are not read.
        own_splits: whether they are asked for.

    Raises:
        DataError: when they are, and a file tells none, or none is of training.
    """
    splits = [_split_of(file.name) for file in files]
    if own_splits:
        _require_splits(files, splits)
        return list(zip(files, splits, strict=True))
    if "train" not in splits:
        return [(file, None) for file in files]
    for file, split in zip(files, splits, strict=True):
        if split is None:
            listing.pass_over(file.name, "beside files that are named train")
        elif split != "train":
            listing.pass_over(file.name, "of another split than train; set data.splits=own to take the source's splits")
    return [(file, None) for file, split in zip(files, splits, strict=True) if split == "train"]


def _require_splits(files: Sequence[NamedFile], splits: Sequence[SplitName | None]) -> None:
    if None in splits:
        raise DataError(
            f"data.splits=own: {files[splits.index(None)].uri!r} tells no split; expected one of the words train, val "
            "and test in the name of each file, as in train-000.tar; rename it, or set data.splits=by_content"
        )
    if "train" not in splits:
        raise DataError(
            f"data.splits=own: of {len(files):,} files, as {files[0].uri!r}, none is named train; expected some; widen "
            "the pattern, or set data.splits=by_content"
        )


def _split_of(name: str) -> SplitName | None:
    for part in reversed(PurePosixPath(name).parts):
        words = re.split("[^a-z0-9]+", part.lower())
        found = {SPLIT_FOLDERS[word] for word in words if word in SPLIT_FOLDERS}
        if len(found) == 1:
            return found.pop()
    return None
