"""A pack: one pod or process that trains many trials on every device that it can see."""

import time
from collections.abc import Sequence
from concurrent.futures import Executor

import torch

from sanefit.components.foundation.clock import Clock
from sanefit.components.foundation.image_dataset.shards import read_manifest
from sanefit.components.foundation.machine.parallel_work import usable_cores
from sanefit.components.foundation.randomness import derive_seed
from sanefit.components.foundation.schemas.images import DatasetReference
from sanefit.components.foundation.schemas.networks import NetworkSettings
from sanefit.components.foundation.schemas.runs import RunReference
from sanefit.components.foundation.schemas.search import PackPlan, PackResult, TrialResult
from sanefit.components.foundation.schemas.statistics import ChannelStats
from sanefit.components.foundation.schemas.training import OptimizerSettings
from sanefit.components.foundation.step_lines.step_log import Say
from sanefit.components.foundation.storage.run_folder import storage_of, write_pack_result
from sanefit.components.foundation.training.checkpoints.checkpoint_pace import CHECKPOINT_SECONDS
from sanefit.components.foundation.training.loop.plain_loop import CPU, read_training_data
from sanefit.components.foundation.training.stacks.trial import Problem
from sanefit.components.hyperparameter_search.pack.chunk_training import PackContext
from sanefit.components.hyperparameter_search.pack.pack_rounds import TrialsOfPack
from sanefit.components.hyperparameter_search.pack.pack_workers import trial_arithmetic
from sanefit.components.hyperparameter_search.pack.trial_log import TrialLog, shown
from sanefit.components.hyperparameter_search.pack.trial_store import open_store
from sanefit.components.hyperparameter_search.plan.next_round import draw_next_round


def run_pack(
    plan: PackPlan,
    dataset: DatasetReference,
    stats: ChannelStats,
    network: NetworkSettings,
    optimizer: OptimizerSettings,
    run: RunReference,
    *,
    seed: int,
    packs_per_machine: int,
    devices: Sequence[torch.device],
    writer: Executor,
    say: Say,
    clock: Clock = time.time,
    checkpoint_seconds: float = CHECKPOINT_SECONDS,
) -> str:
    """Train every trial of the pack, log each as a child run, and keep the results.

    A trial that diverges, runs out of memory or raises is a result, never an exception. What was trained before, by a
    pack that was killed or in another run, is taken from the storage.

    Args:
        plan: the trials.
        dataset, stats, network, optimizer: what they train.
        run: the parent run.
        seed: of the run; all trials see the same batches.
        packs_per_machine: how many packs share this machine's cores.
        devices: train the trials, each with a worker of its own; on the CPU, one for each core.
        writer: writes trials to MLflow, meanwhile; see ``tracking_process``.
        say: prints a line.
        clock: epoch seconds.
        checkpoint_seconds: at least between two checkpoints of running trials.

    Returns:
        The URI of a PackResult.
    """
    cores = max(1, usable_cores() // packs_per_machine)
    workers = cores if devices[0].type == "cpu" else len(devices)
    manifest = read_manifest(dataset)
    trials = TrialsOfPack(
        plan=plan,
        context=PackContext(
            problem=Problem(manifest.image_shape, len(manifest.class_names), stats, devices[0]),
            data=read_training_data(dataset, devices[0] if len(devices) == 1 else CPU),
            store=open_store(storage_of(run.folder_uri), dataset.fingerprint, stats),
            folds=plan.folds,
            fold_seed=derive_seed(seed, "folds"),
            checkpoint_seconds=checkpoint_seconds,
            clock=clock,
        ),
        network=network,
        optimizer=optimizer,
        batch_seed=derive_seed(seed, "batches"),
        devices=devices,
        workers=workers,
        say=say,
    )
    with trial_arithmetic(threads=1 if workers > 1 else cores):
        log = TrialLog(writer, run, plan.stage)
        results = _train_rounds(plan, trials, log, seed, say)
        log.close(say)
    result = PackResult(stage=plan.stage, search_range=plan.search_range, results=results)
    uri = write_pack_result(run.folder_uri, plan.pack, result)
    trials.clean_up()
    return uri


def _train_rounds(plan: PackPlan, trials: TrialsOfPack, log: TrialLog, seed: int, say: Say) -> list[TrialResult]:
    """The planned trials, then those that are drawn from their results; in that order."""
    results: list[TrialResult] = []
    specs = plan.trials
    while specs:
        ended = {}
        for result in trials.train(specs):
            say(trial_line(result, plan.trials_in_stage))
            log.add(result)
            ended[result.spec.number] = result
        results += [ended[spec.number] for spec in specs]
        specs = draw_next_round(plan, results, seed)
    return results


def trial_line(result: TrialResult, trials: int) -> str:
    """One line in the lecture's form, with our names.

    As in ``validation_accuracy: 0.412000, learning_rate: 1.405206e-04, weight_decay: 4.793564e-01, (1 / 100)``. Further
    values that were searched stand before the number.
    """
    setting = result.spec.setting
    further = {key: value for key, value in setting.searched.items() if key not in ("learning_rate", "weight_decay")}
    line = (
        f"validation_accuracy: {result.validation_accuracy:.6f}, learning_rate: {setting.learning_rate:.6e}, "
        f"weight_decay: {setting.weight_decay:.6e}, "
        + "".join(f"{key}: {shown(value)}, " for key, value in further.items())
        + f"({result.spec.number + 1} / {trials})"
    )
    if result.status == "ok":
        return line
    if result.status == "stopped":
        return f"{line} stopped after epoch {len(result.epochs)}"
    # A diverged epoch has a record; one that raised has none.
    epoch = len(result.epochs) + (result.status != "diverged")
    return f"{line} {result.status.replace('_', ' ')} in epoch {epoch} {result.message}".rstrip()
