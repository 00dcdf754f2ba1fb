"""Train the best setting at length and measure it, once, on the test split."""

import copy
import io
import time
from collections.abc import Callable

import torch
from torch import Tensor

from components.final_training.batch_norm import reestimate_batch_norm
from components.foundation import object_store, tracking
from components.foundation.artifacts import ChannelStats, DatasetReference, RunReference
from components.foundation.classifiers.classifier import Classifier, build_classifier
from components.foundation.errors import RunFailedError
from components.foundation.image_dataset.shards import read_manifest
from components.foundation.seeds import derive_seed
from components.foundation.settings import NetworkSettings
from components.foundation.step_log import Say
from components.foundation.training.curve_diagnosis import diagnose
from components.foundation.training.evaluation import evaluate
from components.foundation.training.plain_loop import CPU, TrainingData, read_training_data, train
from components.foundation.training.recipe import recipe_of
from components.foundation.training.training_images import training_images
from components.foundation.training_artifacts import EpochRecord, Ranking, TrainedModel
from components.foundation.training_settings import FinalTrainingSettings, OptimizerSettings


def train_final(
    dataset: DatasetReference,
    stats: ChannelStats,
    network: NetworkSettings,
    optimizer: OptimizerSettings,
    final: FinalTrainingSettings,
    ranking: Ranking,
    run: RunReference,
    *,
    seed: int,
    say: Say,
    clock: Callable[[], float] = time.time,
) -> TrainedModel:
    """Train the ranking's best setting; keep the epoch that is best on the validation split.

    Batch-norm statistics are then taken over the training split, validation accuracy is
    measured again, and the test split is read.

    Args:
        dataset, stats, network, optimizer: what is trained.
        final: epochs.
        ranking: of the fine stage.
        run: the parent run, which gets the curves and the result.
        seed: of the run.
        say: prints a line.
        clock: epoch seconds.

    Raises:
        RunFailedError: when the loss was not finite from the first epoch on.
    """
    started = clock()
    manifest = read_manifest(dataset)
    classifier = build_classifier(
        network, manifest.image_shape, len(manifest.class_names), stats, derive_seed(seed, "final")
    )
    data = read_training_data(dataset)
    records, best = train_keeping_best(
        classifier, data, optimizer, final, ranking, seed=derive_seed(seed, "final batches"), say=say
    )
    reestimate_batch_norm(classifier, data.train_pixels)
    validation = evaluate(classifier, data.validation_pixels, data.validation_labels)
    [(test_pixels, test_labels)] = training_images(dataset, ("test",), CPU)
    test = evaluate(classifier, test_pixels, test_labels)
    trained = TrainedModel(
        weights_uri=object_store.join(run.folder_uri, "weights.pt"),
        setting=ranking.best,
        best_epoch=best.epoch,
        epochs=records,
        validation_accuracy=validation.accuracy,
        test_accuracy=test.accuracy,
        test_loss=test.loss,
        test_images=len(test_labels),
        confusion=confusion_matrix(test_labels, test.predicted, len(manifest.class_names)),
    )
    buffer = io.BytesIO()
    torch.save([classifier.state_dict()], buffer)
    object_store.write_bytes(trained.weights_uri, buffer.getvalue())
    _log(trained, optimizer, final, run, started, clock())
    for diagnosis in diagnose(records):
        say(f"{diagnosis.words}: {diagnosis.evidence}" + (f"; {diagnosis.fix}" if diagnosis.fix else ""))
    say(
        f"epoch {best.epoch} kept: validation accuracy {validation.accuracy:.4f}, "
        f"test accuracy {test.accuracy:.4f} on {trained.test_images:,} images"
    )
    return trained


def train_keeping_best(
    classifier: Classifier,
    data: TrainingData,
    optimizer: OptimizerSettings,
    final: FinalTrainingSettings,
    ranking: Ranking,
    *,
    seed: int,
    say: Say,
) -> tuple[list[EpochRecord], EpochRecord]:
    """Train, and leave the classifier as it was after its best epoch on the validation split.

    Returns:
        All records, and the best epoch's: highest validation accuracy, of equals the lowest loss.
    """
    best: EpochRecord | None = None
    best_weights: dict[str, Tensor] = {}

    def keep_best(record: EpochRecord) -> None:
        nonlocal best, best_weights
        say(
            f"Finished epoch {record.epoch} / {final.epochs}: cost {_number(record.train_loss)}, "
            f"train: {record.train_accuracy:.6f}, val {record.validation_accuracy:.6f}, lr {record.learning_rate:.6e}"
        )
        if record.train_loss is None or record.validation_loss is None:
            return
        if best is None or _quality(record) > _quality(best):
            best, best_weights = record, copy.deepcopy(classifier.state_dict())

    status, records = train(
        classifier,
        data,
        recipe_of(
            optimizer,
            learning_rate=ranking.best.learning_rate,
            weight_decay=ranking.best.weight_decay,
            epochs=final.epochs,
            batch_seed=seed,
            noise_seed=seed,
        ),
        after_epoch=keep_best,
    )
    if best is None:
        raise RunFailedError(
            f"the final training diverged in epoch 1 at learning rate {ranking.best.learning_rate:.3e}; "
            "expected a finite loss; lower search.coarse.learning_rate"
        )
    if status == "diverged":
        say(f"warning: diverged in epoch {len(records)}; epoch {best.epoch} is kept")
    classifier.load_state_dict(best_weights)
    return records, best


def confusion_matrix(labels: Tensor, predicted: Tensor, classes: int) -> list[list[int]]:
    """Counts (classes, classes): row i, column j holds images of class i that were called j."""
    counts = torch.bincount(labels * classes + predicted, minlength=classes**2)
    matrix: list[list[int]] = counts.reshape(classes, classes).tolist()
    return matrix


def _quality(record: EpochRecord) -> tuple[float, float]:
    assert record.validation_loss is not None
    return record.validation_accuracy, -record.validation_loss


def _number(value: float | None) -> str:
    return "not finite" if value is None else f"{value:.6f}"


def _log(
    trained: TrainedModel,
    optimizer: OptimizerSettings,
    final: FinalTrainingSettings,
    run: RunReference,
    started: float,
    ended: float,
) -> None:
    client = tracking.client(run.tracking_uri)
    summary = {
        "val_accuracy": trained.validation_accuracy,
        "test_accuracy": trained.test_accuracy,
        "test_loss": trained.test_loss,
    }
    setting = {key: repr(value) for key, value in trained.setting.model_dump().items()}
    tracking.log_child_run(
        client,
        run,
        name="final",
        params={**setting, "epochs": str(final.epochs), "schedule": optimizer.schedule},
        tags={"sanefit.stage": "final", "sanefit.best_epoch": str(trained.best_epoch)},
        epochs=trained.epochs,
        summary=summary,
        started=started,
        ended=ended,
        failed=False,
    )
    tracking.log_summary(client, run.tracking_run_id, summary, ended)
