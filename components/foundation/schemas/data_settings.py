"""The section ``data`` of a configuration: where images come from, how they are split, what is done with odd ones."""

import re
from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from sanefit.components.foundation.schemas.bases import Level, Settings
from sanefit.components.foundation.schemas.sources import REMOTE, Folders, SourceKind, kind_of, of_known_kind

_OF_A_PATH = "folder:LEVEL (1 is the folder that a file lies in), or pattern:REGEX of its path"


def _group(value: str) -> str:
    return _in_form(value, ("column", "folder", "pattern"), f"expected column:NAME of a table, {_OF_A_PATH}")


def _class_from(value: str) -> str:
    return _in_form(value, ("folder", "pattern"), f"expected {_OF_A_PATH}")


def _in_form(value: str, kinds: Sequence[str], expected: str) -> str:
    kind, _, place = value.partition(":")
    try:
        if kind == "pattern":
            re.compile(place)
    except re.error as error:
        raise ValueError(f"{expected} ({error})") from None
    if kind not in kinds or not place or (kind == "folder" and not (place.isdecimal() and int(place) > 0)):
        raise ValueError(expected)
    return value


LARGEST_SIDE = 4096


def _sides(size: object) -> object:
    """One number for a square, whichever way it is written, so that equal sizes give equal keys."""
    sides = size if isinstance(size, (list, tuple)) and len(size) == 2 else [size]
    if any(type(side) is not int or not 1 <= side <= LARGEST_SIDE for side in sides):
        raise ValueError(f"expected pixels from 1 to {LARGEST_SIDE:,}: one number, or [height, width]")
    return sides[0] if len(set(sides)) == 1 else tuple(sides)


ImageSides = Annotated[int | tuple[int, int], BeforeValidator(_sides)]


class DataSettings(Settings):
    """Where the images come from, how they are split, and what is done with those that are not as they should be.

    ``image_size``: every image is scaled, keeping its proportions, and cropped around its center to this many pixels
    on both sides, or to ``[height, width]``. ``background``: what transparent images lie over. ``bit_depth``: how many
    bits of a 16-bit file hold gray levels; the highest 8 of them are kept. ``large_jpegs``: ``reduced`` decodes JPEG
    files of more than a megapixel at a half, a quarter or an eighth, as small as leaves twice ``image_size`` on both
    sides. ``max_bad_fraction``: share of files that may be broken; more of them stop the run. ``splits``:
    ``by_content``, a hash of each image, or ``own``, those of the source: folders ``train``, ``val`` and ``test`` above
    the classes, a table's column ``split``, or these words in the names of its files. ``class_from``: where the class
    stands, if not in the highest folder: ``folder:LEVEL``, 1 for the folder that a file lies in, or ``pattern:REGEX``,
    what it finds in the path. ``group``: which images belong together, of a patient or a video, say, and never lie in
    two splits: as ``class_from``, or ``column:NAME`` of a table. ``exclude``: a file, of this machine or in an object
    store, of names of images that are left out: a CSV table with a column ``path``, or a name in each line.
    """

    source: Annotated[str, AfterValidator(of_known_kind)] = "digits"
    image_size: ImageSides | None = None
    splits: Literal["by_content", "own"] = "by_content"
    class_from: Annotated[str, AfterValidator(_class_from)] | None = None
    group: Annotated[str, AfterValidator(_group)] | None = None
    validation_fraction: Annotated[float, Field(gt=0, lt=0.5)] = 0.15
    test_fraction: Annotated[float, Field(gt=0, lt=0.5)] = 0.15
    background: tuple[Level, Level, Level] = (255, 255, 255)
    bit_depth: Annotated[int, Field(ge=8, le=16)] = 16
    large_jpegs: Literal["full", "reduced"] = "full"
    max_bad_fraction: Annotated[float, Field(ge=0, le=1)] = 0.01
    exclude: Annotated[str, Field(min_length=1)] | None = None

    @model_validator(mode="after")
    def _groups_are_dealt(self) -> "DataSettings":
        if self.group is not None and self.splits == "own":
            raise ValueError(
                "data.group deals whole groups into splits; with data.splits=own the source does: remove one"
            )
        if self.group is not None and self.group.startswith("column:") and not self.source_kind.is_table:
            raise ValueError(
                f"data.group={self.group!r}: data.source={self.source!r} has no columns; expected a csv: or parquet: "
                "source, or data.group=folder:LEVEL or pattern:REGEX; change one of them"
            )
        return self

    @model_validator(mode="after")
    def _classes_stand_in_paths(self) -> "DataSettings":
        if self.class_from is not None and not self.source_kind.has_paths:
            raise ValueError(
                f"data.class_from={self.class_from!r}: data.source={self.source!r} says each image's class itself; "
                "expected a folder, an archive or a prefix of an object store; remove class_from"
            )
        return self

    @model_validator(mode="after")
    def _reduced_to_a_size(self) -> "DataSettings":
        if self.large_jpegs == "reduced" and self.image_size is None:
            raise ValueError(
                "data.large_jpegs=reduced: expected data.image_size with it, which says how small they may become; set "
                "it, or data.large_jpegs=full"
            )
        return self

    @property
    def decoding(self) -> str:
        """What decides how files become pixels, for what is named by it; as before there was ``large_jpegs``."""
        reduced = "" if self.large_jpegs == "full" else f" {self.large_jpegs}"
        return f"{self.image_size} {self.background} {self.bit_depth}{reduced}"

    @property
    def group_column(self) -> str:
        """Of a table; empty where groups are found otherwise, or not at all."""
        kind, _, name = (self.group or "").partition(":")
        return name if kind == "column" else ""

    @property
    def excludes_by_local_file(self) -> bool:
        """Whether ``exclude`` names a file of this machine."""
        return self.exclude is not None and not self.exclude.startswith(REMOTE)

    @property
    def folders(self) -> Folders:
        """What the folders of the source say."""
        return "own_splits" if self.splits == "own" else "classes"

    @property
    def source_kind(self) -> SourceKind:
        """What is known of the source before any image of it is read."""
        return kind_of(self.source)
