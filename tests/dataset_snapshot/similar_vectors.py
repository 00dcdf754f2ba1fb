"""Vectors of which some are similar, and the similar pairs as they are found one by one."""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]


def vectors(pictures: int, planted: int, seed: int) -> Floats:
    """Of length 1, some of them nearly the same as others, one of nothing."""
    random = np.random.default_rng(seed)
    found = random.normal(size=(pictures, 6))
    for copy, original in random.integers(0, pictures, (planted, 2)):
        found[copy] = found[original] + random.normal(0, 0.2, 6)
    found /= np.linalg.norm(found, axis=1, keepdims=True)
    found[random.integers(pictures)] = 0
    return found.astype(np.float32)


def by_pairs(low: Floats, first_new: int, most: int, least: float) -> dict[tuple[int, int], float]:
    """Each picture beside those before it, one after the other."""
    found = {}
    for j in range(first_new, len(low)):
        similar = [(float(low[i] @ low[j]), i) for i in range(j)]
        kept = sorted((one for one in similar if one[0] > least), key=lambda one: -one[0])[:most]
        found |= {(i, j): similarity for similarity, i in kept}
    return found
