"""How the learning rate moves over a training."""

import math

from sanefit.components.foundation.schemas.training import Schedule

STEPS_DOWN = (0.5, 0.75)  # of the training, as He et al. 2016 on CIFAR-10
STEP_FACTOR = 0.1


def learning_rate_at(schedule: Schedule, learning_rate: float, progress: float, warmup: float = 0.0) -> float:
    """The rate after a share ``progress`` in [0, 1] of the training.

    During the share ``warmup`` in [0, 0.5] it rises in a straight line from 0; the schedule takes the rest. ``cosine``
    falls from ``learning_rate`` to 0 (Loshchilov & Hutter 2017, without restarts); ``step`` falls to a tenth after a
    half, and again after three quarters (He et al. 2016).
    """
    if progress < warmup:
        return learning_rate * progress / warmup
    progress = (progress - warmup) / (1 - warmup)
    if schedule == "constant":
        return learning_rate
    if schedule == "step":
        return learning_rate * STEP_FACTOR ** sum(progress >= step for step in STEPS_DOWN)
    return learning_rate * 0.5 * (1 + math.cos(math.pi * progress))
