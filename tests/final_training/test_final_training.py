import itertools
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from said import Said
from sklearn import metrics
from torch import Tensor
from training_inputs import inputs_of

from sanefit.components.final_training import final_training, member_training
from sanefit.components.final_training.batch_norm import reestimate_batch_norm
from sanefit.components.final_training.checkpoint import Checkpoint
from sanefit.components.final_training.final_training import ON_CPU, confusion_matrix, train_final
from sanefit.components.final_training.member_runs import Workers
from sanefit.components.final_training.member_training import train_member
from sanefit.components.final_training.members import plan_members
from sanefit.components.foundation.classifiers.classifier import Classifier, build_classifier
from sanefit.components.foundation.diagnosis.calibration import fit_temperature
from sanefit.components.foundation.errors import RunFailedError
from sanefit.components.foundation.image_dataset.shards import read_split
from sanefit.components.foundation.machine.processor import processor_name
from sanefit.components.foundation.schemas.final_model import FinalTrainingSettings, TrainedModel
from sanefit.components.foundation.schemas.images import DatasetReference
from sanefit.components.foundation.schemas.networks import ConvNetSettings, NetworkSettings, TwoLayerSettings
from sanefit.components.foundation.schemas.runs import RunReference
from sanefit.components.foundation.schemas.search import Ranking, SearchRange, TrialSetting
from sanefit.components.foundation.schemas.statistics import ChannelStats
from sanefit.components.foundation.schemas.training import EpochRecord, OptimizerSettings
from sanefit.components.foundation.tracking.connection import Client, connect
from sanefit.components.foundation.tracking.runs import open_run
from sanefit.components.foundation.training.loop import training_images
from sanefit.components.foundation.training.loop.recipe import Recipe
from sanefit.components.foundation.training.loop.training_data import TrainingData, read_training_data

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("one_thread")]

TWO_LAYER = TwoLayerSettings(kind="two_layer", hidden=16)
CONVNET = ConvNetSettings(kind="convnet", channels=(4, 6))
OPTIMIZER = OptimizerSettings(batch_size=64, momentum=0.8, schedule="cosine")
CONSTANT = OptimizerSettings(batch_size=128, momentum=0.9, schedule="constant")
THREE_EPOCHS = FinalTrainingSettings(epochs=3)
Array = NDArray[np.float64]


def ranking_of(learning_rate: float, weight_decay: float = 1e-3) -> Ranking:
    return Ranking(
        stage="fine",
        search_range=SearchRange(learning_rate=(1e-3, 1.0), weight_decay=(1e-6, 1e-1), reasons=[]),
        best=TrialSetting(learning_rate=learning_rate, weight_decay=weight_decay),
        best_trial=0,
        best_validation_accuracy=0.5,
        trials=1,
        diverged=0,
        packs=[],
    )


def two_layer_scores(weights: dict[str, Tensor], pixels: NDArray[np.uint8]) -> Array:
    """The saved two-layer network in numpy."""
    w = {name.removeprefix("network."): value.double().numpy() for name, value in weights.items()}
    x = (pixels.astype(np.float64).transpose(0, 3, 1, 2) - w["normalization.shift"]) / w["normalization.scale"]
    hidden = np.maximum(x.reshape(len(x), -1) @ w["hidden1.weight"].T + w["hidden1.bias"], 0)
    scores: Array = hidden @ w["output.weight"].T + w["output.bias"]
    return scores


def convnet_scores(weights: dict[str, Tensor], pixels: NDArray[np.uint8]) -> Array:
    """The saved convolutional network, put together by hand from torch's functions."""
    functional = torch.nn.functional
    w = {name.removeprefix("network."): value.double() for name, value in weights.items()}
    x = torch.from_numpy(pixels).double().permute(0, 3, 1, 2)
    x = (x - w["normalization.shift"]) / w["normalization.scale"]
    for block in "12":
        x = functional.conv2d(x, w[f"conv{block}.weight"], padding=1)
        mean, variance, gain, bias = (
            w[f"norm{block}.{name}"][:, None, None] for name in ("running_mean", "running_var", "weight", "bias")
        )
        x = functional.max_pool2d((x - mean) / (variance + 1e-5).sqrt() * gain + bias, 2).relu()
    scores: Array = (x.flatten(1) @ w["output.weight"].T + w["output.bias"]).numpy()
    return scores


def accuracy_and_loss(scores: Array, labels: NDArray[np.int64]) -> tuple[float, float]:
    log_sum = np.logaddexp.reduce(scores, axis=1)
    loss = (log_sum - scores[np.arange(len(labels)), labels]).mean()
    return float(np.mean(scores.argmax(axis=1) == labels)), float(loss)


@dataclass(frozen=True)
class FinalRun:
    """A final training, what it said and which splits it read, in order, and the weights of each member."""

    trained: TrainedModel
    parent: RunReference
    events: list[str]
    members: list[dict[str, Tensor]]

    @property
    def weights(self) -> dict[str, Tensor]:
        """Of the only member."""
        [weights] = self.members
        return weights


@pytest.fixture(scope="module")
def storage(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("final")


@pytest.fixture(scope="module")
def client(storage: Path) -> Client:
    return connect(f"sqlite:///{storage / 'mlflow.db'}")


@pytest.fixture(scope="module")
def run_final(
    digits: DatasetReference, digits_stats: ChannelStats, storage: Path, client: Client
) -> Callable[..., FinalRun]:
    """Train on digits for three epochs, each time under a new run, unless one is named."""
    numbers = itertools.count()

    def run(
        network: NetworkSettings = TWO_LAYER,
        learning_rate: float = 0.1,
        seed: int = 0,
        weight_decay: float = 1e-3,
        optimizer: OptimizerSettings = OPTIMIZER,
        final: FinalTrainingSettings = THREE_EPOCHS,
        ranking: Ranking | None = None,
        workers: Workers = ON_CPU,
        run_name: str = "",
    ) -> Any:
        run_name = run_name or f"run-{next(numbers)}"
        run_id = open_run(
            client, experiment="final", artifact_location=str(storage), run_name=run_name, tags={}, params={}
        )
        parent = RunReference(
            run_name=run_name,
            storage=str(storage),
            tracking_uri=f"sqlite:///{storage / 'mlflow.db'}",
            tracking_run_id=run_id,
        )
        events = Said()
        opened = training_images.open_split

        def recording(dataset: DatasetReference, split: Any, **options: Any) -> Any:
            events(f"read {split}")
            return opened(dataset, split, **options)

        with pytest.MonkeyPatch.context() as monkeypatch:
            monkeypatch.setattr(training_images, "open_split", recording)
            trained = train_final(
                inputs_of(digits, digits_stats, network, optimizer, seed),
                final,
                ranking or ranking_of(learning_rate, weight_decay),
                parent,
                say=events,
                workers=workers,
            )
        return FinalRun(trained, parent, events, torch.load(trained.weights_uri, weights_only=True))

    return run


@pytest.fixture(scope="module")
def final_run(run_final: Callable[..., FinalRun]) -> FinalRun:
    return run_final()


def test_the_reported_test_accuracy_is_what_numpy_finds_with_the_saved_weights(
    final_run: FinalRun, digits: DatasetReference
) -> None:
    pixels, labels = read_split(digits, "test")
    trained = final_run.trained
    accuracy, loss = accuracy_and_loss(two_layer_scores(final_run.weights, pixels) / trained.temperature, labels)
    assert trained.test_accuracy == pytest.approx(accuracy, abs=1e-12)
    assert trained.test_loss == pytest.approx(loss, rel=1e-4)
    assert trained.test_images == len(labels)
    assert trained.test_accuracy > 0.85


def test_the_run_says_what_it_was_trained_on(final_run: FinalRun) -> None:
    tags = connect(final_run.parent.tracking_uri).get_run(final_run.parent.tracking_run_id).data.tags
    assert tags["sanefit.hardware"] == processor_name()


def test_the_reported_validation_accuracy_is_what_numpy_finds_with_the_saved_weights(
    final_run: FinalRun, digits: DatasetReference
) -> None:
    pixels, labels = read_split(digits, "validation")
    scores = two_layer_scores(final_run.weights, pixels)
    accuracy, _ = accuracy_and_loss(scores, labels)
    assert final_run.trained.validation_accuracy == pytest.approx(accuracy, abs=1e-12)
    fitted = fit_temperature(torch.from_numpy(scores), torch.from_numpy(labels))
    assert final_run.trained.temperature == pytest.approx(fitted, rel=1e-3)


def test_a_network_with_batch_norm_is_measured_with_the_saved_running_averages(
    run_final: Callable[..., FinalRun], digits: DatasetReference
) -> None:
    run = run_final(CONVNET)
    pixels, labels = read_split(digits, "test")
    accuracy, loss = accuracy_and_loss(convnet_scores(run.weights, pixels) / run.trained.temperature, labels)
    assert run.trained.test_accuracy == pytest.approx(accuracy, abs=1e-12)
    assert run.trained.test_loss == pytest.approx(loss, rel=1e-4)
    pixels, labels = read_split(digits, "validation")
    accuracy, _ = accuracy_and_loss(convnet_scores(run.weights, pixels), labels)
    assert run.trained.validation_accuracy == pytest.approx(accuracy, abs=1e-12)


def test_batch_norms_averages_are_those_of_the_training_split(
    run_final: Callable[..., FinalRun], digits: DatasetReference
) -> None:
    """The first layer's, computed by hand; batches differ by an image, hence the tolerance."""
    weights = {name: value.double() for name, value in run_final(CONVNET).weights.items()}
    pixels = torch.from_numpy(read_split(digits, "train")[0]).double().permute(0, 3, 1, 2)
    x = (pixels - weights["normalization.shift"]) / weights["normalization.scale"]
    x = torch.nn.functional.conv2d(x, weights["network.conv1.weight"], padding=1)
    spread = float(x.std((0, 2, 3)).min())
    np.testing.assert_allclose(weights["network.norm1.running_mean"], x.mean((0, 2, 3)), atol=0.005 * spread)
    np.testing.assert_allclose(weights["network.norm1.running_var"], x.var((0, 2, 3)), rtol=0.01)


def test_batch_norms_averages_owe_nothing_to_the_training(
    run_final: Callable[..., FinalRun], digits: DatasetReference, digits_stats: ChannelStats
) -> None:
    """Taken anew with the weights alone they are the saved ones, in every layer."""
    run = run_final(CONVNET)
    classifier = build_classifier(CONVNET, (8, 8, 1), 10, digits_stats, seed=0)
    classifier.load_state_dict(run.weights)
    for layer in ("norm1", "norm2"):
        torch.nn.init.constant_(classifier.network.get_buffer(f"{layer}.running_mean"), 1e6)
    reestimate_batch_norm(classifier, torch.from_numpy(read_split(digits, "train")[0]))
    for name, value in classifier.state_dict().items():
        torch.testing.assert_close(value, run.weights[name], rtol=1e-4, atol=1e-5)


def test_the_test_split_is_read_once_and_only_after_training(final_run: FinalRun) -> None:
    reads = [event for event in final_run.events if event.startswith("read")]
    assert sorted(reads) == ["read test", "read train", "read validation"]
    epochs = [number for number, event in enumerate(final_run.events) if event.startswith("Finished epoch")]
    assert len(epochs) == 3
    assert final_run.events.index("read test") > max(epochs)


def test_each_epoch_prints_a_line_in_the_names_of_its_record(final_run: FinalRun) -> None:
    lines = [event for event in final_run.events if event.startswith("Finished epoch")]
    for line, record in zip(lines, final_run.trained.epochs, strict=True):
        assert line == (
            f"Finished epoch {record.epoch} / 3: train_loss: {record.train_loss:.6f}, "
            f"train_accuracy: {record.train_accuracy:.6f}, validation_accuracy: {record.validation_accuracy:.6f}, "
            f"learning_rate: {record.learning_rate:.6e}"
        )
    trained = final_run.trained
    kept, tested = final_run.events[-2:]
    assert kept.startswith(
        f"epoch {trained.best_epoch} kept: validation accuracy {trained.validation_accuracy:.4f} (95 %"
    )
    assert tested.startswith(f"test accuracy {trained.test_accuracy:.4f} (95 % interval ")
    assert f" on {trained.test_images} images; calibration error 0." in tested


def test_the_best_epoch_is_the_most_accurate_on_the_validation_split(final_run: FinalRun) -> None:
    records = final_run.trained.epochs
    best = max(records, key=lambda r: (r.validation_accuracy, -(r.validation_loss or 0)))
    assert final_run.trained.best_epoch == best.epoch
    assert final_run.trained.validation_accuracy == best.validation_accuracy  # no batch norm to re-estimate
    assert [record.epoch for record in records] == [1, 2, 3]


def test_the_confusion_adds_up_to_the_reported_accuracy(final_run: FinalRun, digits: DatasetReference) -> None:
    pixels, labels = read_split(digits, "test")
    predicted = two_layer_scores(final_run.weights, pixels).argmax(axis=1)
    confusion = np.array(final_run.trained.confusion)
    np.testing.assert_array_equal(confusion, metrics.confusion_matrix(labels, predicted, labels=range(10)))
    assert np.trace(confusion) / confusion.sum() == pytest.approx(final_run.trained.test_accuracy)


def test_the_curves_go_to_a_child_run_and_the_result_to_the_parent(final_run: FinalRun, client: Client) -> None:
    trained, parent = final_run.trained, client.get_run(final_run.parent.tracking_run_id)
    query = f"tags.`mlflow.parentRunId` = '{parent.info.run_id}'"
    (child,) = client.search_runs([parent.info.experiment_id], query)
    for run in (parent, child):
        assert run.data.metrics["test_accuracy"] == trained.test_accuracy
        assert run.data.metrics["test_loss"] == pytest.approx(trained.test_loss)
    assert parent.data.metrics["validation_accuracy"] == trained.validation_accuracy
    assert child.info.status == "FINISHED"
    assert float(child.data.params["learning_rate"]) == trained.setting.learning_rate
    assert (child.data.params["epochs"], child.data.params["schedule"]) == ("3", "cosine")
    assert child.data.tags["sanefit.best_epoch"] == str(trained.best_epoch)
    for name in ("train_loss", "validation_loss", "train_accuracy", "validation_accuracy", "learning_rate"):
        curve = {point.step: point.value for point in client.get_metric_history(child.info.run_id, name)}
        assert curve == {record.epoch: getattr(record, name) for record in trained.epochs}


def test_a_step_that_is_repeated_adds_nothing_twice(run_final: Callable[..., FinalRun], client: Client) -> None:
    """By the wall's clock, which has moved on when the second one logs."""
    first, again = run_final(run_name="repeated"), run_final(run_name="repeated")
    assert again.trained == first.trained
    parent = client.get_run(first.parent.tracking_run_id)
    [child] = client.search_runs([parent.info.experiment_id], f"tags.`mlflow.parentRunId` = '{parent.info.run_id}'")
    for run, names in ((parent, ("test_accuracy", "test_loss", "validation_accuracy")), (child, ("test_accuracy",))):
        for name in names:
            assert len(client.get_metric_history(run.info.run_id, name)) == 1
    assert len(client.get_metric_history(child.info.run_id, "validation_loss")) == len(first.trained.epochs)


def test_labels_of_the_training_split_are_judged_too_whatever_the_metric_before_the_test_split_is_read(
    run_final: Callable[..., FinalRun],
) -> None:
    ranking = ranking_of(0.1)
    searched = ranking.search_range.model_copy(update={"metric": "recall.3"})
    final = FinalTrainingSettings(epochs=2, label_errors="all")
    run = run_final(final=final, ranking=ranking.model_copy(update={"search_range": searched}))
    assert run.trained.label_errors is not None
    assert run.trained.label_errors.judged == {"train": 1206, "validation": 271}
    [said] = [number for number, line in enumerate(run.events) if "suspected label errors among" in line]
    assert run.events.index("read test") > said


def test_judging_labels_changes_nothing_of_the_model(run_final: Callable[..., FinalRun], final_run: FinalRun) -> None:
    final = THREE_EPOCHS.model_copy(update={"label_errors": "none"})
    run = run_final(final=final)
    assert run.trained.label_errors is None
    assert all(torch.equal(run.weights[name], value) for name, value in final_run.weights.items())


def without_places(trained: TrainedModel) -> TrainedModel:
    """Without where its files are, which is another folder for each run."""
    assert trained.label_errors is not None
    label_errors = trained.label_errors.model_copy(update={"uri": ""})
    return trained.model_copy(update={"weights_uri": "", "label_errors": label_errors})


def test_the_same_seed_gives_the_same_model_and_another_one_does_not(
    final_run: FinalRun, run_final: Callable[..., FinalRun]
) -> None:
    again, other = run_final(seed=0), run_final(seed=1)
    assert again.trained.model_copy(update={"weights_uri": "", "label_errors": None}) == final_run.trained.model_copy(
        update={"weights_uri": "", "label_errors": None}
    )
    assert all(torch.equal(again.weights[name], value) for name, value in final_run.weights.items())
    assert not torch.equal(other.weights["network.hidden1.weight"], final_run.weights["network.hidden1.weight"])


def test_the_first_weights_depend_on_the_seed(run_final: Callable[..., FinalRun]) -> None:
    first, other = (run_final(learning_rate=1e-12, seed=seed).weights["network.hidden1.weight"] for seed in (0, 1))
    assert float((first - other).std()) > 0.1


def test_the_settings_reach_the_training(run_final: Callable[..., FinalRun], monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Recipe] = []
    train = member_training.Training

    def recording(classifier: Classifier, data: TrainingData, recipe: Recipe, *others: Any) -> Any:
        seen.append(recipe)
        return train(classifier, data, recipe, *others)

    monkeypatch.setattr(member_training, "Training", recording)
    for seed in (0, 1):
        run_final(learning_rate=0.05, seed=seed)
    for recipe in seen:
        assert (recipe.learning_rate, recipe.weight_decay, recipe.epochs) == (0.05, 1e-3, 3)
        assert (recipe.batch_size, recipe.momentum, recipe.schedule) == (64, 0.8, "cosine")
    assert seen[0].batch_seed != seen[1].batch_seed


def test_a_training_that_diverges_at_once_fails_the_run_before_the_test_split_is_read(
    run_final: Callable[..., FinalRun], monkeypatch: pytest.MonkeyPatch
) -> None:
    def must_not_read(*_: object) -> None:
        raise AssertionError("the test split was read")

    monkeypatch.setattr(final_training, "training_images", must_not_read)
    with pytest.raises(RunFailedError, match=r"diverged in epoch 1 at learning rate 1\.000e\+06") as caught:
        run_final(learning_rate=1e6)
    assert "lower search.coarse.learning_rate" in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1


def test_several_members_give_the_mean_of_their_probabilities(
    run_final: Callable[..., FinalRun], digits: DatasetReference, client: Client
) -> None:
    """Numpy's, of all saved weights; the first member is what it is without the others."""
    settings = [TrialSetting(learning_rate=rate, weight_decay=1e-3, width=8) for rate in (0.1, 0.02, 0.3)]
    ranking = ranking_of(0.1).model_copy(update={"best": settings[0], "top": settings})
    run = run_final(final=FinalTrainingSettings(epochs=2, ensemble=3), ranking=ranking)
    alone = run_final(final=FinalTrainingSettings(epochs=2), ranking=ranking)
    trained = run.trained
    assert (trained.members, len(run.members), len(alone.members)) == (settings, 3, 1)
    assert all(torch.equal(run.members[0][name], value) for name, value in alone.weights.items())
    assert (trained.epochs, trained.best_epoch) == (alone.trained.epochs, alone.trained.best_epoch)
    for split, reported in (("validation", trained.validation_accuracy), ("test", trained.test_accuracy)):
        pixels, labels = read_split(digits, split)
        scores = [two_layer_scores(weights, pixels) for weights in run.members]
        probabilities = [np.exp(s - np.logaddexp.reduce(s, axis=1)[:, None]) for s in scores]
        accuracy, loss = accuracy_and_loss(np.log(np.mean(probabilities, axis=0)) / trained.temperature, labels)
        assert reported == pytest.approx(accuracy, abs=1e-12)
        each = ", ".join(f"{accuracy_and_loss(s, labels)[0]:.4f}" for s in scores)
        assert any(f"accuracy of the members: {each};" in line for line in run.events) == (split == "validation")
    assert trained.test_loss == pytest.approx(loss, rel=1e-4)
    assert run.events.count("read test") == 1
    parent = client.get_run(run.parent.tracking_run_id)
    children = client.search_runs(
        [parent.info.experiment_id], f"tags.`mlflow.parentRunId` = '{parent.info.run_id}'", order_by=["run_name"]
    )
    assert [child.info.run_name for child in children] == ["final", "final-2", "final-3"]
    assert [float(child.data.params["learning_rate"]) for child in children] == [0.1, 0.02, 0.3]


def test_two_processes_give_the_model_of_one(run_final: Callable[..., FinalRun], final_run: FinalRun) -> None:
    """To float32's precision after 60 steps."""
    run = run_final(workers=Workers(processes=2))
    assert "2 processes share each batch" in run.events
    assert [event for event in run.events if event.startswith("Finished epoch")]
    for record, expected in zip(run.trained.epochs, final_run.trained.epochs, strict=True):
        assert record.train_loss == pytest.approx(expected.train_loss, rel=1e-3)
    assert run.trained.test_loss == pytest.approx(final_run.trained.test_loss, rel=1e-3)
    for name, value in final_run.weights.items():
        torch.testing.assert_close(run.weights[name], value, rtol=1e-3, atol=1e-4)


def test_a_member_that_diverges_at_once_is_left_out(run_final: Callable[..., FinalRun]) -> None:
    settings = [TrialSetting(learning_rate=rate, weight_decay=1e-3) for rate in (0.1, 1e30)]
    ranking = ranking_of(0.1).model_copy(update={"top": settings})
    run = run_final(final=FinalTrainingSettings(epochs=2, ensemble=2), ranking=ranking)
    assert run.trained.members == settings[:1]
    assert len(run.members) == 1
    assert "warning: member 2 diverged in epoch 1 and is left out" in run.events


def test_arithmetic_is_afterwards_what_it_was(final_run: FinalRun) -> None:
    smallest = torch.tensor(5e-324, dtype=torch.float64)
    assert final_run.trained.epochs
    assert (smallest * 1.0).item() > 0


@pytest.fixture(scope="module")
def data(digits: DatasetReference) -> TrainingData:
    return read_training_data(digits)


def best_of(
    classifier: Classifier,
    data: TrainingData,
    ranking: Ranking,
    final: FinalTrainingSettings,
    said: Said,
    seed: int = 0,
) -> tuple[list[EpochRecord], EpochRecord]:
    """Train, and load the weights that are kept."""
    [member] = plan_members(TWO_LAYER, CONSTANT, final, ranking, seed, said)
    checkpoint = Checkpoint("/nowhere/checkpoint", said, writes=False)
    progress = train_member(classifier, data, member.trial.recipe, final, checkpoint, say=said)
    classifier.network.load_state_dict(dict(progress.best_weights))
    assert progress.best is not None
    return progress.records, progress.best


def test_the_weights_kept_are_those_after_the_best_epoch(
    data: TrainingData, digits_stats: ChannelStats, said: Said
) -> None:
    """Strong decay: two epochs learn something, the next ones forget it."""
    classifier = build_classifier(TWO_LAYER, (8, 8, 1), 10, digits_stats, seed=2)
    ranking = ranking_of(learning_rate=0.01, weight_decay=1.0)
    records, best = best_of(classifier, data, ranking, FinalTrainingSettings(epochs=6), said, seed=2)
    assert best in records
    assert len(records) == 6
    assert best.epoch < 6
    assert best.validation_accuracy > records[-1].validation_accuracy + 0.1
    scores = two_layer_scores(classifier.state_dict(), data.validation_pixels.numpy())
    accuracy, loss = accuracy_and_loss(scores, data.validation_labels.numpy())
    assert best.validation_accuracy == pytest.approx(accuracy, abs=1e-12)
    assert best.validation_loss == pytest.approx(loss, rel=1e-4)


def test_batch_norms_averages_of_the_best_epoch_are_kept_too(
    data: TrainingData, digits_stats: ChannelStats, said: Said
) -> None:
    classifier = build_classifier(CONVNET, (8, 8, 1), 10, digits_stats, seed=0)
    ranking = ranking_of(learning_rate=0.1, weight_decay=0.3)
    records, best = best_of(classifier, data, ranking, FinalTrainingSettings(epochs=3), said)
    assert best.validation_accuracy > records[-1].validation_accuracy + 0.1
    scores = convnet_scores(classifier.state_dict(), data.validation_pixels.numpy())
    accuracy, loss = accuracy_and_loss(scores, data.validation_labels.numpy())
    assert best.validation_accuracy == pytest.approx(accuracy, abs=1e-12)
    assert best.validation_loss == pytest.approx(loss, rel=1e-4)


def test_a_training_that_diverges_later_keeps_its_best_epoch_and_warns(run_final: Callable[..., FinalRun]) -> None:
    run = run_final(learning_rate=0.3, weight_decay=20.0, final=FinalTrainingSettings(epochs=6), optimizer=CONSTANT)
    records, best = run.trained.epochs, run.trained.best_epoch
    assert best < len(records) < 6
    assert f"warning: diverged in epoch {len(records)}; epoch {best} is kept" in run.events
    assert all(bool(value.isfinite().all()) for value in run.weights.values())


made_up_epochs = st.lists(
    st.tuples(st.sampled_from([0.1, 0.5, 0.9]), st.sampled_from([0.2, 1.0, 2.0, None])), min_size=1, max_size=8
)


class PlayedBack:
    """In the place of ``Training``: plays back epochs, and writes each one's number into the weights."""

    def __init__(self, epochs: list[tuple[float, float | None]], classifier: Classifier) -> None:
        self.made_up, self.kept, self.epochs = epochs, classifier, 0

    def state(self) -> None:
        raise AssertionError("there is nobody who writes")

    def train_epoch(self, epoch: int, _after_batch: object) -> EpochRecord:
        torch.nn.init.constant_(self.kept.network.get_parameter("output.bias"), epoch)
        accuracy, loss = self.made_up[epoch - 1]
        return EpochRecord(
            epoch=epoch,
            learning_rate=0.1,
            train_loss=1.0,
            train_accuracy=0.5,
            validation_loss=loss,
            validation_accuracy=accuracy,
        )


def expected_end(epochs: list[tuple[float, float | None]], patience: int | None) -> tuple[int, int, bool]:
    """How many epochs are trained, which one is the best (0: none), and whether patience ended."""
    for last in range(1, len(epochs) + 1):
        finite = [(-accuracy, loss, n) for n, (accuracy, loss) in enumerate(epochs[:last], 1) if loss is not None]
        best = min(finite)[2] if finite else 0  # of complete equals the first
        if epochs[last - 1][1] is None:
            break
        if patience is not None and last - best >= patience:
            return last, best, True
    return last, best, False


@settings(deadline=None)
@given(made_up_epochs, st.sampled_from([None, 1, 2, 3]))
def test_the_best_epoch_is_the_most_accurate_and_training_stops_when_patience_ends(
    epochs: list[tuple[float, float | None]], patience: int | None
) -> None:
    """Of equals the best is the one of the lowest loss; an epoch without a loss is the last."""
    stats = ChannelStats(normalization="none", images=1, mean=[0.0], std=[1.0], shift=[0.0], scale=[1.0], histogram=[])
    classifier = build_classifier(TwoLayerSettings(kind="two_layer", hidden=1), (1, 1, 1), 2, stats, seed=0)
    nothing = TrainingData(*[torch.zeros(0)] * 4)
    said = Said()
    final = FinalTrainingSettings(epochs=len(epochs), patience=patience)
    [member] = plan_members(TWO_LAYER, OPTIMIZER, final, ranking_of(0.1), 0, said)
    checkpoint = Checkpoint("/nowhere/checkpoint", said, writes=False)
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr(member_training, "Training", lambda classifier, *_: PlayedBack(epochs, classifier))
        progress = train_member(classifier, nothing, member.trial.recipe, final, checkpoint, say=said)
    last, best, out_of_patience = expected_end(epochs, patience)
    assert (len(progress.records), progress.best_epoch) == (last, best)
    if best:
        assert progress.best == progress.records[best - 1]
        assert progress.best_weights["output.bias"].tolist() == [best] * 2
    assert any(line.startswith(f"stopped after epoch {last}: epoch {best}") for line in said) == out_of_patience


@settings(deadline=None)
@given(st.integers(2, 12).flatmap(lambda k: st.tuples(st.just(k), st.lists(st.tuples(*[st.integers(0, k - 1)] * 2)))))
def test_the_confusion_matrix_is_sklearns(case: tuple[int, list[tuple[int, int]]]) -> None:
    classes, pairs = case
    labels, predicted = np.array(pairs, dtype=np.int64).reshape(-1, 2).T
    confusion = confusion_matrix(torch.tensor(labels), torch.tensor(predicted), classes)
    expected = np.zeros((classes, classes), dtype=np.int64)
    if pairs:
        expected = metrics.confusion_matrix(labels, predicted, labels=range(classes))
    assert confusion == expected.tolist()
