"""Rounds of a pack whose trials are drawn from its own results (``search.method=tpe``)."""

import math
from collections.abc import Sequence

from sanefit.components.foundation.randomness import derive_seed
from sanefit.components.foundation.schemas.search import PackPlan, TrialResult, TrialSpec
from sanefit.components.hyperparameter_search.plan.drawing import draw_tpe

ROUND_SHARE = 0.25  # of a pack's trials: the pack trains a round at once, and draws the next from what it gave
ROUND_AT_LEAST = 4


def round_size(trials: int) -> int:
    """Trials of one round of a pack that has so many in all."""
    return min(trials, max(ROUND_AT_LEAST, math.ceil(ROUND_SHARE * trials)))


def draw_next_round(plan: PackPlan, results: Sequence[TrialResult], seed: int) -> list[TrialSpec]:
    """The trials that a pack trains next; none when nothing is left to draw.

    Args:
        plan: of the pack.
        results: every trial of the pack so far, those that failed too.
        seed: of the run; the same plan, results and seed give the same trials.

    Returns:
        About a quarter of the pack's trials, at least 4, or what is left of ``plan.to_draw``.
    """
    planned = {trial.number for trial in plan.trials}
    drawn = len({result.spec.number for result in results} - planned)
    size = min(round_size(len(plan.trials) + plan.to_draw), plan.to_draw - drawn)
    if size <= 0:
        return []
    stage, epochs = plan.stage, plan.trials[0].epochs
    settings, _ = draw_tpe(plan.search_range, results, size, derive_seed(seed, stage, "round", plan.pack, drawn))
    numbers = [plan.first_drawn + plan.packs * (drawn + place) for place in range(size)]
    return [
        TrialSpec(number=number, setting=setting, epochs=epochs, seed=derive_seed(seed, stage, number))
        for number, setting in zip(numbers, settings, strict=True)
    ]
