"""Our side of ``bench_search.py``; a peer's counterpart, which speaks as ``search_peers/protocol.py`` says."""

import gc
import re
import sys
import time
from concurrent.futures import Executor, Future
from dataclasses import asdict
from typing import Any

from search_peers.protocol import Search, Trial, read_search, say_ready, say_result
from search_peers.recipes import CHANNELS, HIDDEN, RECIPES

from sanefit.components.channel_stats.channel_stats import measure_channel_stats
from sanefit.components.dataset_snapshot.snapshot import take_snapshot
from sanefit.components.foundation.schemas.data_settings import DataSettings
from sanefit.components.foundation.schemas.images import DatasetReference
from sanefit.components.foundation.schemas.networks import ConvNetSettings, NetworkSettings, TwoLayerSettings
from sanefit.components.foundation.schemas.runs import RunReference
from sanefit.components.foundation.schemas.search import (
    PackPlan,
    SearchRange,
    TrialResult,
    TrialSetting,
    TrialSpec,
)
from sanefit.components.foundation.schemas.statistics import ChannelStats, StatsSettings
from sanefit.components.foundation.schemas.training import OptimizerSettings
from sanefit.components.foundation.step_lines.step_log import Say
from sanefit.components.hyperparameter_search.pack.trial_log import tracking_process

PLACE = re.compile(r"\((\d+) / \d+\)")  # at the end of a trial's line


def main() -> None:
    {"search": ours_search, "training": ours_training}[sys.argv[1]](read_search())
    gc.freeze()  # as ``running_step`` ends


def ours_search(search: Search) -> None:
    """From JPEG files to the last trial's result; a result is there when its line is said.

    It calls what the DAG's steps call, but in one process, and the one that writes trials opens the run as well:
    nothing is imported twice, where in the DAG each step is a process. A trial that ends early, for it diverged, counts
    as one that reached its last epoch.
    """
    said: dict[int, float] = {}

    def say(line: str) -> None:
        if place := PLACE.search(line):
            said[int(place[1]) - 1] = time.monotonic()

    with tracking_process(_tracking_uri(search)) as writer:
        results = _run_pack(search, writer, say)
    for result in results:
        number = result.spec.number
        say_result(number, search.epochs, result.validation_accuracy, said[number])


def ours_training(search: Search) -> None:
    """Training alone: from the first trial's start, when all is read, decoded and imported, to the last one's end.

    Without MLflow, which no peer has.
    """
    results = _run_pack(search, NoTracking(), _quiet)
    say_ready(min(result.started for result in results))
    for result in results:
        say_result(result.spec.number, search.epochs, result.validation_accuracy, at=result.started + result.seconds)


class NoTracking(Executor):
    """Takes everything as done."""

    def submit(self, *_: Any, **__: Any) -> Any:
        """As ``Executor``."""
        done: Future[None] = Future()
        done.set_result(None)
        return done


def _run_pack(search: Search, writer: Executor, say: Say) -> list[TrialResult]:
    """One pack trains all, on all cores. Times are those of the clock that all processes see.

    The process that will write trials to MLflow opens the run meanwhile.
    """
    opening = writer.submit(_open_run, search)
    dataset = _snapshot(search)
    stats = _stats(search, dataset)

    import torch

    from sanefit.components.foundation.image_dataset.shards import read_manifest
    from sanefit.components.foundation.machine.cores import usable_cores
    from sanefit.components.foundation.storage.packs import load_pack_results
    from sanefit.components.foundation.training.inputs import TrainingInputs
    from sanefit.components.hyperparameter_search.pack.trial_pack import PackMachine, run_pack

    run_id = opening.result() or ""
    inputs = TrainingInputs(dataset, read_manifest(dataset), stats, _network(search), _optimizer(search), seed=0)
    run = RunReference(
        run_name="run", storage=str(search.scratch), tracking_uri=_tracking_uri(search), tracking_run_id=run_id
    )
    machine = PackMachine([torch.device("cpu")], usable_cores())
    text = run_pack(_plan(search), inputs, run, machine, writer=writer, say=say, clock=time.monotonic)
    [result] = load_pack_results(run, "coarse", [text])
    return result.results


def _plan(search: Search) -> PackPlan:
    recipe = RECIPES[search.net]
    bounds = SearchRange(learning_rate=recipe.learning_rates, weight_decay=recipe.weight_decays, reasons=["given"])
    specs = [_spec(trial, search.epochs) for trial in search.trials]
    return PackPlan(
        stage="coarse", pack=0, packs=1, trials_in_stage=len(search.trials), search_range=bounds, trials=specs
    )


def _spec(trial: Trial, epochs: int) -> TrialSpec:
    values = asdict(trial)
    number = values.pop("number")
    return TrialSpec(number=number, setting=TrialSetting(**values), epochs=epochs, seed=number)


def _network(search: Search) -> NetworkSettings:
    if search.net == "lecture":
        return TwoLayerSettings(kind="two_layer", hidden=HIDDEN, init="gaussian:1e-4")
    return ConvNetSettings(kind="convnet", channels=CHANNELS)


def _optimizer(search: Search) -> OptimizerSettings:
    recipe = RECIPES[search.net]
    return OptimizerSettings(batch_size=recipe.batch_size, momentum=recipe.momentum, schedule="constant")


def _snapshot(search: Search) -> DatasetReference:
    """Listed, hashed and decoded."""
    return take_snapshot(DataSettings(source=f"folder:{search.folder}", splits="own"), str(search.scratch), _quiet)


def _stats(search: Search, dataset: DatasetReference) -> ChannelStats:
    normalization = "channel_mean" if search.net == "lecture" else "channel_mean_std"
    return measure_channel_stats(dataset, StatsSettings(normalization=normalization), _quiet)


def _tracking_uri(search: Search) -> str:
    return f"sqlite:///{search.scratch / 'mlflow.db'}"


def _open_run(search: Search) -> str:
    from sanefit.components.foundation.tracking.connection import connect
    from sanefit.components.foundation.tracking.runs import open_run

    return open_run(
        connect(_tracking_uri(search)),
        experiment="bench",
        artifact_location=str(search.scratch),
        run_name="run",
        tags={},
        params={},
    )


def _quiet(_: str) -> None:
    pass


if __name__ == "__main__":
    main()
