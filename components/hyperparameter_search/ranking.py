"""Rank the trials of a stage by their last validation accuracy."""

from collections.abc import Sequence

from components.foundation import object_store
from components.foundation.errors import RunFailedError
from components.foundation.run_folder import read_trials
from components.foundation.step_log import Say
from components.foundation.training_artifacts import PackResult, Ranking, Stage


def rank_stage(stage: Stage, pack_uris: Sequence[str], say: Say) -> Ranking:
    """The best setting of a stage: highest last validation accuracy; of equals, the first.

    Args:
        stage: ``coarse`` or ``fine``.
        pack_uris: one PackResult each.
        say: prints a line.

    Raises:
        RunFailedError: when no trial ended ``ok``.
    """
    results = read_trials(pack_uris)
    finished = [result for result in results if result.status == "ok"]
    if not finished:
        raise RunFailedError(
            f"none of the {len(results)} {stage} trials ended with a finite loss "
            f"({results[0].status} {results[0].message}); expected at least one; lower search.coarse.learning_rate"
        )
    best = max(finished, key=lambda result: (result.validation_accuracy, -result.spec.number))
    search_range = PackResult.model_validate_json(object_store.read_bytes(pack_uris[0])).search_range
    ranking = Ranking(
        stage=stage,
        search_range=search_range,
        best=best.spec.setting,
        best_trial=best.spec.number,
        best_validation_accuracy=best.validation_accuracy,
        trials=len(results),
        diverged=sum(result.status == "diverged" for result in results),
        pack_uris=list(pack_uris),
    )
    say(
        f"best of {ranking.trials} trials ({ranking.diverged} diverged): validation accuracy "
        f"{best.validation_accuracy:.4f} at lr {best.spec.setting.learning_rate:.3e}, "
        f"reg {best.spec.setting.weight_decay:.3e}"
    )
    return ranking


def parse_previous(ranking: str) -> Ranking | None:
    """The previous stage's ranking; the first stage has none, an empty string."""
    return Ranking.model_validate_json(ranking) if ranking else None
