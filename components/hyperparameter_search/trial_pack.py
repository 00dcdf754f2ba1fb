"""A pack: one process that trains many trials on data that it reads once."""

import time
from collections.abc import Callable

import torch

from components.foundation import tracking
from components.foundation.artifacts import ChannelStats, DatasetReference, RunReference
from components.foundation.classifiers.classifier import build_classifier
from components.foundation.image_dataset.shards import read_manifest
from components.foundation.run_folder import write_pack_result
from components.foundation.seeds import derive_seed
from components.foundation.settings import NetworkSettings
from components.foundation.step_log import Say
from components.foundation.training.plain_loop import TrainingData, read_training_data, train
from components.foundation.training.recipe import recipe_of
from components.foundation.training_artifacts import (
    EpochRecord,
    PackPlan,
    PackResult,
    TrialResult,
    TrialSpec,
    TrialStatus,
)
from components.foundation.training_settings import OptimizerSettings

Clock = Callable[[], float]


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
    device: torch.device,
    say: Say,
    clock: Clock = time.time,
) -> str:
    """Train every trial of the pack, log each as a child run, and keep the results.

    A trial that diverges, runs out of memory or raises is a result, never an exception.

    Args:
        plan: the trials.
        dataset, stats, network, optimizer: what they train.
        run: the parent run.
        seed: of the run; all trials see the same batches.
        packs_per_machine: how many packs share this machine's cores.
        device: trains the trials and holds the data.
        say: prints a line.
        clock: epoch seconds.

    Returns:
        The URI of a PackResult.
    """
    torch.set_num_threads(max(1, torch.get_num_threads() // packs_per_machine))
    data = read_training_data(dataset, device)
    manifest = read_manifest(dataset)
    client = tracking.client(run.tracking_uri)
    results = []
    for spec in plan.trials:
        started = clock()
        result = run_trial(
            spec,
            data,
            manifest.image_shape,
            len(manifest.class_names),
            stats,
            network,
            optimizer,
            batch_seed=derive_seed(seed, "batches"),
            clock=clock,
        )
        results.append(result)
        say(trial_line(result, plan.trials_in_stage))
        tracking.log_child_run(
            client,
            run,
            name=f"{plan.stage}-{spec.number:04d}",
            params={key: repr(value) for key, value in spec.setting.model_dump().items()},
            tags={"sanefit.stage": plan.stage, "sanefit.status": result.status},
            epochs=result.epochs,
            summary={"val_acc": result.validation_accuracy},
            started=started,
            ended=clock(),
            failed=result.status != "ok",
        )
    return write_pack_result(
        run.folder_uri, plan.pack, PackResult(stage=plan.stage, search_range=plan.search_range, results=results)
    )


def run_trial(
    spec: TrialSpec,
    data: TrainingData,
    image_shape: tuple[int, int, int],
    classes: int,
    stats: ChannelStats,
    network: NetworkSettings,
    optimizer: OptimizerSettings,
    *,
    batch_seed: int,
    clock: Clock = time.time,
) -> TrialResult:
    """Train one trial; whatever happens becomes its status."""
    started = clock()
    records: list[EpochRecord] = []
    status: TrialStatus
    message = ""
    try:
        status, _ = train(
            build_classifier(network, image_shape, classes, stats, spec.seed).to(data.train_pixels.device),
            data,
            recipe_of(
                optimizer,
                learning_rate=spec.setting.learning_rate,
                weight_decay=spec.setting.weight_decay,
                epochs=spec.epochs,
                batch_seed=batch_seed,
                noise_seed=spec.seed,
            ),
            after_epoch=records.append,
        )
    except (MemoryError, torch.OutOfMemoryError) as error:
        status, message = "out_of_memory", str(error)
    except Exception as error:  # a trial must not take its pack down
        status, message = "error", f"{type(error).__name__}: {error}"
    return TrialResult(
        spec=spec,
        status=status,
        validation_accuracy=records[-1].validation_accuracy if records else 0.0,
        epochs=records,
        seconds=clock() - started,
        message=message,
    )


def trial_line(result: TrialResult, trials: int) -> str:
    """One line in the lecture's form: ``val_acc: 0.412000, lr: 1.405206e-04, reg: 4.793564e-01, (1 / 100)``."""
    setting = result.spec.setting
    line = (
        f"val_acc: {result.validation_accuracy:.6f}, lr: {setting.learning_rate:.6e}, "
        f"reg: {setting.weight_decay:.6e}, ({result.spec.number + 1} / {trials})"
    )
    if result.status == "ok":
        return line
    # A diverged epoch has a record; one that raised has none.
    epoch = len(result.epochs) + (result.status != "diverged")
    return f"{line} {result.status.replace('_', ' ')} in epoch {epoch} {result.message}".rstrip()
