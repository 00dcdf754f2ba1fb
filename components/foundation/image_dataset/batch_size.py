"""How many images to hold at once when the number makes no difference to the result."""

import math
from collections.abc import Sequence

VALUES_AT_ONCE = 2**22  # 16 MiB as float32, and a network's layers hold some times more


def images_at_once(image_shape: Sequence[int], most: int) -> int:
    """Fewer of large images than of small ones, at least 1.

    Args:
        image_shape: (height, width, channels).
        most: of the smallest, above 0.
    """
    return max(1, min(most, VALUES_AT_ONCE // math.prod(image_shape)))
