import pytest
from hypothesis import given
from hypothesis import strategies as st
from trial_results import made_up_result

from sanefit.components.foundation.schemas.training import Metric
from sanefit.components.foundation.training.score import score
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


@pytest.mark.parametrize(("metric", "best"), [("accuracy", 0), ("balanced_accuracy", 1), ("loss", 2)])
def test_the_metric_decides(metric: Metric, best: int) -> None:
    last = [
        {"validation_accuracy": 0.9, "validation_balanced_accuracy": 0.5, "validation_loss": 2.0},
        {"validation_accuracy": 0.8, "validation_balanced_accuracy": 0.7, "validation_loss": 3.0},
        {"validation_accuracy": 0.7, "validation_balanced_accuracy": 0.6, "validation_loss": 1.0},
    ]
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
