"""Train the best setting at length, or the best few, and measure the model, once, on the test split."""

import functools
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from sanefit.components.final_training.label_errors import find_label_errors
from sanefit.components.final_training.member_runs import MemberRuns, TrainedMember, Workers
from sanefit.components.final_training.members import Member, judging, plan_members
from sanefit.components.final_training.tracked_result import log_result
from sanefit.components.foundation.diagnosis.calibration import calibration_error, fit_temperature
from sanefit.components.foundation.diagnosis.curve_diagnosis import diagnose
from sanefit.components.foundation.diagnosis.judgement import in_words, judge
from sanefit.components.foundation.errors import RunFailedError
from sanefit.components.foundation.machine.arithmetic import arithmetic_of
from sanefit.components.foundation.machine.devices import CPU
from sanefit.components.foundation.machine.processor import processor_name
from sanefit.components.foundation.schemas.final_model import FinalTrainingSettings, Judgement, TrainedModel
from sanefit.components.foundation.schemas.runs import RunReference
from sanefit.components.foundation.schemas.search import Ranking
from sanefit.components.foundation.step_lines.arithmetic_line import describe_arithmetic
from sanefit.components.foundation.step_lines.step_log import Say
from sanefit.components.foundation.storage import object_store
from sanefit.components.foundation.storage.layout import Storage
from sanefit.components.foundation.training.checkpoints.checkpoint_pace import AT_ANY_MOMENT, Interruptions
from sanefit.components.foundation.training.checkpoints.trained_model import joined, write_weights
from sanefit.components.foundation.training.inputs import TrainingInputs
from sanefit.components.foundation.training.loop.evaluation import evaluate, measure_scores, scores_of
from sanefit.components.foundation.training.loop.training_data import TrainingData
from sanefit.components.foundation.training.loop.training_images import training_images
from sanefit.components.foundation.training.score import judged_class
from sanefit.components.foundation.training.stacks.kept_features import training_data_for
from sanefit.components.foundation.training.stacks.trial import Problem

ON_CPU = Workers()


def train_final(
    inputs: TrainingInputs,
    final: FinalTrainingSettings,
    ranking: Ranking,
    run: RunReference,
    *,
    say: Say,
    workers: Workers = ON_CPU,
    clock: Callable[[], float] = time.time,
    interruptions: Interruptions = AT_ANY_MOMENT,
) -> TrainedModel:
    """Train the ranking's best settings; keep of each the epoch that is best on the validation split.

    Batch-norm statistics are then taken over the training split, validation accuracy is
    measured again, the temperature of the probabilities is fitted, labels are judged, and the test split is read. A
    training that was interrupted goes on where a checkpoint has it.

    Args:
        inputs: what is trained.
        final: how long, and how.
        ranking: of the fine stage.
        run: the parent run, which gets the curves and the result.
        say: prints a line.
        workers: where it is trained.
        clock: epoch seconds.
        interruptions: when checkpoints are written.

    Raises:
        RunFailedError: when the loss was not finite from the first epoch on.
        StoppedError: when the process is told to end; a checkpoint is kept.
    """
    started = clock()
    dataset, manifest = inputs.dataset, inputs.manifest
    problem = Problem(manifest.image_shape, inputs.classes, inputs.stats, workers.device)
    runs = MemberRuns(
        dataset,
        sum(manifest.images_per_class["train"].values()),
        problem,
        final,
        run.storage,
        workers,
        functools.cache(
            lambda: training_data_for(
                dataset, manifest, inputs.network, problem, say, frozen=inputs.optimizer.freeze_epochs > 0
            )
        ),
        say,
        clock,
        interruptions,
    )
    arithmetic = arithmetic_of(inputs.network, workers.device, mixed_precision=final.mixed_precision, scaled=True)
    if workers.device.type == "cuda":
        say(describe_arithmetic(arithmetic, inputs.network, torch.cuda.get_device_name(workers.device)))
    with arithmetic.in_force():
        judged = judged_class(ranking.search_range.metric, manifest.class_names)
        planned = judging(plan_members(inputs.network, inputs.optimizer, final, ranking, inputs.seed, say), judged)
        members = train_members(runs, planned)
        validation = _measure_on_validation(members, runs.data(), inputs.classes, say)
        table = Storage(run.storage).run(run.run_name).suspected_labels
        best = next(member for member in planned if member.setting == members[0].setting)
        label_errors = find_label_errors(runs, best, members, validation.temperature, inputs, table)
    measured = _measured_on_test(members, inputs, validation, Storage(run.storage).run(run.run_name).weights)
    trained = measured.model_copy(update={"label_errors": label_errors})
    log_result(trained, members, inputs.optimizer, final, run, (started, clock()), _hardware(workers), say)
    for member in members:
        object_store.remove(member.checkpoint_uri)
    _say_result(trained, manifest.class_names, say)
    return trained


def _hardware(workers: Workers) -> str:
    if workers.device.type != "cuda":
        return processor_name()
    name = torch.cuda.get_device_name(workers.device)
    return name if workers.processes == 1 else f"{workers.processes} x {name}"


def train_members(runs: MemberRuns, planned: Sequence[Member]) -> list[TrainedMember]:
    """All members that can be trained.

    Raises:
        RunFailedError: when none can.
    """
    trained = []
    for number, member in enumerate(planned, start=1):
        if len(planned) > 1:
            searched = ", ".join(f"{name} {value}" for name, value in member.setting.searched.items())
            runs.say(f"member {number} of {len(planned)}: {searched}")
        found = runs.train(member)
        if found is not None:
            trained.append(found)
        elif len(planned) > 1:
            runs.say(f"warning: member {number} diverged in epoch 1 and is left out")
    if not trained:
        rate = planned[0].setting.learning_rate
        raise RunFailedError(
            f"the final training diverged in epoch 1 at learning rate {rate:.3e}; "
            "expected a finite loss; lower search.coarse.learning_rate"
        )
    return trained


def confusion_matrix(labels: Tensor, predicted: Tensor, classes: int) -> list[list[int]]:
    """Counts (classes, classes): row i, column j holds images of class i that were called j."""
    counts = torch.bincount(labels * classes + predicted, minlength=classes**2)
    matrix: list[list[int]] = counts.reshape(classes, classes).tolist()
    return matrix


@dataclass(frozen=True)
class _Validated:
    accuracy: float
    judgement: Judgement
    temperature: float


def _measure_on_validation(members: Sequence[TrainedMember], data: TrainingData, classes: int, say: Say) -> _Validated:
    """The model's accuracy, after batch norm's statistics are taken over the training split, and what it is worth."""
    labels = data.validation_labels
    for member in members:
        member.reestimate_batch_norm(data.train_pixels)
    scores = scores_of(_model(members), data.validation_pixels)
    whole, temperature = measure_scores(scores, labels), fit_temperature(scores, labels)
    if len(members) > 1:
        each = [evaluate(member.classifier, data.validation_pixels, labels) for member in members]
        accuracies = ", ".join(f"{one.accuracy:.4f}" for one in each)
        mean = f"of the mean of their probabilities: {whole.accuracy:.4f}"
        say(f"validation accuracy of the members: {accuracies}; {mean}")
    say(
        f"temperature {temperature:.3f}, fitted on the validation split: its calibration error "
        f"{_calibration_error(scores, labels):.4f} becomes {_calibration_error(scores / temperature, labels):.4f}"
    )
    return _Validated(whole.accuracy, judge(confusion_matrix(labels, whole.predicted, classes)), temperature)


def _calibration_error(scores: Tensor, labels: Tensor) -> float:
    confidence, predicted = scores.softmax(dim=1).max(dim=1)
    return calibration_error((predicted == labels).cpu().numpy(), confidence.cpu().numpy())


def _measured_on_test(
    members: Sequence[TrainedMember], inputs: TrainingInputs, validated: _Validated, weights_uri: str
) -> TrainedModel:
    """Measure as the model is served: on the CPU. A GPU rounds otherwise, which turns an image in some thousands."""
    model = _model(members).to(CPU).to(memory_format=torch.contiguous_format)
    write_weights(weights_uri, [member.classifier for member in members])
    [(pixels, labels)] = training_images(inputs.dataset, ("test",), CPU, inputs.manifest)
    scores = scores_of(model, pixels) / validated.temperature
    test = measure_scores(scores, labels)
    first = members[0]
    confusion = confusion_matrix(labels, test.predicted, inputs.classes)
    return TrainedModel(
        weights_uri=weights_uri,
        setting=first.setting,
        ensemble=[member.setting for member in members] if len(members) > 1 else [],
        best_epoch=first.best.epoch,
        epochs=first.records,
        validation_accuracy=validated.accuracy,
        test_accuracy=test.accuracy,
        test_loss=test.loss,
        temperature=validated.temperature,
        test_calibration_error=_calibration_error(scores, labels),
        test_images=len(labels),
        confusion=confusion,
        validation=validated.judgement,
        test=judge(confusion),
    )


def _model(members: Sequence[TrainedMember]) -> nn.Module:
    return joined([member.classifier for member in members])


def _say_result(trained: TrainedModel, class_names: Sequence[str], say: Say) -> None:
    for diagnosis in diagnose(trained.epochs):
        say(f"{diagnosis.words}: {diagnosis.evidence}" + (f"; {diagnosis.fix}" if diagnosis.fix else ""))
    say(
        f"epoch {trained.best_epoch} kept: validation accuracy "
        f"{in_words(trained.validation_accuracy, trained.validation)}"
    )
    say(
        f"test accuracy {in_words(trained.test_accuracy, trained.test)} on {trained.test_images:,} images; calibration "
        f"error {trained.test_calibration_error:.4f}"
    )
    if trained.test.only_class_named is not None:
        say(
            f"warning: every image is called {class_names[trained.test.only_class_named]!r}: this model does not "
            "look at its images; set optimizer.class_weights=balanced, or add images of the other classes"
        )
