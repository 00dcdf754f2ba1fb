"""Images in the order in which they lie, shard by shard."""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray


def rows_by_shard(
    place_of: Mapping[bytes, tuple[int, int]], digests: Sequence[bytes]
) -> Iterator[tuple[int, NDArray[np.bool_], NDArray[np.int64]]]:
    """Each shard that holds some of these images, which of them, bool (len(digests),), and their rows there, int64.

    Args:
        place_of: an image's shard and row, by the digest of its pixels.
        digests: of the images.
    """
    places = np.array([place_of[digest] for digest in digests], dtype=np.int64).reshape(-1, 2)
    for shard in np.unique(places[:, 0]).tolist():
        of_shard = places[:, 0] == shard
        yield shard, of_shard, places[of_shard, 1]
