"""What every source lists."""

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from sanefit.components.foundation.image_dataset.sources.location import Location
from sanefit.components.foundation.schemas.images import SplitName
from sanefit.components.foundation.schemas.sources import Folders


@dataclass(frozen=True, slots=True)
class SourceImage:
    """One image as it was listed, not yet read.

    ``path``: its name, for people. ``location``: where its bytes are. ``split``: where the source itself puts it,
    when that was asked for. ``group``: the value of the column that ``data.group`` names.
    """

    class_name: str
    path: str
    location: Location
    split: SplitName | None = None
    group: str | None = None


@dataclass(frozen=True)
class ListingRequest:
    """What a source is asked for.

    ``place``: the part of ``data.source`` that its form has in capitals. ``scratch``: a folder that stays until the
    images are read. ``folders``: what they say. ``group_column``: of a table, that says which images belong together.
    ``class_from``: where the class stands in a path; empty for the highest folder.
    """

    place: str
    scratch: Path
    folders: Folders = "classes"
    group_column: str = ""
    class_from: str = ""

    @property
    def own_splits(self) -> bool:
        """Whether each image keeps the split that the source puts it in."""
        return self.folders == "own_splits"

    @property
    def of_no_class(self) -> bool:
        """Whether nothing is asked of an image but its pixels, and tables and samples need not tell its class."""
        return self.folders == "nothing"


@dataclass
class SourceListing:
    """The images of a source, and what of it is no image.

    ``passed_over``: files by the reason why they are not taken. ``example_of``: one of them for each reason.
    ``passed_through``: the one folder that lies around all class folders, where there is one.
    """

    images: list[SourceImage] = field(default_factory=list)
    passed_over: Counter[str] = field(default_factory=Counter)
    example_of: dict[str, str] = field(default_factory=dict)
    passed_through: str = ""

    def pass_over(self, name: str, reason: str) -> None:
        """Count a file that is not taken."""
        self.passed_over[reason] += 1
        self.example_of.setdefault(reason, name)
