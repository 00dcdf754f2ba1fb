"""Images that look like frames of a film, a burst or a walk through a volume: neighbors by number show the same."""

import re
from collections import Counter, defaultdict
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from sanefit.components.dataset_snapshot.distinct import ListedImage
from sanefit.components.dataset_snapshot.picture_frequencies import low_frequencies, whitening_of
from sanefit.components.foundation.schemas.images import SplitName

NUMBERED = re.compile(r"^(?P<before>.*?)(?P<number>\d+)\.[^./]*$")
LOOKED_AT = 2_000  # pairs of neighbors
FEWEST = 10
ALIKE, MORE_ALIKE = 0.5, 0.3  # mean correlation of neighbors, and how much above that of others of their class
BLOCKS = 10  # of each class, at least
BY_SEQUENCE = r"pattern:^(.*?)[-_ ]?\d+\.[^./]*$"
BY_BLOCK = {1: r"pattern:^(.*)\d\.[^./]*$", 2: r"pattern:^(.*)\d\d\.[^./]*$"}


def sequence_advice(
    images: Sequence[ListedImage], splits: Sequence[SplitName], thumbnails: NDArray[np.uint8], seed: int = 0
) -> str:
    """The ``data.group`` to set when neighbors by number are nearly alike and lie in different splits; else empty.

    Numbers alone say nothing: many a data set numbers photographs of different things. So neighbors are compared with
    other images of their class.

    Args:
        images: with their paths.
        splits: of the same images.
        thumbnails: uint8 (images, side, side), of the same images.
        seed: of the images that neighbors are compared with.
    """
    numbered = _numbered(images)
    neighbors = [
        (numbers[number], numbers[number + 1])
        for numbers in numbered.values()
        for number in numbers
        if number + 1 in numbers and splits[numbers[number]] != splits[numbers[number + 1]]
    ]
    if len(neighbors) < FEWEST:
        return ""
    random = np.random.default_rng(seed)
    pairs = random.permutation(np.array(neighbors))[:LOOKED_AT]
    others = _others_of_their_class(images, pairs[:, 0], random)
    whitening = whitening_of(thumbnails)
    here, after, elsewhere = (
        low_frequencies(thumbnails[places], whitening) for places in (pairs[:, 0], pairs[:, 1], others)
    )
    alike = float((here * after).sum(axis=1).mean())
    usual = float((here * elsewhere).sum(axis=1).mean())
    return _pattern(images, numbered) if alike > ALIKE and alike - usual > MORE_ALIKE else ""


def _numbered(images: Sequence[ListedImage]) -> dict[tuple[str, str], dict[int, int]]:
    """By class and what stands before the last number of a path: images by that number."""
    places: dict[tuple[str, str], dict[int, int]] = defaultdict(dict)
    for place, image in enumerate(images):
        if found := NUMBERED.match(image.path):
            places[image.class_name, found["before"]][int(found["number"])] = place
    return places


def _others_of_their_class(
    images: Sequence[ListedImage], chosen: NDArray[np.int64], random: np.random.Generator
) -> NDArray[np.int64]:
    members: dict[str, list[int]] = defaultdict(list)
    for place, image in enumerate(images):
        members[image.class_name].append(place)
    of_class = [members[images[place].class_name] for place in chosen.tolist()]
    drawn = random.random(len(chosen)).tolist()
    return np.array([same[int(share * len(same))] for same, share in zip(of_class, drawn, strict=True)])


def _pattern(images: Sequence[ListedImage], places: dict[tuple[str, str], dict[int, int]]) -> str:
    """Whole sequences, where each class has several; else blocks of neighbors."""
    sequences = Counter(class_name for class_name, _ in places)
    if all(sequences[image.class_name] >= BLOCKS for image in images):
        return BY_SEQUENCE
    fewest = min(Counter(image.class_name for image in images).values())
    return BY_BLOCK[2 if fewest >= 100 * BLOCKS else 1]
