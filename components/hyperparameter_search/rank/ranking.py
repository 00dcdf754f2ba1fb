"""Rank the trials of a stage by what they reached on the validation split."""

from collections.abc import Mapping

from sanefit.components.foundation.errors import RunFailedError
from sanefit.components.foundation.schemas.search import PackResult, Ranking, Stage, TrialSetting
from sanefit.components.foundation.step_lines.step_log import Say
from sanefit.components.foundation.storage.packs import trials_of
from sanefit.components.hyperparameter_search.finished_trials import best_first
from sanefit.components.hyperparameter_search.rank.importances import importances
from sanefit.components.hyperparameter_search.rank.range_findings import range_findings

TOP = 10


def rank_stage(stage: Stage, packs: Mapping[str, PackResult], say: Say) -> Ranking:
    """The best settings of a stage: best last score by ``search.metric``; of equals, the first.

    Trials that successive halving stopped rank below those that it did not.

    Args:
        stage: ``coarse`` or ``fine``.
        packs: their results, by the texts that ``store_pack_result`` gives; at least one.
        say: prints a line.

    Raises:
        RunFailedError: when no trial finished.
    """
    loaded = [*packs.values()]
    results, search_range = trials_of(loaded), loaded[0].search_range
    finished = best_first(results, search_range.metric)
    if not finished:
        raise RunFailedError(
            f"none of the {len(results)} {stage} trials ended with a finite loss "
            f"({results[0].status} {results[0].message}); expected at least one; lower search.coarse.learning_rate"
        )
    best = finished[0]
    ranking = Ranking(
        stage=stage,
        search_range=search_range,
        best=best.spec.setting,
        best_trial=best.spec.number,
        best_validation_accuracy=best.validation_accuracy,
        top=[result.spec.setting for result in finished[:TOP]],
        trials=len(results),
        diverged=sum(result.status == "diverged" for result in results),
        stopped=sum(result.status == "stopped" for result in results),
        importances=importances(search_range, results),
        range_findings=range_findings(stage, search_range, results),
        packs=list(packs),
    )
    for line in _lines(ranking):
        say(line)
    return ranking


def _lines(ranking: Ranking) -> list[str]:
    stopped = f", {ranking.stopped} stopped early" if ranking.stopped else ""
    best = (
        f"best of {ranking.trials} trials ({ranking.diverged} diverged{stopped}): validation accuracy "
        f"{ranking.best_validation_accuracy:.4f} at {_in_words(ranking.best)}"
    )
    shares = ", ".join(f"{name.replace('_', ' ')} {share:.2f}" for name, share in ranking.importances.items())
    return [best, *([f"importance: {shares}"] if shares else []), *ranking.range_findings]


def _in_words(setting: TrialSetting) -> str:
    """Rate and decay, then the other searched values."""
    shown = {name: f"{value:.3g}" if isinstance(value, float) else value for name, value in setting.further.items()}
    others = "".join(f", {name.replace('_', ' ')} {value}" for name, value in shown.items())
    return f"learning rate {setting.learning_rate:.3e}, weight decay {setting.weight_decay:.3e}{others}"
