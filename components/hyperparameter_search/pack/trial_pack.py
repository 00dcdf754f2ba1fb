"""A pack: one pod or process that trains many trials on every device that it can see."""

import time
from collections.abc import Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, replace

import torch

from sanefit.components.foundation.clock import Clock
from sanefit.components.foundation.image_dataset.shards import BUNDLE, read_index
from sanefit.components.foundation.machine.arithmetic import arithmetic_of
from sanefit.components.foundation.machine.devices import CPU
from sanefit.components.foundation.machine.threads import using_threads
from sanefit.components.foundation.randomness import derive_seed
from sanefit.components.foundation.schemas.runs import RunReference
from sanefit.components.foundation.schemas.search import PackPlan, PackResult, TrialResult
from sanefit.components.foundation.step_lines.step_log import Say
from sanefit.components.foundation.storage.packs import store_pack_result, text_of_plan
from sanefit.components.foundation.training.checkpoints.checkpoint_pace import AT_ANY_MOMENT, Interruptions
from sanefit.components.foundation.training.inputs import TrainingInputs
from sanefit.components.foundation.training.loop.folds import assign_folds
from sanefit.components.foundation.training.score import judged_class
from sanefit.components.foundation.training.stacks.kept_features import training_data_for
from sanefit.components.foundation.training.stacks.trial import Problem
from sanefit.components.hyperparameter_search.pack.chunk_training import PackContext
from sanefit.components.hyperparameter_search.pack.pack_progress import TrialCount
from sanefit.components.hyperparameter_search.pack.pack_rounds import TrialsOfPack
from sanefit.components.hyperparameter_search.pack.trial_log import TrialLog, shown
from sanefit.components.hyperparameter_search.pack.trial_store import open_store
from sanefit.components.hyperparameter_search.plan.next_round import draw_next_round


@dataclass(frozen=True)
class PackMachine:
    """Where a pack runs.

    ``devices``: train the trials, each with a worker of its own; on the CPU, one for each of so many ``cores``.
    """

    devices: Sequence[torch.device]
    cores: int


def run_pack(
    plan: PackPlan,
    inputs: TrainingInputs,
    run: RunReference,
    machine: PackMachine,
    *,
    writer: Executor,
    say: Say,
    clock: Clock = time.time,
    interruptions: Interruptions = AT_ANY_MOMENT,
) -> str:
    """Train every trial of the pack, log each as a child run, and keep the results.

    A trial that diverges, runs out of memory or raises is a result, never an exception. What was trained before, by a
    pack that was killed or in another run, is taken from the storage.

    Args:
        plan: the trials.
        inputs: what they train; all see the same batches.
        run: the parent run.
        machine: where they are trained.
        writer: writes trials to MLflow, meanwhile; see ``tracking_process``.
        say: prints a line.
        clock: epoch seconds.
        interruptions: when checkpoints of running trials are written.

    Returns:
        A text that names the PackResult, as ``store_pack_result`` gives it.

    Raises:
        StoppedError: when it is to end.
    """
    devices, cores, seed = machine.devices, machine.cores, inputs.seed
    workers = cores if devices[0].type == "cpu" else len(devices)
    problem = Problem(inputs.manifest.image_shape, inputs.classes, inputs.stats, devices[0])
    data = training_data_for(
        inputs.dataset,
        inputs.manifest,
        inputs.network,
        replace(problem, device=devices[0] if len(devices) == 1 else CPU),
        say,
        frozen=inputs.optimizer.freeze_epochs > 0,
    )
    bundles = read_index(inputs.dataset, "train", inputs.manifest)[:, BUNDLE]
    trials = TrialsOfPack(
        plan=plan,
        context=PackContext(
            problem=problem,
            data=data,
            store=open_store(
                run.storage,
                inputs.dataset.fingerprint,
                inputs.stats,
                inputs.network,
                arithmetic=str(arithmetic_of(inputs.network, devices[0])),
            ),
            fold_of=assign_folds(data.train_labels, bundles, plan.folds, derive_seed(seed, "folds")),
            interruptions=interruptions,
            clock=clock,
        ),
        network=inputs.network,
        optimizer=inputs.optimizer,
        batch_seed=derive_seed(seed, "batches"),
        judged_class=judged_class(plan.search_range.metric, inputs.manifest.class_names),
        devices=devices,
        workers=workers,
        say=say,
    )
    with using_threads(1 if workers > 1 else cores):
        log = TrialLog(writer, run, plan.stage)
        count = TrialCount(plan, clock)
        log.tell(count.progress())
        results = _train_rounds(trials, log, count, seed, say)
        log.close(say)
    result = PackResult(stage=plan.stage, plan=text_of_plan(plan), search_range=plan.search_range, results=results)
    text = store_pack_result(run, plan.pack, result)
    trials.clean_up()
    return text


def _train_rounds(trials: TrialsOfPack, log: TrialLog, count: TrialCount, seed: int, say: Say) -> list[TrialResult]:
    """The planned trials, then those that are drawn from their results; in that order."""
    results: list[TrialResult] = []
    plan, specs = trials.plan, trials.plan.trials
    while specs:
        ended = {}
        for result in trials.train(specs):
            say(trial_line(result, plan.trials_in_stage))
            log.add(result)
            log.tell(count.add(result))
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
    line = (
        f"validation_accuracy: {result.validation_accuracy:.6f}, learning_rate: {setting.learning_rate:.6e}, "
        f"weight_decay: {setting.weight_decay:.6e}, "
        + "".join(f"{key}: {shown(value)}, " for key, value in setting.further.items())
        + f"({result.spec.number + 1} / {trials})"
    )
    if result.status == "ok":
        return line
    if result.status == "stopped":
        return f"{line} stopped after epoch {len(result.epochs)}"
    # A diverged epoch has a record; one that raised has none.
    epoch = len(result.epochs) + (result.status != "diverged")
    return f"{line} {result.status.replace('_', ' ')} in epoch {epoch} {result.message}".rstrip()
