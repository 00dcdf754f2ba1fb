"""Where images come from, and what a snapshot of them holds."""

from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from sanefit.components.foundation.schemas.bases import Artifact, Level, OneLine, Settings
from sanefit.components.foundation.schemas.sources import SourceKind, kind_of, of_known_kind

SplitName = Literal["train", "validation", "test"]
SPLITS: tuple[SplitName, ...] = ("train", "validation", "test")


class DataSettings(Settings):
    """Where the images come from, how they are split, and what is done with those that are not as they should be.

    ``image_size``: every image is scaled, keeping its proportions, and cropped around its center to this many pixels
    on both sides. ``background``: what transparent images lie over. ``max_bad_fraction``: share of files that may be
    broken; more of them stop the run. ``splits``: ``by_content``, a hash of each image, or ``own``, those of the
    source: folders ``train``, ``val`` and ``test`` above the classes, or a table's column ``split``.
    """

    source: Annotated[str, AfterValidator(of_known_kind)] = "digits"
    image_size: Annotated[int, Field(ge=1, le=4096)] | None = None
    splits: Literal["by_content", "own"] = "by_content"
    validation_fraction: Annotated[float, Field(gt=0, lt=0.5)] = 0.15
    test_fraction: Annotated[float, Field(gt=0, lt=0.5)] = 0.15
    background: tuple[Level, Level, Level] = (255, 255, 255)
    max_bad_fraction: Annotated[float, Field(ge=0, le=1)] = 0.01

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
    """A split: a file of int64 (images, 3), each image's shard, its row there, and its label, by rising digest."""

    images: int
    index_file: str
    index_sha256: str


class QuarantinedFile(Artifact):
    """A file that is no whole image, and why."""

    path: str
    reason: OneLine


class PassedOver(Artifact):
    """Files of a source that are not taken, for one reason; ``example``: one of them."""

    reason: OneLine
    files: int
    example: OneLine


class LabelConflict(Artifact):
    """The same image in several classes; none of them is in the snapshot."""

    paths: list[str]
    class_names: list[str]


class Manifest(Artifact):
    """What a snapshot holds, and what of its source it does not. ``image_shape`` is (height, width, channels).

    ``duplicates``: how many images were left out because their class has the same image already.
    """

    format_version: Literal[3] = 3
    fingerprint: str
    class_names: list[str]
    image_shape: tuple[int, int, int]
    images_per_class: dict[SplitName, dict[str, int]]
    passed_over: list[PassedOver] = Field(default=[])
    duplicates: int = 0
    label_conflicts: list[LabelConflict] = Field(default=[])
    quarantined: list[QuarantinedFile] = Field(default=[])
    splits: dict[SplitName, SplitIndex]
    shards: list[Shard]


class DatasetReference(Artifact):
    """Points to a snapshot in a storage; the fingerprint names its content."""

    storage: str
    fingerprint: str
