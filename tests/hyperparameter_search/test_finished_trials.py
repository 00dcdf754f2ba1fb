import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from trial_results import made_up_result

from sanefit.components.foundation.errors import SettingsError
from sanefit.components.foundation.schemas.search import SearchSettings
from sanefit.components.foundation.schemas.training import Metric
from sanefit.components.foundation.training.score import judged_class, score
from sanefit.components.hyperparameter_search.finished_trials import best_first, worth


def test_the_order_is_by_epochs_then_accuracy_then_number() -> None:
    results = [
        made_up_result(0, 1.0, "stopped", 1),
        made_up_result(1, 0.0, "stopped", 2),
        made_up_result(2, 0.2, "ok", 5),
        made_up_result(3, 0.7, "ok", 5),
        made_up_result(4, 0.7, "ok", 5),
        made_up_result(5, 0.9, "diverged", 4),
        made_up_result(6, 0.9, "error", 4),
        made_up_result(7, 0.9, "out_of_memory", 4),
    ]
    assert [result.spec.number for result in best_first(results, "accuracy")] == [3, 4, 2, 1, 0]


@given(st.lists(st.tuples(st.sampled_from(["ok", "stopped", "diverged"]), st.floats(0, 1), st.integers(0, 3))))
def test_worth_orders_as_the_pair_of_epochs_and_accuracy(trials: list[tuple[str, float, int]]) -> None:
    finished = [(epochs, accuracy) for status, accuracy, epochs in trials if status != "diverged"]
    by_worth = sorted(finished, key=lambda pair: worth(made_up_result(0, pair[1], "ok", pair[0]), "accuracy"))
    assert [epochs for epochs, _ in by_worth] == sorted(epochs for epochs, _ in finished)
    for status, accuracy, epochs in trials:
        assert (worth(made_up_result(0, accuracy, status, epochs), "accuracy") == 0) == (
            status == "diverged" or (epochs == 0 and accuracy == 0)
        )


METRICS = [("accuracy", 0), ("balanced_accuracy", 1), ("loss", 2), ("recall.cat", 1)]


@pytest.mark.parametrize(("metric", "best"), METRICS)
def test_the_metric_decides(metric: Metric, best: int) -> None:
    names = ("validation_accuracy", "validation_balanced_accuracy", "validation_loss", "validation_recall")
    values = [(0.9, 0.5, 2.0, 0.1), (0.8, 0.7, 3.0, 0.3), (0.7, 0.6, 1.0, 0.2)]
    last = [dict(zip(names, each, strict=True)) for each in values]
    results = []
    for number, measured in enumerate(last):
        result = made_up_result(number, measured["validation_accuracy"], "ok", 2)
        epochs = [result.epochs[0], result.epochs[1].model_copy(update=measured)]
        results.append(result.model_copy(update={"epochs": epochs}))
    assert best_first(results, metric)[0].spec.number == best


@given(st.floats(0, 1e6), st.floats(0, 1e6))
def test_a_lower_loss_scores_higher(one: float, other: float) -> None:
    record = made_up_result(0, 0.5, "ok", 1).epochs[0]
    scores = [score(record.model_copy(update={"validation_loss": loss}), "loss") for loss in (one, other)]
    assert all(0 <= value <= 1 for value in scores)
    assert (scores[0] >= scores[1]) or one > other


def test_a_loss_that_is_not_finite_scores_nothing() -> None:
    record = made_up_result(0, 0.5, "ok", 1).epochs[0].model_copy(update={"validation_loss": None})
    assert score(record, "loss") == 0


def test_the_judged_class_is_found_by_its_name() -> None:
    assert judged_class("recall.b.c", ["a", "b.c"]) == 1
    assert judged_class("accuracy", ["accuracy"]) is None
    with pytest.raises(SettingsError, match=r"there is no class 'x'; expected one of a, b; correct it"):
        judged_class("recall.x", ["a", "b"])


@pytest.mark.parametrize("metric", ["precision", "recall.", "recall", ""])
def test_an_unknown_metric_is_refused(metric: str) -> None:
    with pytest.raises(ValidationError):
        SearchSettings.model_validate({"metric": metric})
