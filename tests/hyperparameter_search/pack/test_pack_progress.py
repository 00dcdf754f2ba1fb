"""How far a pack says that it has come."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from trial_results import made_up_result

from sanefit.components.foundation.schemas.run_record import PackProgress
from sanefit.components.foundation.schemas.search import PackPlan, SearchRange
from sanefit.components.hyperparameter_search.pack.pack_progress import TrialCount

BEGAN = 1000.0


class Pack:
    """A pack of made-up trials, and its clock."""

    def __init__(self, trials: int = 10, **plan: Any) -> None:
        self.now = BEGAN
        whole = PackPlan(
            stage="fine",
            pack=1,
            packs=3,
            trials_in_stage=30,
            search_range=SearchRange(learning_rate=(1e-3, 1.0), weight_decay=(1e-6, 1e-1), reasons=["because"]),
            trials=[made_up_result(number, 0.0).spec for number in range(trials - plan.get("to_draw", 0))],
            **plan,
        )
        self.count = TrialCount(whole, lambda: self.now)

    def end(
        self, *accuracies: float, seconds: float = 0.0, started: float | None = None, status: str = "ok"
    ) -> PackProgress:
        """So many trials end, ``seconds`` after the last."""
        self.now += seconds
        for accuracy in accuracies:
            began = self.now if started is None else started
            self.count.add(made_up_result(0, accuracy, status).model_copy(update={"started": began}))
        return self.count.progress()


def test_a_pack_that_begins_has_done_nothing() -> None:
    seen = Pack().count.progress()
    assert (seen.step, seen.packs, seen.trials, seen.trials_in_stage) == ("fine pack 2", 3, 10, 30)
    assert (seen.ended, seen.best_score, seen.seconds_left, seen.written) == (0, None, None, BEGAN)


def test_a_pack_at_its_end_has_no_time_left() -> None:
    seen = Pack().end(*[0.6] * 10, seconds=5)
    assert (seen.ended, seen.seconds_left) == (10, 0.0)


def test_the_time_left_is_that_of_the_trials_left_at_the_pace_so_far() -> None:
    assert Pack().end(0.5, 0.5, 0.5, 0.5, seconds=60).seconds_left == pytest.approx(60 / 4 * 6)


def test_trials_from_the_storage_count_as_done_and_say_nothing_of_the_pace() -> None:
    pack = Pack()
    seen = pack.end(*[0.5] * 6, started=BEGAN - 500)
    assert (seen.ended, seen.seconds_left) == (6, None)
    assert pack.end(0.5, 0.5, seconds=20).seconds_left == pytest.approx(20 / 2 * 2)


def test_with_halving_the_pace_tells_nothing() -> None:
    seen = Pack(reduction_factor=3).end(*[0.5] * 6, seconds=60, status="stopped")
    assert (seen.ended, seen.seconds_left, seen.best_score) == (6, None, None)


def test_trials_that_are_still_to_be_drawn_count() -> None:
    assert Pack(to_draw=7).count.progress().trials == 10


@given(accuracies=st.lists(st.floats(0, 1), max_size=12), failing=st.sets(st.integers(0, 11)))
def test_the_best_is_the_highest_of_those_that_ended_well(accuracies: list[float], failing: set[int]) -> None:
    pack = Pack(trials=12)
    for number, accuracy in enumerate(accuracies):
        pack.end(accuracy, status="diverged" if number in failing else "ok")
    well = [accuracy for number, accuracy in enumerate(accuracies) if number not in failing]
    progress = pack.count.progress()
    assert progress.ended == len(accuracies)
    assert progress.best_score == (max(well) if well else None)
