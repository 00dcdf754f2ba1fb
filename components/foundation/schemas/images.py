"""Where images come from, and what a snapshot of them holds."""

import re
from collections.abc import Iterable
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from sanefit.components.foundation.schemas.bases import Artifact, Level, OneLine, Settings
from sanefit.components.foundation.schemas.sources import REMOTE, Folders, SourceKind, kind_of, of_known_kind

SplitName = Literal["train", "validation", "test"]
SPLITS: tuple[SplitName, ...] = ("train", "validation", "test")


def _group(value: str) -> str:
    kind, _, place = value.partition(":")
    try:
        fits = {"column": bool(place), "folder": place.isdecimal() and int(place) > 0, "pattern": bool(place)}[kind]
        if kind == "pattern":
            re.compile(place)
    except (KeyError, re.error) as error:
        raise ValueError(f"{_GROUP_FORMS} ({error})" if isinstance(error, re.error) else _GROUP_FORMS) from None
    if not fits:
        raise ValueError(_GROUP_FORMS)
    return value


_GROUP_FORMS = (
    "expected column:NAME of a table, folder:LEVEL (1 is the folder that a file lies in), or pattern:REGEX of its path"
)


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
    the classes, a table's column ``split``, or these words in the names of its files. ``group``: which images belong
    together, of a patient or a video, say, and never lie in two splits: ``column:NAME`` of a table, ``folder:LEVEL``, 1
    for the folder that a file lies in, or ``pattern:REGEX``, what it finds in the path. ``exclude``: a file, local or
    in S3, of names of images that are left out: a CSV table with a column ``path``, or a name in each line.
    """

    source: Annotated[str, AfterValidator(of_known_kind)] = "digits"
    image_size: ImageSides | None = None
    splits: Literal["by_content", "own"] = "by_content"
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


class Shard(Artifact):
    """A file of pixels, uint8 (images, height, width, channels), that snapshots share; ``path``: below the storage."""

    path: str
    sha256: str
    images: int


class SplitIndex(Artifact):
    """A split: its file is the index that ``read_index`` reads, by rising digest; beside it what
    ``read_file_facts`` reads.
    """

    images: int
    index_file: str
    index_sha256: str
    facts_file: str = ""
    facts_sha256: str = ""


class QuarantinedFile(Artifact):
    """A file that is no whole image, and why."""

    path: str
    reason: OneLine


class ExcludedImage(Artifact):
    """An image that is left out because ``data.exclude`` names it, or a copy of it in its class."""

    path: str
    class_name: str


class PassedOver(Artifact):
    """Files of a source that are not taken, for one reason; ``example``: one of them."""

    reason: OneLine
    files: int
    example: OneLine


class LabelConflict(Artifact):
    """The same image in several classes; none of them is in the snapshot. ``place``: its shard and row, of some."""

    paths: list[str]
    class_names: list[str]
    place: tuple[int, int] | None = None


def leaks(splits: Iterable[SplitName | None]) -> bool:
    """Whether some of these splits of copies is trained on, and another is not."""
    found = set(splits)
    return len(found) > 1 and "train" in found


class NearDuplicate(Artifact):
    """Two pictures that are nearly the same: of each its path, class, split, and its shard and row."""

    paths: tuple[str, str]
    class_names: tuple[str, str]
    splits: tuple[SplitName, SplitName]
    places: tuple[tuple[int, int], tuple[int, int]]

    @property
    def leaks(self) -> bool:
        """Whether one of them is trained on, and the other is not."""
        return leaks(self.splits)


class UnusualImage(Artifact):
    """An image far from the others of its set. ``place``: its shard and row."""

    path: str
    class_name: str
    what: Literal["dark", "bright", "blurred", "sharp"]
    place: tuple[int, int]


class ImageSize(Artifact):
    """How many images were of a size before they were scaled."""

    width: int
    height: int
    images: int


class Manifest(Artifact):
    """What a snapshot holds, and what of its source it does not. ``image_shape`` is (height, width, channels).

    ``duplicates``: how many images were left out because their class has the same image already. ``near_duplicates``:
    how many pairs of pictures are nearly the same; ``near_leaks``: of how many of them one is trained on, and one is
    not; ``near_examples``: some of them. ``unusual``: images that stand out. ``sizes``: the most frequent ones;
    ``different_sizes``: how many there are. ``modes``: images by the mode of their file, as Pillow calls it;
    ``file_formats``: those that there are.
    """

    format_version: Literal[5] = 5
    fingerprint: str
    class_names: list[str]
    image_shape: tuple[int, int, int]
    images_per_class: dict[SplitName, dict[str, int]]
    passed_over: list[PassedOver] = Field(default=[])
    duplicates: int = 0
    near_duplicates: int = 0
    near_leaks: int = 0
    near_examples: list[NearDuplicate] = Field(default=[])
    label_conflicts: list[LabelConflict] = Field(default=[])
    quarantined: list[QuarantinedFile] = Field(default=[])
    excluded: list[ExcludedImage] = Field(default=[])
    unusual: list[UnusualImage] = Field(default=[])
    sizes: list[ImageSize] = Field(default=[])
    different_sizes: int = 0
    modes: dict[str, int] = Field(default={})
    file_formats: list[str] = Field(default=[])
    splits: dict[SplitName, SplitIndex]
    shards: list[Shard]


class DatasetReference(Artifact):
    """Points to a snapshot in a storage; the fingerprint names its content."""

    storage: str
    fingerprint: str
