"""What every source lists."""

from array import array
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import overload

import numpy as np
from numpy.typing import NDArray

from sanefit.components.foundation.image_dataset.sources.local_file import LocalFile, PartOfFile
from sanefit.components.foundation.image_dataset.sources.location import Location
from sanefit.components.foundation.schemas.images import SplitName
from sanefit.components.foundation.schemas.sources import Folders
from sanefit.components.foundation.storage.remote_stores import StoredObject

AS_IT_IS, BY_ITS_PATH = -1, -2  # locations that lie in no archive: any object, and a file of the image's own path


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


class SourceImages(Sequence[SourceImage]):
    """A list of images that only grows, as columns: a hundred bytes for each, where objects would take five hundred.

    Args:
        images: the first ones.
    """

    def __init__(self, images: Iterable[SourceImage] = ()) -> None:
        self._paths, self._ends = bytearray(), array("q")
        self._numbers: dict[str | None, int] = {}
        self._texts: list[str | None] = []
        self._class_names, self._splits, self._groups = array("i"), array("i"), array("i")
        self._archives: dict[tuple[str, str], int] = {}
        self._archive_list: list[tuple[str, str]] = []
        self._kinds, self._starts, self._sizes = array("i"), array("q"), array("q")
        self._locations: dict[int, Location] = {}
        self.extend(images)

    def append(self, image: SourceImage) -> None:
        """Add an image."""
        number, location = len(self._ends), image.location
        self._paths += image.path.encode("utf-8", "surrogatepass")
        self._ends.append(len(self._paths))
        self._class_names.append(self._number_of(image.class_name))
        self._splits.append(self._number_of(image.split))
        self._groups.append(self._number_of(image.group))
        if isinstance(location, PartOfFile):
            place = self._archive_of(location), location.offset, location.size
        elif isinstance(location, LocalFile) and location.path == image.path:
            place = BY_ITS_PATH, location.modified, location.size
        else:
            self._locations[number] = location
            place = AS_IT_IS, 0, 0
        for column, value in zip((self._kinds, self._starts, self._sizes), place, strict=True):
            column.append(value)

    def extend(self, images: Iterable[SourceImage]) -> None:
        """Add images."""
        for image in images:
            self.append(image)

    def _number_of(self, text: str | None) -> int:
        number = self._numbers.setdefault(text, len(self._texts))
        if number == len(self._texts):
            self._texts.append(text)
        return number

    def _archive_of(self, part: PartOfFile) -> int:
        number = self._archives.setdefault((part.path, part.origin), len(self._archive_list))
        if number == len(self._archive_list):
            self._archive_list.append((part.path, part.origin))
        return number

    def __len__(self) -> int:
        return len(self._ends)

    @overload
    def __getitem__(self, number: int, /) -> SourceImage: ...
    @overload
    def __getitem__(self, number: slice, /) -> list[SourceImage]: ...
    def __getitem__(self, number: int | slice, /) -> SourceImage | list[SourceImage]:
        """An image, or some."""
        if isinstance(number, slice):
            return self.chosen(range(*number.indices(len(self))))
        if not -len(self) <= number < len(self):
            raise IndexError(number)
        return self.chosen([number % len(self)])[0]

    def __iter__(self) -> Iterator[SourceImage]:
        """One after the other."""
        for start in range(0, len(self), 1000):
            yield from self[start : start + 1000]

    def path(self, number: int) -> str:
        """What people call an image."""
        start = self._ends[number - 1] if number else 0
        return self._paths[start : self._ends[number]].decode("utf-8", "surrogatepass")

    def classes(self) -> tuple[list[str], NDArray[np.int32]]:
        """The names of the classes, rising, and that of each image among them: int32 (images,)."""
        numbers = np.array(self._class_names, dtype=np.int64)
        names = sorted({self._texts[number] or "": number for number in np.unique(numbers).tolist()}.items())
        label_of = np.zeros(len(self._texts), dtype=np.int32)
        label_of[[number for _, number in names]] = np.arange(len(names))
        return [name for name, _ in names], label_of[numbers]

    def split(self, number: int) -> SplitName | None:
        """Where the source puts an image."""
        split: SplitName | None = self._texts[self._splits[number]]  # type: ignore[assignment]  # as it was given
        return split

    def chosen(self, numbers: Iterable[int]) -> list[SourceImage]:
        """The images with these numbers."""
        texts, archives, found = self._texts, self._archive_list, []
        for number in numbers:
            path, kind = self.path(number), self._kinds[number]
            location: Location
            if kind >= 0:
                file, origin = archives[kind]
                location = PartOfFile(file, self._starts[number], self._sizes[number], origin)
            elif kind == BY_ITS_PATH:
                location = LocalFile(path, self._starts[number], self._sizes[number])
            else:
                location = self._locations[number]
            class_name = texts[self._class_names[number]]
            group = texts[self._groups[number]]
            found.append(SourceImage(class_name or "", path, location, self.split(number), group))
        return found


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
    ``passed_through``: the one folder that lies around all class folders, where there is one. ``objects``: those of an
    object store that pixels are read from: images, archives, shards.
    """

    images: SourceImages = field(default_factory=SourceImages)
    passed_over: Counter[str] = field(default_factory=Counter)
    example_of: dict[str, str] = field(default_factory=dict)
    passed_through: str = ""
    objects: list[StoredObject] = field(default_factory=list)

    def pass_over(self, name: str, reason: str) -> None:
        """Count a file that is not taken."""
        self.passed_over[reason] += 1
        self.example_of.setdefault(reason, name)
