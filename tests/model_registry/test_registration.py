"""Registration against a real MLflow store."""

import io
import shutil
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

import mlflow
import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from said import Said
from training_inputs import inputs_of

from sanefit.components.channel_stats.channel_stats import measure_channel_stats
from sanefit.components.dataset_snapshot.snapshot import take_snapshot
from sanefit.components.foundation.classifiers.classifier import Classifier, build_classifier
from sanefit.components.foundation.errors import RunFailedError
from sanefit.components.foundation.identity.training_identity import TrainingIdentity
from sanefit.components.foundation.image_dataset.shards import read_manifest, read_split
from sanefit.components.foundation.schemas.data_settings import DataSettings
from sanefit.components.foundation.schemas.final_model import Judgement, TrainedModel
from sanefit.components.foundation.schemas.images import DatasetReference
from sanefit.components.foundation.schemas.networks import (
    ConvNetSettings,
    MlpSettings,
    NetworkSettings,
    ResNetSettings,
    TwoLayerSettings,
)
from sanefit.components.foundation.schemas.registry import RegistrySettings
from sanefit.components.foundation.schemas.run_record import StepRecord
from sanefit.components.foundation.schemas.runs import Registration, RunReference, RunSummary
from sanefit.components.foundation.schemas.search import TrialSetting
from sanefit.components.foundation.schemas.statistics import ChannelStats, StatsSettings
from sanefit.components.foundation.storage import object_store
from sanefit.components.foundation.storage.layout import Storage
from sanefit.components.foundation.tracking.connection import connect
from sanefit.components.foundation.tracking.models import champion_version
from sanefit.components.model_registry import registration as registration_module
from sanefit.components.model_registry.registration import register
from sanefit.components.model_registry.run_identity import flat_settings
from sanefit.components.model_registry.run_lifecycle import close_tracking_run, open_tracking_run
from sanefit.components.model_registry.settlement import keep_standing

pytestmark = pytest.mark.slow

DATA, RULE = DataSettings(), RegistrySettings()

NETWORK = TwoLayerSettings(kind="two_layer", hidden=16)

JUDGEMENT = Judgement(interval=(0, 1), majority_accuracy=0, balanced_accuracy=0.5, only_class_named=None)


@pytest.fixture(autouse=True)
def _unverified(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process of its own for each version takes ten seconds: ``test_served_models.py`` has one."""
    monkeypatch.setattr(registration_module, "verify", lambda *_: None)


def trained_model(
    folder: str, dataset: DatasetReference, stats: ChannelStats, steps: int, seed: int = 0
) -> TrainedModel:
    """A model after some steps of plain gradient descent; its accuracy is measured here, by hand."""
    return saved(folder, dataset, [trained_classifier(dataset, stats, steps, seed)])


def trained_classifier(dataset: DatasetReference, stats: ChannelStats, steps: int, seed: int = 0) -> Classifier:
    manifest = read_manifest(dataset)
    classifier = build_classifier(NETWORK, manifest.image_shape, len(manifest.class_names), stats, seed)
    pixels, labels = (torch.from_numpy(array) for array in read_split(dataset, "train"))
    optimizer = torch.optim.SGD(classifier.parameters(), lr=0.1)
    for _ in range(steps):
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(classifier(pixels), labels).backward()
        optimizer.step()
    return classifier


def folder_of(run: RunReference) -> str:
    return Storage(run.storage).run(run.run_name).uri


def saved(
    folder: str,
    dataset: DatasetReference,
    members: Sequence[Classifier],
    settings: Sequence[TrialSetting] = (TrialSetting(learning_rate=0.1, weight_decay=0),),
) -> TrainedModel:
    pixels, labels = read_split(dataset, "test")
    predicted = mean_probabilities(members, pixels).argmax(axis=1)
    buffer = io.BytesIO()
    torch.save([member.state_dict() for member in members], buffer)
    object_store.write_bytes(f"{folder}/weights.pt", buffer.getvalue())
    return TrainedModel(
        weights_uri=f"{folder}/weights.pt",
        setting=settings[0],
        ensemble=list(settings) if len(settings) > 1 else [],
        best_epoch=1,
        epochs=[],
        validation_accuracy=0.5,
        test_accuracy=float(np.mean(predicted == labels)),
        test_loss=1.0,
        test_images=len(labels),
        confusion=[],
        validation=JUDGEMENT,
        test=JUDGEMENT,
    )


def mean_probabilities(members: Sequence[Classifier], pixels: NDArray[np.uint8]) -> NDArray[np.float64]:
    """In numpy from the members' scores."""
    with torch.no_grad():
        scores = np.stack([member.eval()(torch.from_numpy(pixels)).double().numpy() for member in members])
    shifted = np.exp(scores - scores.max(axis=2, keepdims=True))
    mean: NDArray[np.float64] = (shifted / shifted.sum(axis=2, keepdims=True)).mean(axis=0)
    return mean


def opened(name: str, run_name: str, storage: Path, uri: str, dataset: DatasetReference) -> RunReference:
    identity = TrainingIdentity(images=dataset.fingerprint, code="c", torch="t")
    return open_tracking_run(name, run_name, run_name, str(storage), uri, identity, {"seed": "0"}, Said())


def test_a_better_model_takes_over_and_a_worse_one_does_not(
    digits: DatasetReference, digits_stats: ChannelStats, storage: Path, uri: str
) -> None:
    seen = []
    for run_name, steps in (("poor", 1), ("good", 60), ("worse", 5)):
        run = opened("three", run_name, storage, uri, digits)
        trained = trained_model(folder_of(run), digits, digits_stats, steps)
        registration = register("three", inputs_of(digits, digits_stats, NETWORK), DATA, trained, RULE, run, Said())
        assert registration.test_accuracy == trained.test_accuracy
        seen.append((registration.model_version, registration.alias, registration.champion_version_before))
    assert seen == [("1", "champion", None), ("2", "champion", "1"), ("3", "challenger", "2")]
    client = connect(uri)
    assert champion_version(client, "three") == "2"
    version = client.get_model_version("three", "2")
    assert version.tags["sanefit.fingerprint"] == digits.fingerprint
    assert "better: test accuracy" in version.description
    assert f"Test accuracy {float(version.tags['test_accuracy']):.4f} (95 % interval" in version.description


SEARCHED: list[tuple[NetworkSettings, list[dict[str, int]], list[NetworkSettings]]] = [
    (
        NETWORK,
        [{"width": 24}, {"width": 5}, {}],
        [NETWORK.model_copy(update={"hidden": hidden}) for hidden in (24, 5, 16)],
    ),
    (
        MlpSettings(kind="mlp", depth=2, width=6),
        [{"width": 9, "depth": 3}],
        [MlpSettings(kind="mlp", depth=3, width=9)],
    ),
    (
        ConvNetSettings(kind="convnet", channels=(4, 8)),
        [{"width": 6}, {"depth": 1}],
        [ConvNetSettings(kind="convnet", channels=(6, 12)), ConvNetSettings(kind="convnet", channels=(4,))],
    ),
    (
        ResNetSettings(kind="resnet", channels=(4, 8), blocks=1),
        [{"width": 3, "depth": 2}, {}],
        [
            ResNetSettings(kind="resnet", channels=(3, 6), blocks=2),
            ResNetSettings(kind="resnet", channels=(4, 8), blocks=1),
        ],
    ),
]


@pytest.mark.parametrize(("network", "searched", "shapes"), SEARCHED, ids=lambda value: getattr(value, "kind", ""))
def test_a_searched_network_or_several_are_served_as_one_model_for_any_number_of_images(
    network: NetworkSettings,
    searched: list[dict[str, int]],
    shapes: list[NetworkSettings],
    digits: DatasetReference,
    digits_stats: ChannelStats,
    storage: Path,
    uri: str,
) -> None:
    name = f"searched-{network.kind}"
    run = opened(name, "r", storage, uri, digits)
    manifest = read_manifest(digits)
    members = [
        build_classifier(shape, manifest.image_shape, len(manifest.class_names), digits_stats, seed)
        for seed, shape in enumerate(shapes, start=1)
    ]
    settings = [TrialSetting(learning_rate=0.1, weight_decay=0, **values) for values in searched]
    trained = saved(folder_of(run), digits, members, settings)
    registration = register(name, inputs_of(digits, digits_stats, network), DATA, trained, RULE, run, Said())
    assert registration.test_accuracy == trained.test_accuracy
    pixels, _ = read_split(digits, "test")
    served = mlflow.pyfunc.load_model(registration.model_uri)
    for count in (1, 2, 7, len(pixels)):
        found = served.predict(pixels[:count])
        assert (found.shape, found.dtype) == ((count, 10), np.float32)
        np.testing.assert_allclose(found, mean_probabilities(members, pixels[:count]), rtol=1e-4, atol=1e-6)


def test_an_ensemble_is_champion_and_challenger_to_a_single_network(
    digits: DatasetReference, digits_stats: ChannelStats, storage: Path, uri: str
) -> None:
    several = [TrialSetting(learning_rate=0.1, weight_decay=0)] * 3
    seen = []
    for run_name, count in (("single", 1), ("ensemble", 3), ("single again", 1)):
        run = opened("mixed", run_name, storage, uri, digits)
        members = [trained_classifier(digits, digits_stats, 12, seed) for seed in range(count)]
        trained = saved(folder_of(run), digits, members, several[:count])
        registration = register("mixed", inputs_of(digits, digits_stats, NETWORK), DATA, trained, RULE, run, Said())
        assert registration.test_accuracy == trained.test_accuracy
        seen.append(
            (
                registration.alias,
                registration.champion_version_before,
                registration.comparison and registration.comparison.old,
            )
        )
    single, ensemble = (_accuracy(uri, version) for version in ("1", "2"))
    assert ensemble > single, "else this test shows nothing"
    assert seen == [
        ("champion", None, None),
        ("champion", "1", pytest.approx(single, abs=1e-6)),
        ("challenger", "2", pytest.approx(ensemble, abs=1e-6)),
    ]


def _accuracy(uri: str, version: str) -> float:
    """To six digits."""
    return float(connect(uri).get_model_version("mixed", version).tags["test_accuracy"])


def test_a_repeated_step_registers_nothing_twice(
    digits: DatasetReference, digits_stats: ChannelStats, storage: Path, uri: str
) -> None:
    run = opened("twice", "r", storage, uri, digits)
    assert opened("twice", "r", storage, uri, digits) == run
    trained = trained_model(folder_of(run), digits, digits_stats, 3)
    first = register("twice", inputs_of(digits, digits_stats, NETWORK), DATA, trained, RULE, run, Said())
    again = register("twice", inputs_of(digits, digits_stats, NETWORK), DATA, trained, RULE, run, Said())
    assert first == again
    assert len(connect(uri).search_model_versions("name = 'twice'")) == 1


def test_a_model_that_does_not_give_the_reported_accuracy_gets_no_alias(
    digits: DatasetReference, digits_stats: ChannelStats, storage: Path, uri: str
) -> None:
    run = opened("liar", "r", storage, uri, digits)
    trained = trained_model(folder_of(run), digits, digits_stats, 3)
    boasting = trained.model_copy(update={"test_accuracy": trained.test_accuracy + 0.1})
    with pytest.raises(RunFailedError, match="reported"):
        register("liar", inputs_of(digits, digits_stats, NETWORK), DATA, boasting, RULE, run, Said())
    assert champion_version(connect(uri), "liar") is None


@pytest.mark.parametrize(
    ("per_class", "size", "obstacle"),
    [
        ({"cat": 40, "dog": 40, "owl": 40}, (6, 6), "class_names"),
        ({"cat": 40, "dog": 40}, (8, 8), "image_shape"),
    ],
)
def test_a_champion_for_other_images_stays(
    per_class: dict[str, int],
    size: tuple[int, int],
    obstacle: str,
    image_folder: Callable[..., Path],
    storage: Path,
    uri: str,
) -> None:
    name = f"other-{obstacle}"
    registrations = []
    for number, (classes, pixels) in enumerate([({"cat": 40, "dog": 40}, (6, 6)), (per_class, size)]):
        folder = image_folder(classes, pixels, name=f"images{number}")
        dataset = take_snapshot(DataSettings(source=f"folder:{folder}"), str(storage), Said())
        stats = measure_channel_stats(dataset, StatsSettings(normalization="channel_mean_std"), Said())
        run = opened(name, f"r{number}", storage, uri, dataset)
        trained = trained_model(folder_of(run), dataset, stats, 2)
        registrations.append(register(name, inputs_of(dataset, stats, NETWORK), DATA, trained, RULE, run, Said()))
    assert [registration.alias for registration in registrations] == ["champion", "challenger"]
    assert "cannot be compared" in registrations[1].reason
    assert obstacle in registrations[1].reason


@pytest.mark.parametrize(
    ("state", "status"),
    [("SUCCEEDED", "FINISHED"), ("COMPLETE", "FINISHED"), ("FAILED", "FAILED"), ("CANCELLED", "FAILED")],
)
def test_a_run_is_closed_with_its_true_status(
    state: str, status: str, digits: DatasetReference, storage: Path, uri: str
) -> None:
    run = opened("closing", state, storage, uri, digits)
    close_tracking_run("closing", state, state, str(storage), uri, state, "a pod vanished", Said())
    info = connect(uri).get_run(run.tracking_run_id)
    assert info.info.status == status
    assert info.data.tags.get("sanefit.failure") == (None if status == "FINISHED" else "a pod vanished")


def test_a_cloned_run_is_a_new_run_and_a_repeated_step_is_not(
    digits: DatasetReference, tmp_path: Path, uri: str
) -> None:
    def open_as(run_name: str, job_id: str) -> RunReference:
        identity = TrainingIdentity(images=digits.fingerprint, code="c", torch="t")
        return open_tracking_run("clones", run_name, job_id, str(tmp_path), uri, identity, {}, Said())

    first = open_as("monday", "11111111-aaaa")
    assert open_as("monday", "11111111-aaaa") == first
    clone = open_as("monday", "22222222-bbbb")
    assert clone.tracking_run_id != first.tracking_run_id
    assert (first.run_name, clone.run_name) == ("monday", "monday-22222222")
    assert open_as("monday", "22222222-bbbb") == clone
    close_tracking_run("clones", "monday", "22222222-bbbb", str(tmp_path), uri, "FAILED", "no room", Said())
    client = connect(uri)
    assert client.get_run(clone.tracking_run_id).info.status == "FAILED"
    assert client.get_run(first.tracking_run_id).info.status == "RUNNING"


@pytest.mark.parametrize("run_name", ["it's", 'say "cheese"', """both ' and \"""", "100%", "plain"])
def test_a_run_of_any_name_is_found_again(run_name: str, digits: DatasetReference, storage: Path, uri: str) -> None:
    run, _ = (opened("names", run_name, storage, uri, digits) for _ in range(2))
    opened("names", f"{run_name} too", storage, uri, digits)
    assert opened("names", run_name, storage, uri, digits) == run
    assert run.run_name == run_name


@pytest.mark.parametrize(("model_uri", "status"), [("models:/m/1", "FINISHED"), (None, "FAILED")])
def test_a_run_that_is_called_running_is_closed_as_what_it_wrote_says(
    model_uri: str | None, status: str, digits: DatasetReference, storage: Path, uri: str
) -> None:
    run = opened("told running", str(model_uri), storage, uri, digits)
    summary = RunSummary(run_name=run.run_name, fingerprint="f", failed_checks=[], model_uri=model_uri)
    object_store.write_bytes(Storage(str(storage)).run(run.run_name).summary, summary.model_dump_json().encode())
    close_tracking_run("told running", run.run_name, run.run_name, str(storage), uri, "RUNNING", "", Said())
    found = connect(uri).get_run(run.tracking_run_id)
    assert found.info.status == status
    assert "RUNNING" not in found.data.tags.get("sanefit.failure", "")


def test_a_closed_run_says_how_long_it_held_gpus_and_how_busy_they_were(
    digits: DatasetReference, storage: Path, uri: str
) -> None:
    run = opened("with GPUs", "held", storage, uri, digits)
    step = StepRecord(step="train", state="succeeded", started=0.0, ended=1800.0, gpus=4, gpu_utilization=0.75)
    object_store.write_bytes(Storage(str(storage)).run(run.run_name).step("train"), step.model_dump_json().encode())
    close_tracking_run("with GPUs", run.run_name, run.run_name, str(storage), uri, "SUCCEEDED", "", Said())
    metrics = connect(uri).get_run(run.tracking_run_id).data.metrics
    assert (metrics["gpu_hours"], metrics["gpu_utilization"]) == (2.0, 0.75)


def test_closing_a_run_that_was_never_opened_creates_no_store(tmp_path: Path, said: Said) -> None:
    close_tracking_run("digits", "r", "", str(tmp_path), f"sqlite:///{tmp_path}/mlflow.db", "FAILED", "", said)
    assert "never opened" in said[0]
    assert list(tmp_path.iterdir()) == []


def test_settings_become_flat_names() -> None:
    assert flat_settings(3, search='{"coarse": {"trials": 100, "learning_rate": null}}') == {
        "seed": "3",
        "search.coarse.trials": "100",
        "search.coarse.learning_rate": "None",
    }


def registered(
    name: str, number: int, dataset: DatasetReference, storage: Path, uri: str, steps: int = 2, **settings: object
) -> tuple[Registration, Said]:
    stats = measure_channel_stats(dataset, StatsSettings(normalization="channel_mean_std"), Said())
    run = opened(name, f"r{number}", storage, uri, dataset)
    said, rule = Said(), RegistrySettings.model_validate(settings)
    trained = trained_model(folder_of(run), dataset, stats, steps)
    return register(name, inputs_of(dataset, stats, NETWORK), DATA, trained, rule, run, said), said


def test_the_champion_is_judged_on_images_that_it_was_neither_trained_nor_chosen_on(
    image_folder: Callable[..., Path], tmp_path: Path, uri: str
) -> None:
    folder = image_folder({"cat": 60, "dog": 60}, (6, 6))
    source = f"folder:{folder}"
    first = take_snapshot(DataSettings(source=source), str(tmp_path / "one"), Said())
    second = take_snapshot(DataSettings(source=source, test_fraction=0.4), str(tmp_path / "two"), Said())
    registered("fair", 0, first, tmp_path / "one", uri)
    registration, said = registered("fair", 1, second, tmp_path / "two", uri)
    seen = {image.tobytes() for split in ("train", "validation") for image in read_split(first, split)[0]}
    today = [image.tobytes() for image in read_split(second, "test")[0]]
    fair = sum(image not in seen for image in today)
    assert 0 < fair < len(today)
    assert registration.comparison is not None
    assert registration.comparison.images == fair
    assert any(f"{len(today) - fair} of {len(today)} test images are left out" in line for line in said)


@pytest.mark.parametrize("better_first", [False, True])
def test_of_runs_that_ran_at_the_same_time_the_best_stays_whichever_registered_first(
    better_first: bool, digits: DatasetReference, digits_stats: ChannelStats, tmp_path: Path
) -> None:
    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    found = []
    both = [("one", 20), ("two", 30)]
    runs = {name: opened("both", name, tmp_path, uri, digits) for name, _ in both}
    for run in runs.values():
        keep_standing(connect(uri), "both", run.tracking_run_id, datetime(2026, 11, 27, tzinfo=UTC))
    for name, steps in reversed(both) if better_first else both:
        trained = trained_model(folder_of(runs[name]), digits, digits_stats, steps)
        inputs = inputs_of(digits, digits_stats, NETWORK)
        found.append(register("both", inputs, DATA, trained, RULE, runs[name], Said()))
    accuracy_of = {one.model_version: one.test_accuracy for one in found}
    assert len(set(accuracy_of.values())) == 2, "else this test shows nothing"
    assert champion_version(connect(uri), "both") == max(accuracy_of, key=lambda version: accuracy_of[version])
    # A run that began afterwards is no rival: it must be surely better.
    late = opened("both", "late", tmp_path, uri, digits)
    keep_standing(connect(uri), "both", late.tracking_run_id, datetime(2026, 11, 28, tzinfo=UTC))
    trained = trained_model(folder_of(late), digits, digits_stats, 31)
    registration = register("both", inputs_of(digits, digits_stats, NETWORK), DATA, trained, RULE, late, Said())
    assert registration.comparison is not None


def test_a_champion_trained_on_all_test_images_cannot_be_compared(
    image_folder: Callable[..., Path], tmp_path: Path, uri: str
) -> None:
    root = image_folder({"cat": 40, "dog": 40}, (6, 6))
    first = take_snapshot(DataSettings(source=f"folder:{root}"), str(tmp_path / "one"), Said())
    trained_on = {image.tobytes() for image in read_split(first, "train")[0]}
    own = tmp_path / "own"
    for path in sorted(root.glob("*/*.*")):
        pixels = np.asarray(Image.open(path).convert("RGB"))
        split = "test" if pixels.tobytes() in trained_on else "train"
        (own / split / path.parent.name).mkdir(parents=True, exist_ok=True)
        shutil.copy(path, own / split / path.parent.name / path.name)
    second = take_snapshot(DataSettings(source=f"folder:{own}", splits="own"), str(tmp_path / "two"), Said())
    registered("seen", 0, first, tmp_path / "one", uri)
    registration, _ = registered("seen", 1, second, tmp_path / "two", uri)
    assert registration.alias == "challenger"
    assert "trained or chosen on all of today's test images" in registration.reason


def test_a_champion_whose_files_are_gone_stays_and_the_way_out_is_said(
    digits: DatasetReference, tmp_path: Path
) -> None:
    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    first, _ = registered("gone", 0, digits, tmp_path, uri)
    shutil.rmtree(tmp_path / "mlflow-artifacts")
    again, _ = registered("gone", 1, digits, tmp_path, uri, steps=30)
    assert (first.alias, again.alias) == ("champion", "challenger")
    assert "it cannot be loaded" in again.reason
    assert "sanefit registry promote gone VERSION" in again.reason
    assert "\n" not in again.reason
    assert champion_version(connect(uri), "gone") == "1"


def test_a_version_without_a_record_of_its_images_is_compared_with_a_warning(
    digits: DatasetReference, tmp_path: Path
) -> None:
    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    registered("old", 0, digits, tmp_path, uri)
    for file in tmp_path.rglob("seen_images.npy"):
        file.unlink()
    registration, said = registered("old", 1, digits, tmp_path, uri, steps=30)
    assert registration.alias == "champion"
    assert any("not on record which images version 1 was trained on" in line for line in said)


def test_looks_at_a_test_split_are_counted_and_a_worn_out_one_is_told(digits: DatasetReference, tmp_path: Path) -> None:
    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    looks = [registered("looks", number, digits, tmp_path, uri)[0].look for number in range(3)]
    assert looks == [0, 1, 2]
    client = connect(uri)
    look = client.get_model_version("looks", "3").tags["sanefit.look"]
    for _ in range(20):
        client.create_model_version("looks", source="file:///nowhere", tags={"sanefit.look": look})
    registration, said = registered("looks", 3, digits, tmp_path, uri)
    assert registration.look == 23
    assert "at look 23" in registration.reason
    assert any("has compared versions 23 times" in line for line in said)


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"require": {"recall.3": 1.0}}, "registry.require: recall.3 "),
        ({"promotion": "never"}, "registry.promotion=never"),
        ({"approval": "manual"}, "`sanefit registry promote unmet"),
    ],
    ids=str,
)
def test_a_first_version_that_may_not_be_champion_is_challenger(
    settings: dict[str, object], reason: str, digits: DatasetReference, tmp_path: Path
) -> None:
    registration, _ = registered("unmet", 0, digits, tmp_path, f"sqlite:///{tmp_path / 'mlflow.db'}", **settings)
    assert registration.alias == "challenger"
    assert reason in registration.reason
