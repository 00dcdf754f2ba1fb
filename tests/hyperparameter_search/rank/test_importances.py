import math
from collections.abc import Callable

import numpy as np
import pytest
from trial_results import made_up_result

from sanefit.components.foundation.schemas.search import SearchRange, TrialResult, TrialSetting
from sanefit.components.hyperparameter_search.plan.drawing import draw_random, draw_tpe
from sanefit.components.hyperparameter_search.rank.importances import importances

RANGE = SearchRange(
    learning_rate=(1e-4, 1e0),
    weight_decay=(1e-6, 1e-2),
    ranges={"momentum": (0.5, 0.99)},
    choices={"batch_size": [32, 64, 128], "optimizer": ["sgd"]},
    reasons=[],
)
# Each objective depends on one value alone.
OBJECTIVES: dict[str, Callable[[TrialSetting], float]] = {
    "learning_rate": lambda setting: 0.9 - 0.1 * abs(math.log10(setting.learning_rate) + 2),
    "weight_decay": lambda setting: 0.9 + 0.1 * math.log10(setting.weight_decay),
    "momentum": lambda setting: setting.momentum or 0,
    "batch_size": lambda setting: 0.9 - 0.2 * (setting.batch_size != 64),
}


def trained(settings: list[TrialSetting], objective: Callable[[TrialSetting], float]) -> list[TrialResult]:
    """With noise of one percent."""
    noise = np.random.default_rng(0).normal(0, 0.01, len(settings))
    accuracies = [min(max(objective(setting) + by, 0), 1) for setting, by in zip(settings, noise, strict=True)]
    return [
        made_up_result(n, accuracy, epochs=1, **setting.searched)
        for n, (setting, accuracy) in enumerate(zip(settings, accuracies, strict=True))
    ]


@pytest.mark.parametrize("name", OBJECTIVES)
@pytest.mark.parametrize("seed", range(3))
def test_the_value_that_matters_is_found_among_those_that_do_not(name: str, seed: int) -> None:
    found = importances(RANGE, trained(draw_random(RANGE, 60, seed), OBJECTIVES[name]))
    assert next(iter(found)) == name
    assert found[name] > 0.5
    assert list(found.values()) == sorted(found.values(), reverse=True)
    assert sum(found.values()) == pytest.approx(1)
    assert found.keys() == OBJECTIVES.keys()  # of the optimizer there was no choice


def test_a_search_that_draws_unevenly_does_not_mislead_it() -> None:
    """TPE crowds the draws of whatever it believes in."""
    first = trained(draw_random(RANGE, 20, 0), OBJECTIVES["learning_rate"])
    later, _ = draw_tpe(RANGE, first, 40, 0)
    found = importances(RANGE, trained([result.spec.setting for result in first] + later, OBJECTIVES["learning_rate"]))
    assert next(iter(found)) == "learning_rate"


def test_stopped_trials_count_as_worse_than_those_that_went_on_whatever_their_accuracy() -> None:
    """Half went on, and differ by their rate; half were stopped at a higher accuracy, and differ by their decay."""
    settings = draw_random(RANGE, 90, 0)
    went_on = trained(settings, lambda setting: 0.4 * OBJECTIVES["learning_rate"](setting))
    stopped = trained(settings, lambda setting: 1 + 0.05 * math.log10(setting.weight_decay))
    results = [
        stopped[n].model_copy(update={"status": "stopped"})
        if n % 2
        else went_on[n].model_copy(update={"epochs": 5 * went_on[n].epochs})
        for n in range(90)
    ]
    assert min(result.validation_accuracy for result in results[1::2]) > 0.6
    assert max(result.validation_accuracy for result in results[::2]) < 0.4
    assert next(iter(importances(RANGE, results))) == "learning_rate"


def test_too_few_trials_or_equal_ones_say_nothing_and_those_that_failed_do_not_count() -> None:
    results = trained(draw_random(RANGE, 10, 0), OBJECTIVES["learning_rate"])
    assert importances(RANGE, results)
    for status in ("diverged", "error", "out_of_memory"):
        assert importances(RANGE, [*results[:9], results[9].model_copy(update={"status": status})]) == {}
    assert importances(RANGE, [result.model_copy(update={"validation_accuracy": 0.5}) for result in results]) == {}


@pytest.mark.parametrize("better", [1, 3, 19])
def test_many_equal_trials_are_told_from_the_few_better_ones(better: int) -> None:
    """Accuracies on a small validation split often tie."""
    settings = sorted(draw_random(RANGE, 20, 0), key=lambda setting: -setting.learning_rate)
    results = [made_up_result(n, 0.9 if n < better else 0.1, **setting.searched) for n, setting in enumerate(settings)]
    assert sum(importances(RANGE, results).values()) == pytest.approx(1)
