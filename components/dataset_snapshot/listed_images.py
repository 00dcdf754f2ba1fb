"""The images of a source after they were read, as columns."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import overload

import numpy as np
from numpy.typing import NDArray

from sanefit.components.dataset_snapshot.digest_table import Digests, as_bytes
from sanefit.components.dataset_snapshot.split_codes import SPLIT_OF_CODE
from sanefit.components.foundation.image_dataset.sources.source_image import SourceImages
from sanefit.components.foundation.schemas.images import SplitName

Numbers = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class ListedImage:
    """One image of a source: the digest of its pixels, its class, and the split that the source puts it in.

    ``broken``: why it is no image, if it is none. ``excluded``: whether ``data.exclude`` leaves it out.
    """

    digest: bytes
    class_name: str
    split: SplitName | None
    path: str = ""
    broken: str = ""
    excluded: bool = False


@dataclass(frozen=True)
class ListedImages(Sequence[ListedImage]):
    """Many of them; one is made when it is asked for.

    ``digests``: (images,). ``class_names``: rising; ``labels``: int32 (images,), of each image's class among them.
    ``codes``: int8 (images,), of splits. ``paths``: those of ``source`` with these numbers, int64 (images,).
    ``broken``: by number. ``excluded``: bool (images,).
    """

    digests: Digests
    class_names: Sequence[str]
    labels: NDArray[np.int32]
    codes: NDArray[np.int8]
    source: Sequence[str] | SourceImages
    numbers: Numbers
    excluded: NDArray[np.bool_]
    broken: Mapping[int, str] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.digests)

    @overload
    def __getitem__(self, number: int, /) -> ListedImage: ...
    @overload
    def __getitem__(self, number: slice, /) -> "ListedImages": ...
    def __getitem__(self, number: int | slice, /) -> "ListedImage | ListedImages":
        """An image, or some."""
        if isinstance(number, slice):
            return self.chosen(np.arange(len(self))[number])
        return ListedImage(
            digest=as_bytes(self.digests[number]),
            class_name=self.class_names[self.labels[number]],
            split=SPLIT_OF_CODE[self.codes[number]],
            path=self.path(number),
            broken=self.broken.get(number, ""),
            excluded=bool(self.excluded[number]),
        )

    def path(self, number: int) -> str:
        """What people call an image."""
        place = int(self.numbers[number])
        return self.source.path(place) if isinstance(self.source, SourceImages) else self.source[place]

    def class_name(self, number: int) -> str:
        """The class of an image."""
        return self.class_names[int(self.labels[number])]

    def split(self, number: int) -> SplitName | None:
        """Where an image is."""
        return SPLIT_OF_CODE[int(self.codes[number])]

    def chosen(self, numbers: Numbers) -> "ListedImages":
        """Those with these numbers, in this order; ``broken`` is of none of them."""
        return replace(
            self,
            digests=self.digests[numbers],
            labels=self.labels[numbers],
            codes=self.codes[numbers],
            numbers=self.numbers[numbers],
            excluded=self.excluded[numbers],
            broken={place: self.broken[n] for place, n in enumerate(numbers.tolist()) if n in self.broken}
            if self.broken
            else {},
        )

    def per_class(self) -> Counter[str]:
        """How many images each class has, in the order in which the classes come."""
        labels, first, counts = np.unique(self.labels, return_index=True, return_counts=True)
        order = np.argsort(first)
        return Counter(
            {self.class_names[label]: count for label, count in zip(labels[order], counts[order].tolist(), strict=True)}
        )
