"""A grid over the search range, as even as fits in the number of trials."""

import itertools
import math
import random
from collections.abc import Sequence

from sanefit.components.foundation.schemas.search import SearchRange, TrialSetting
from sanefit.components.foundation.schemas.searchable import Value
from sanefit.components.hyperparameter_search.space.axis import Axis, axes


def draw_grid(searched: SearchRange, trials: int, seed: int) -> tuple[list[TrialSetting], str]:
    """Every point of the grid, shuffled, and what each axis got.

    Each list of choices is taken whole; the ranges share what is left: their numbers of points differ by
    at most one, and their product is the largest that fits. Points are equally far apart,
    bounds included; a single point is the middle. Shuffled, so that a pack holds a bit of everything.

    Args:
        searched: ranges and choices.
        trials: the most points that the grid may have; at least as many as the choices make (``SearchSettings``).
        seed: of the order.
    """
    combinations = math.prod(len(choices) for choices in searched.choices.values())
    ranges = axes(searched)
    points = points_per_axis(len(ranges), trials // combinations)
    values: dict[str, Sequence[Value]] = {
        axis.name: _spread(axis, count) for axis, count in zip(ranges, points, strict=True)
    }
    values.update(searched.choices.items())
    grid = [
        TrialSetting.model_validate(dict(zip(values, point, strict=True)))
        for point in itertools.product(*values.values())
    ]
    random.Random(seed).shuffle(grid)
    shares = ", ".join(f"{len(given)} of {name.replace('_', ' ')}" for name, given in values.items())
    return grid, f"a grid of {len(grid)} in {trials} trials: {shares}"


def points_per_axis(count: int, budget: int) -> list[int]:
    """Points of each of ``count`` axes, at least one, that differ by at most one, with a product of at most ``budget``.

    The first axes get the larger number. ``budget`` is at least 1.
    """
    fewer = 1
    while (fewer + 1) ** count <= budget:
        fewer += 1
    more = 0
    while (fewer + 1) ** (more + 1) * fewer ** (count - more - 1) <= budget:
        more += 1
    return [fewer + 1] * more + [fewer] * (count - more)


def _spread(axis: Axis, points: int) -> list[float]:
    low, high = axis.ends
    if points == 1:
        return [axis.value((low + high) / 2)]
    inner = [axis.value(low + axis.width * point / (points - 1)) for point in range(1, points - 1)]
    return [axis.bounds[0], *inner, axis.bounds[1]]
