"""How the learning rate moves over a training."""

import math
from collections.abc import Callable

from sanefit.components.foundation.schemas.training import Schedule

STEPS_DOWN = (0.5, 0.75)  # of the training, as He et al. 2016 on CIFAR-10
STEP_FACTOR = 0.1
# Share of the rate after a share of the training, both in [0, 1].
SCHEDULES: dict[Schedule, Callable[[float], float]] = {
    "constant": lambda _progress: 1.0,
    # To a tenth after a half, and again after three quarters.
    "step": lambda progress: STEP_FACTOR ** sum(progress >= step for step in STEPS_DOWN),
    # To 0 (Loshchilov & Hutter 2017, without restarts).
    "cosine": lambda progress: 0.5 * (1 + math.cos(math.pi * progress)),
}


def learning_rate_at(schedule: Schedule, learning_rate: float, progress: float, warmup: float = 0.0) -> float:
    """The rate after a share ``progress`` in [0, 1] of the training.

    During the share ``warmup`` in [0, 0.5] it rises in a straight line from 0; the schedule takes the rest.
    """
    if progress < warmup:
        return learning_rate * progress / warmup
    return learning_rate * SCHEDULES[schedule]((progress - warmup) / (1 - warmup))
