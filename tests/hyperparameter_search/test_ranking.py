import tempfile
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from said import Said

from components.foundation.errors import RunFailedError
from components.foundation.run_folder import write_pack_result
from components.foundation.training_artifacts import PackResult, SearchRange, TrialResult, TrialSetting, TrialSpec
from components.hyperparameter_search.ranking import parse_previous, rank_stage

RANGE = SearchRange(learning_rate=(1e-4, 1e0), weight_decay=(1e-6, 1e-2), reasons=["because"])
STATUSES = ("ok", "diverged", "out_of_memory", "error")
Trial = tuple[str, float]


def setting(number: int) -> TrialSetting:
    return TrialSetting(learning_rate=10 ** (-1 - number / 10), weight_decay=10 ** (-2 - number / 10))


def written(folder: Path, trials: Sequence[Trial], packs: int = 1, message: str = "") -> list[str]:
    """The trials' results, dealt to packs, on disk."""
    results = [
        TrialResult.model_validate(
            {
                "spec": TrialSpec(number=number, setting=setting(number), epochs=1, seed=0),
                "status": status,
                "validation_accuracy": accuracy,
                "epochs": [],
                "seconds": 1.0,
                "message": message,
            }
        )
        for number, (status, accuracy) in enumerate(trials)
    ]
    return [
        write_pack_result(
            str(folder), pack, PackResult(stage="coarse", search_range=RANGE, results=results[pack::packs])
        )
        for pack in range(min(packs, len(results)))
    ]


@settings(deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from(STATUSES), st.sampled_from([0.1, 0.5, 0.75, 0.9])), min_size=1, max_size=12),
    st.integers(1, 4),
    st.booleans(),
)
def test_the_first_of_the_most_accurate_finished_trials_wins(trials: list[Trial], packs: int, reverse: bool) -> None:
    said = Said()
    with tempfile.TemporaryDirectory() as folder:
        uris = written(Path(folder), trials, packs)
        uris = uris[::-1] if reverse else uris
        finished = [accuracy for status, accuracy in trials if status == "ok"]
        if not finished:
            with pytest.raises(RunFailedError, match=f"none of the {len(trials)} coarse trials"):
                rank_stage("coarse", uris, said)
            return
        ranking = rank_stage("coarse", uris, said)
    best = trials.index(("ok", max(finished)))
    assert (ranking.best_trial, ranking.best, ranking.best_validation_accuracy) == (best, setting(best), max(finished))
    assert ranking.trials == len(trials)
    assert ranking.diverged == sum(status == "diverged" for status, _ in trials)
    assert (ranking.stage, ranking.search_range, ranking.pack_uris) == ("coarse", RANGE, uris)
    assert len(said) == 1
    assert f"best of {len(trials)} trials ({ranking.diverged} diverged)" in said[0]
    assert f"{max(finished):.4f}" in said[0]


def test_a_diverged_trial_never_wins(tmp_path: Path, said: Said) -> None:
    uris = written(tmp_path, [("diverged", 0.99), ("ok", 0.2), ("error", 0.98), ("out_of_memory", 0.97)])
    assert rank_stage("coarse", uris, said).best_trial == 1


def test_the_error_says_how_the_first_trial_ended_and_what_to_do(tmp_path: Path, said: Said) -> None:
    uris = written(tmp_path, [("error", 0.0), ("diverged", 0.0)], message="ValueError: a reason")
    with pytest.raises(RunFailedError, match="error ValueError: a reason") as caught:
        rank_stage("coarse", uris, said)
    assert "lower search.coarse.learning_rate" in str(caught.value)


def test_the_error_is_one_line_whatever_the_trials_message_is(tmp_path: Path, said: Said) -> None:
    uris = written(tmp_path, [("error", 0.0)], message="RuntimeError: CUDA error\nCompile with TORCH_USE_CUDA_DSA")
    with pytest.raises(RunFailedError) as caught:
        rank_stage("coarse", uris, said)
    assert len(str(caught.value).splitlines()) == 1


def test_a_previous_ranking_survives_its_json_and_the_first_stage_has_none(tmp_path: Path, said: Said) -> None:
    ranking = rank_stage("coarse", written(tmp_path, [("ok", 0.5)]), said)
    assert parse_previous(ranking.model_dump_json()) == ranking
    assert parse_previous("") is None
