"""Images in the order in which they lie, shard by shard."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray


def rows_by_shard(places: NDArray[np.int64]) -> Iterator[tuple[int, NDArray[np.int64], NDArray[np.int64]]]:
    """Each shard that holds some of these images, which of them, rising, and their rows there, both int64.

    Args:
        places: int64 (images, 2), shards and rows.
    """
    order = np.argsort(places[:, 0], kind="stable")
    shards, first = np.unique(places[order, 0], return_index=True)
    for shard, of_shard in zip(shards.tolist(), np.split(order, first[1:]), strict=True):
        yield shard, of_shard, places[of_shard, 1]
