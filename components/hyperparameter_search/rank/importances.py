"""How much each searched value mattered for a trial to be among the best."""

import math
from collections.abc import Sequence

from optuna.importance import PedAnovaImportanceEvaluator, get_param_importances

from sanefit.components.foundation.schemas.search import SearchRange, TrialResult
from sanefit.components.hyperparameter_search.finished_trials import best_first, last_score, worth
from sanefit.components.hyperparameter_search.study import add_results, new_study, search_space

TRIALS_AT_LEAST = 10
# Simulated searches of 20 to 100 trials, in which one value of four matters: a list of three choices is found first in
# 57 to 100 of 100 with the best third, in 40 to 72 with optuna's tenth; ranges are found as well with either.
BEST_SHARE = 1 / 3
BEST_AT_LEAST = 5  # below that PED-ANOVA is not stable, says optuna


def importances(searched: SearchRange, results: Sequence[TrialResult]) -> dict[str, float]:
    """Share of each searched value in what sets the best third of the finished trials apart, the largest first.

    PED-ANOVA (Watanabe, Bansal and Hutter 2023): the divergence between where the best lie and where all lie. It asks
    only for the order of the trials, so those that successive halving stopped can be in it, and for where
    trials were drawn, so that a search that draws unevenly does not mislead it.

    Args:
        searched: what was searched; a list with a single choice was not.
        results: every trial of the stage.

    Returns:
        Shares that sum to 1; none when fewer than 10 trials finished or all were equally good.
    """
    finished = best_first(results, searched.metric)
    if len(finished) < TRIALS_AT_LEAST or len({last_score(result, searched.metric) for result in finished}) == 1:
        return {}
    values = [worth(result, searched.metric) for result in finished]
    better = sum(value > min(values) for value in values)
    best = min(max(BEST_AT_LEAST, math.ceil(BEST_SHARE * len(values))), better)
    space = {name: distribution for name, distribution in search_space(searched).items() if not distribution.single()}
    study = new_study()
    add_results(study, space, finished, searched.metric)
    # Half a trial less: the share times the number of trials is rounded up.
    evaluator = PedAnovaImportanceEvaluator(target_quantile=(best - 0.5) / len(values))
    return get_param_importances(study, evaluator=evaluator)
