"""How the learning rate moves over the epochs."""

import math
from typing import Literal

Schedule = Literal["constant", "cosine"]


def learning_rate_at(schedule: Schedule, learning_rate: float, progress: float) -> float:
    """The rate after a share ``progress`` in [0, 1] of the training.

    ``cosine`` falls from ``learning_rate`` to 0 (Loshchilov & Hutter 2017, without restarts).
    """
    if schedule == "constant":
        return learning_rate
    return learning_rate * 0.5 * (1 + math.cos(math.pi * progress))
