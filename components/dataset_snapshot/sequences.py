"""Images that look like frames of a film, a burst or a walk through a volume: neighbors by number show the same."""

import re

import numpy as np

from sanefit.components.dataset_snapshot.listed_images import ListedImages, Numbers
from sanefit.components.dataset_snapshot.picture_frequencies import ManyThumbnails, low_frequencies, whitening_of
from sanefit.components.dataset_snapshot.split_codes import Codes

NUMBERED = re.compile(r"^(?P<before>.*?)(?P<number>\d+)\.[^./]*$")
LOOKED_AT = 2_000  # pairs of neighbors
FEWEST = 10
MOST_DIGITS = 18
ALIKE, MORE_ALIKE = 0.5, 0.3  # mean correlation of neighbors, and how much above that of others of their class
BLOCKS = 10  # of each class, at least
BY_SEQUENCE = r"pattern:^(.*?)[-_ ]?\d+\.[^./]*$"
BY_BLOCK = {1: r"pattern:^(.*)\d\.[^./]*$", 2: r"pattern:^(.*)\d\d\.[^./]*$"}


def sequence_advice(images: ListedImages, codes: Codes, thumbnails: ManyThumbnails, seed: int = 0) -> str:
    """The ``data.group`` to set when neighbors by number are nearly alike and lie in different splits; else empty.

    Numbers alone say nothing: many a data set numbers photographs of different things. So neighbors are compared with
    other images of their class.

    Args:
        images: with their paths.
        codes: the splits of the same images.
        thumbnails: uint8 (images, side, side), of the same images.
        seed: of the images that neighbors are compared with.
    """
    sequences, numbers = _numbered(images)
    neighbors = _neighbors(sequences, numbers, codes)
    if len(neighbors) < FEWEST:
        return ""
    random = np.random.default_rng(seed)
    pairs = random.permutation(neighbors)[:LOOKED_AT]
    others = _others_of_their_class(images, pairs[:, 0], random)
    whitening = whitening_of(thumbnails)
    here, after, elsewhere = (
        low_frequencies(thumbnails[places], whitening) for places in (pairs[:, 0], pairs[:, 1], others)
    )
    alike = float((here * after).sum(axis=1).mean())
    usual = float((here * elsewhere).sum(axis=1).mean())
    return _pattern(images, sequences) if alike > ALIKE and alike - usual > MORE_ALIKE else ""


def _numbered(images: ListedImages) -> tuple[Numbers, Numbers]:
    """By class and what stands before the last number of a path, in the order in which they come: which sequence each
    image is of, or -1, and its number there.

    Numbers of more digits than 64 bits hold are no frames': they follow no other.
    """
    known: dict[tuple[int, str], int] = {}
    sequences, numbers = np.full(len(images), -1), np.zeros(len(images), dtype=np.int64)
    for place, label in enumerate(images.labels.tolist()):
        if found := NUMBERED.match(images.path(place)):
            sequences[place] = known.setdefault((label, found["before"]), len(known))
            numbers[place] = int(found["number"]) if len(found["number"]) <= MOST_DIGITS else -2 * (place + 1)
    return sequences, numbers


def _neighbors(sequences: Numbers, numbers: Numbers, codes: Codes) -> Numbers:
    """Images whose numbers follow each other and that lie in different splits: int64 (pairs, 2).

    Of several images of a number, the last one counts, in the place of the first.
    """
    places = np.flatnonzero(sequences >= 0)
    order = places[np.lexsort((places, numbers[places], sequences[places]))]
    differs = (np.diff(sequences[order]) != 0) | (np.diff(numbers[order]) != 0)
    first, last = order[np.concatenate([[True], differs])[: len(order)]], order[np.append(differs, True)[: len(order)]]
    follows = (np.diff(sequences[last]) == 0) & (np.diff(numbers[last]) == 1) & (codes[last[1:]] != codes[last[:-1]])
    one = np.flatnonzero(follows)
    one = one[np.lexsort((first[one], sequences[first[one]]))]
    return np.column_stack([last[one], last[one + 1]])


def _others_of_their_class(images: ListedImages, chosen: Numbers, random: np.random.Generator) -> Numbers:
    by_class = np.argsort(images.labels, kind="stable")
    starts = np.searchsorted(images.labels[by_class], np.arange(len(images.class_names) + 1))
    labels, drawn = images.labels[chosen], random.random(len(chosen))
    found: Numbers = by_class[starts[labels] + (drawn * np.diff(starts)[labels]).astype(np.int64)]
    return found


def _pattern(images: ListedImages, sequences: Numbers) -> str:
    """Whole sequences, where each class has several; else blocks of neighbors."""
    several = np.unique(np.column_stack([images.labels, sequences])[sequences >= 0], axis=0)
    counts = np.bincount(several[:, 0], minlength=len(images.class_names))
    if (counts[images.labels] >= BLOCKS).all():
        return BY_SEQUENCE
    fewest = min(images.per_class().values())
    return BY_BLOCK[2 if fewest >= 100 * BLOCKS else 1]
