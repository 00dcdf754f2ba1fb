from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from said import Said
from trial_results import made_up_result

from sanefit.components.foundation.errors import RunFailedError
from sanefit.components.foundation.schemas.search import PackResult, SearchRange, TrialSetting
from sanefit.components.hyperparameter_search.rank.ranking import rank_stage

RANGE = SearchRange(learning_rate=(1e-4, 1e0), weight_decay=(1e-6, 1e-2), reasons=["because"])
STATUSES = ("ok", "stopped", "diverged", "out_of_memory", "error")
Trial = tuple[str, float]


def values(number: int) -> dict[str, float]:
    return {"learning_rate": 10 ** (-1 - number / 10), "weight_decay": 10 ** (-2 - number / 10)}


def setting(number: int) -> TrialSetting:
    return TrialSetting.model_validate(values(number))


def dealt(
    trials: Sequence[Trial], packs: int = 1, message: str = "", epochs: Sequence[int] | None = None
) -> dict[str, PackResult]:
    """The trials' results, dealt to packs."""
    results = [
        made_up_result(number, accuracy, status, 0 if epochs is None else epochs[number], message, **values(number))
        for number, (status, accuracy) in enumerate(trials)
    ]
    return {
        f"pack {pack}": PackResult(stage="coarse", search_range=RANGE, results=results[pack::packs])
        for pack in range(min(packs, len(results)))
    }


@settings(deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from(STATUSES), st.sampled_from([0.1, 0.5, 0.75, 0.9])), min_size=1, max_size=9),
    st.integers(1, 4),
    st.booleans(),
)
def test_the_first_of_the_most_accurate_finished_trials_wins(trials: list[Trial], packs: int, reverse: bool) -> None:
    said = Said()
    results = dealt(trials, packs)
    results = dict(reversed(results.items())) if reverse else results
    kind = "ok" if any(status == "ok" for status, _ in trials) else "stopped"
    finished = [accuracy for status, accuracy in trials if status == kind]
    if not finished:
        with pytest.raises(RunFailedError, match=f"none of the {len(trials)} coarse trials"):
            rank_stage("coarse", results, said)
        return
    ranking = rank_stage("coarse", results, said)
    best = trials.index((kind, max(finished)))
    assert (ranking.best_trial, ranking.best, ranking.best_validation_accuracy) == (best, setting(best), max(finished))
    assert ranking.trials == len(trials)
    assert ranking.diverged == sum(status == "diverged" for status, _ in trials)
    assert ranking.stopped == sum(status == "stopped" for status, _ in trials)
    assert (ranking.stage, ranking.search_range, ranking.packs) == ("coarse", RANGE, [*results])
    assert ranking.top[0] == ranking.best
    assert len(ranking.top) == sum(status in ("ok", "stopped") for status, _ in trials)
    counted = f"best of {len(trials)} trials ({ranking.diverged} diverged"
    assert said[0].startswith(counted)
    assert ("stopped early" in said[0]) == (ranking.stopped > 0)
    assert f"{max(finished):.4f}" in said[0]
    assert ranking.importances == {}  # fewer than ten trials say nothing
    assert said[1:] == ranking.range_findings


def test_a_diverged_trial_never_wins(said: Said) -> None:
    results = dealt([("diverged", 0.99), ("ok", 0.2), ("error", 0.98), ("out_of_memory", 0.97)])
    assert rank_stage("coarse", results, said).best_trial == 1


def test_the_top_ten_are_the_best_first_and_those_that_went_on_before_those_that_were_stopped(said: Said) -> None:
    trials = [
        *[("stopped", 0.99), ("stopped", 0.5), ("diverged", 1.0)],
        *[("ok", 0.3), ("ok", 0.6), ("ok", 0.4)],
        *[("stopped", 0.1 + n / 100) for n in range(8)],
    ]
    epochs = [1, 3, 2, 9, 9, 9, *[1] * 8]
    ranking = rank_stage("coarse", dealt(trials, 2, epochs=epochs), said)
    assert ranking.top == [setting(number) for number in (4, 5, 3, 1, 0, 13, 12, 11, 10, 9)]
    assert (ranking.best_trial, ranking.stopped, ranking.diverged) == (4, 10, 1)


def test_importances_and_findings_are_found_and_said_a_line_each(said: Said) -> None:
    # Rate and decay of trial n fall together, so neither can matter more.
    ranking = rank_stage("coarse", dealt([("ok", 0.9 - n / 100) for n in range(20)]), said)
    assert ranking.importances.keys() == {"learning_rate", "weight_decay"}
    assert sum(ranking.importances.values()) == pytest.approx(1)
    assert len(ranking.range_findings) == 2
    assert said[1] == "importance: " + ", ".join(
        f"{name.replace('_', ' ')} {share:.2f}" for name, share in ranking.importances.items()
    )
    assert said[2:] == ranking.range_findings


def test_every_searched_value_of_the_best_is_said(said: Said) -> None:
    result = made_up_result(0, 0.5, momentum=0.912345, batch_size=64, init="he")
    pack = PackResult(stage="fine", search_range=RANGE, results=[result])
    rank_stage("fine", {"the pack": pack}, said)
    assert said[0].endswith(
        "at learning rate 1.000e-02, weight decay 1.000e-04, momentum 0.912, batch size 64, init he"
    )


def test_the_error_says_how_the_first_trial_ended_and_what_to_do(said: Said) -> None:
    results = dealt([("error", 0.0), ("diverged", 0.0)], message="ValueError: a reason")
    with pytest.raises(RunFailedError, match="error ValueError: a reason") as caught:
        rank_stage("coarse", results, said)
    assert "lower search.coarse.learning_rate" in str(caught.value)


def test_the_error_is_one_line_whatever_the_trials_message_is(said: Said) -> None:
    results = dealt([("error", 0.0)], message="RuntimeError: CUDA error\nCompile with TORCH_USE_CUDA_DSA")
    with pytest.raises(RunFailedError) as caught:
        rank_stage("coarse", results, said)
    assert len(str(caught.value).splitlines()) == 1
