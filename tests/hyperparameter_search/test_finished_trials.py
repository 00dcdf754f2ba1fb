from hypothesis import given
from hypothesis import strategies as st
from trial_results import made_up_result

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
    assert [result.spec.number for result in best_first(results)] == [3, 4, 2, 1, 0]


@given(st.lists(st.tuples(st.sampled_from(["ok", "stopped", "diverged"]), st.floats(0, 1), st.integers(0, 3))))
def test_worth_orders_as_the_pair_of_epochs_and_accuracy(trials: list[tuple[str, float, int]]) -> None:
    finished = [(epochs, accuracy) for status, accuracy, epochs in trials if status != "diverged"]
    by_worth = sorted(finished, key=lambda pair: worth(made_up_result(0, pair[1], "ok", pair[0])))
    assert [epochs for epochs, _ in by_worth] == sorted(epochs for epochs, _ in finished)
    for status, accuracy, epochs in trials:
        assert (worth(made_up_result(0, accuracy, status, epochs)) == 0) == (
            status == "diverged" or (epochs == 0 and accuracy == 0)
        )
