"""What a snapshot of images holds."""

from collections.abc import Iterable
from typing import Literal

from pydantic import Field

from sanefit.components.foundation.schemas.bases import Artifact, OneLine

SplitName = Literal["train", "validation", "test"]
SPLITS: tuple[SplitName, ...] = ("train", "validation", "test")


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
