"""The two networks' recipes, and the trials of a search. Needs no torch."""

import random
from dataclasses import dataclass

from search_peers.protocol import NetName, Trial

SIDE, CLASSES = 32, 10
HIDDEN, CHANNELS = 50, (16, 32, 64)
CIFAR_MEAN, CIFAR_STD = (125.27, 122.93, 113.86), (62.53, 61.91, 66.46)  # pixel units


Bounds = tuple[float, float]


@dataclass(frozen=True)
class Recipe:
    """A pixel becomes (pixel - ``shift``) / ``scale``, in pixel units 0-255; rates and penalties lie between bounds."""

    batch_size: int
    momentum: float
    shift: tuple[float, float, float]
    scale: tuple[float, float, float]
    learning_rates: Bounds
    weight_decays: Bounds


RECIPES: dict[NetName, Recipe] = {
    # lambda * rate stays below 0.01, so that no trial explodes
    "lecture": Recipe(64, 0.0, CIFAR_MEAN, (1.0, 1.0, 1.0), (1e-6, 1e-3), (1e-5, 1e1)),
    "convnet": Recipe(128, 0.9, CIFAR_MEAN, CIFAR_STD, (1e-3, 1e-1), (1e-6, 1e-2)),
}
PLASTIC = 1.32471795724474602596  # x**3 = x + 1; its powers fill a square evenly: the R2 sequence (Roberts 2018)


def make_trials(learning_rates: Bounds, weight_decays: Bounds, count: int, seed: int) -> tuple[Trial, ...]:
    """Log-uniform, and spread evenly however few of them, from the first on, are trained."""
    starts = random.Random(seed)
    first_rate, first_decay = starts.random(), starts.random()
    return tuple(
        Trial(
            number,
            _between(learning_rates, first_rate + number / PLASTIC),
            _between(weight_decays, first_decay + number / PLASTIC**2),
        )
        for number in range(count)
    )


def _between(bounds: Bounds, place: float) -> float:
    low, high = bounds
    return low * (high / low) ** (place % 1)
