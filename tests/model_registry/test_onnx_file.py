"""The ONNX file of a version, read with onnx and answered by ONNX Runtime in the test's own process."""

import re
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from numpy.typing import NDArray
from onnxruntime import InferenceSession
from said import Said
from test_registration import DATA, NETWORK, folder_of, mean_probabilities, opened, saved
from training_inputs import inputs_of

from sanefit.components.channel_stats.channel_stats import measure_channel_stats
from sanefit.components.dataset_snapshot.snapshot import take_snapshot
from sanefit.components.foundation.classifiers.classifier import Classifier, ProbabilityModel, build_classifier
from sanefit.components.foundation.image_dataset.shards import SplitImages, open_split, read_manifest, read_split
from sanefit.components.foundation.schemas.data_settings import DataSettings
from sanefit.components.foundation.schemas.images import DatasetReference
from sanefit.components.foundation.schemas.networks import NetworkSettings, TwoLayerSettings, network_settings
from sanefit.components.foundation.schemas.registry import RegistrySettings
from sanefit.components.foundation.schemas.runs import Registration, RunReference
from sanefit.components.foundation.schemas.search import SearchSettings, TrialSetting
from sanefit.components.foundation.schemas.statistics import ChannelStats, StatsSettings
from sanefit.components.foundation.tracking.connection import connect
from sanefit.components.foundation.tracking.onnx_export import write_onnx
from sanefit.components.model_registry import onnx_file
from sanefit.components.model_registry import registration as registration_module
from sanefit.components.model_registry.onnx_file import BATCHES, keep_onnx
from sanefit.components.model_registry.registration import register
from sanefit.components.model_registry.steps import open_run

SETTING = TrialSetting(learning_rate=0.1, weight_decay=0)


@pytest.fixture(autouse=True)
def _unverified(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in ``test_registration.py``; the ONNX file is verified."""
    monkeypatch.setattr(registration_module, "verify", lambda *_: None)


def answers(file: Path, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    session = InferenceSession(file, providers=["CPUExecutionProvider"])
    [found] = session.run(["probabilities"], {"pixels": pixels})
    return found  # type: ignore[no-any-return]


def ends(file: Path) -> list[tuple[str, int, list[str | int]]]:
    """Name, element type and shape of the input and the output; a free dimension has its name."""
    graph = onnx.load(file).graph
    return [
        (
            end.name,
            end.type.tensor_type.elem_type,
            [size.dim_param or size.dim_value for size in end.type.tensor_type.shape.dim],
        )
        for end in [*graph.input, *graph.output]
    ]


def program_of(model: torch.nn.Module, image_shape: tuple[int, int, int]) -> torch.export.ExportedProgram:
    """As MLflow keeps it."""
    example = torch.zeros((2, *image_shape), dtype=torch.uint8)
    return torch.export.export(model, (example,), dynamic_shapes=[{0: torch.export.Dim.AUTO}])


def test_the_file_takes_raw_pixels_and_normalizes_them_itself(tmp_path: Path) -> None:
    """Beside the formula of the network, in float64."""
    stats = ChannelStats.model_construct(shift=[90.0, 120.0, 60.0], scale=[40.0, 70.0, 25.0], transform_uri="")
    shape, file = (5, 4, 3), tmp_path / "model.onnx"
    classifier = build_classifier(TwoLayerSettings(kind="two_layer", hidden=6), shape, 3, stats, seed=1)
    write_onnx(program_of(ProbabilityModel(classifier).eval(), shape), file)
    assert ends(file) == [
        ("pixels", onnx.TensorProto.UINT8, ["images", *shape]),
        ("probabilities", onnx.TensorProto.FLOAT, ["images", 3]),
    ]
    assert str(Path(__file__).parents[2]).encode() not in file.read_bytes(), "paths of the machine that trained"
    pixels = np.random.default_rng(0).integers(0, 256, (9, *shape), dtype=np.uint8)
    weights = {name: value.double().numpy() for name, value in classifier.network.state_dict().items()}
    normalized = ((pixels - np.array(stats.shift)) / np.array(stats.scale)).transpose(0, 3, 1, 2).reshape(9, -1)
    hidden = np.maximum(normalized @ weights["hidden1.weight"].T + weights["hidden1.bias"], 0)
    scores = np.exp(hidden @ weights["output.weight"].T + weights["output.bias"])
    expected = scores / scores.sum(axis=1, keepdims=True)
    for count in (1, 3, 9):
        np.testing.assert_allclose(answers(file, pixels[:count]), expected[:count], rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("package", ["onnx", "onnxscript", "onnxruntime"])
def test_a_missing_package_ends_the_run_before_it_is_opened(
    package: str,
    digits: DatasetReference,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    sections = dict.fromkeys(("data", "stats", "network", "optimizer", "checks", "final"), "{}")
    given = {
        "identity": "{}",
        "name": "digits",
        "run_name": "r",
        "job_id": "",
        "storage": str(tmp_path),
        "tracking_uri": f"sqlite:///{tmp_path}/mlflow.db",
        "dataset": digits.model_dump_json(),
        "registry": '{"onnx": true}',
    }
    with pytest.raises(SystemExit) as stopped:
        open_run(**given, seed=0, sections={**sections, "search": SearchSettings().model_dump_json()})
    assert stopped.value.code == 2
    said = capsys.readouterr().out
    assert f"registry.onnx=true: {package} cannot be imported (" in said
    assert "install sanefit[onnx] there, or set registry.onnx=false" in said
    assert list(tmp_path.iterdir()) == []


def test_no_package_is_asked_for_that_is_not_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    onnx_file.require_onnx_packages(RegistrySettings())


def members_of(
    network: NetworkSettings, dataset: DatasetReference, stats: ChannelStats, count: int
) -> list[Classifier]:
    """Untrained, but with the running statistics of training images: fresh ones change nothing."""
    manifest, pixels = read_manifest(dataset), torch.from_numpy(read_split(dataset, "train")[0][:64])
    members = [
        build_classifier(network, manifest.image_shape, len(manifest.class_names), stats, seed) for seed in range(count)
    ]
    with torch.no_grad(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)  # dropout
        for member in members:
            for module in member.modules():
                if isinstance(module, torch.nn.BatchNorm1d | torch.nn.BatchNorm2d):
                    module.momentum = None  # the mean of the batches
            for _ in range(3):
                member.train()(pixels)
    return members


def registered(
    name: str,
    network: NetworkSettings,
    members: Sequence[Classifier],
    dataset: DatasetReference,
    stats: ChannelStats,
    storage: Path,
    uri: str,
) -> tuple[Registration, RunReference, Said]:
    run, said = opened(name, "r", storage, uri, dataset), Said()
    trained = saved(folder_of(run), dataset, members, [SETTING] * len(members))
    rule = RegistrySettings(onnx=True)
    return register(name, inputs_of(dataset, stats, network), DATA, trained, rule, run, said), run, said


def files_of(run: RunReference) -> list[str]:
    return [file.path for file in connect(run.tracking_uri).list_artifacts(run.tracking_run_id, "onnx")]


NETWORKS = {
    "two_layer": ({"kind": "two_layer", "hidden": 9, "batch_norm": True, "dropout": 0.3}, "gray", 1),
    "mlp, two of them": ({"kind": "mlp", "width": 9, "depth": 2, "activation": "tanh"}, "colored", 2),
    "convnet, two of them": ({"kind": "convnet", "channels": [4, 6], "dropout": 0.2}, "gray", 2),
    "resnet": ({"kind": "resnet", "channels": [4, 6], "blocks": 1, "dropout": 0.2}, "colored", 1),
    "resnet, whitened": ({"kind": "resnet", "channels": [4], "blocks": 1}, "whitened", 1),
    "resnet18": ({"kind": "torchvision", "name": "resnet18"}, "gray", 1),
    "mobilenet": ({"kind": "torchvision", "name": "mobilenet_v3_small"}, "colored", 1),
}


@pytest.mark.slow
@pytest.mark.parametrize("case", NETWORKS)
def test_every_kind_of_network_is_kept_and_gives_the_same_probabilities(
    case: str,
    digits: DatasetReference,
    digits_stats: ChannelStats,
    image_folder: Callable[..., Path],
    storage: Path,
    uri: str,
    tmp_path: Path,
) -> None:
    given, images, count = NETWORKS[case]
    network, dataset, stats = network_settings.validate_python(given), digits, digits_stats
    if images != "gray":
        source = f"folder:{image_folder({'cat': 60, 'dog': 60, 'owl': 60}, (9, 12))}"
        dataset = take_snapshot(DataSettings(source=source), str(storage), Said())
        how = "zca_whitening" if images == "whitened" else "channel_mean_std"
        stats = measure_channel_stats(dataset, StatsSettings(normalization=how), Said())
    members = members_of(network, dataset, stats, count)
    name = "onnx-" + "".join(filter(str.isalnum, case))
    registration, run, said = registered(name, network, members, dataset, stats, storage, uri)
    client = connect(uri)
    assert client.get_model_version(name, registration.model_version).tags["sanefit.onnx"] == "onnx/model.onnx"
    assert files_of(run) == ["onnx/model.onnx"]
    assert any("gives the same probabilities" in line for line in said)
    file = Path(client.download_artifacts(run.tracking_run_id, "onnx/model.onnx", str(tmp_path)))
    pixels, _ = read_split(dataset, "test")
    assert ends(file)[0] == ("pixels", onnx.TensorProto.UINT8, ["images", *read_manifest(dataset).image_shape])
    for size in (1, 3, len(pixels)):
        found = answers(file, pixels[:size])
        np.testing.assert_allclose(found, mean_probabilities(members, pixels[:size]), rtol=1e-3, atol=1e-5)
    assert np.ptp(found, axis=0).max() > 0.01, "else this test shows nothing"


@pytest.mark.slow
def test_a_network_that_onnx_cannot_express_is_registered_with_a_warning(
    digits: DatasetReference, digits_stats: ChannelStats, storage: Path, uri: str
) -> None:
    network = network_settings.validate_python({"kind": "module", "path": "network_without_onnx:Net"})
    members = members_of(network, digits, digits_stats, 1)
    registration, run, said = registered("inexpressible", network, members, digits, digits_stats, storage, uri)
    [warning] = [line for line in said if "ONNX" in line]
    assert warning.startswith("warning: registry.onnx: models:/inexpressible/1 has no ONNX file: it cannot be exported")
    assert "aten.linalg_pinv" in warning
    assert "\n" not in warning
    assert registration.alias in ("champion", "challenger")
    assert files_of(run) == []
    assert "sanefit.onnx" not in connect(uri).get_model_version("inexpressible", "1").tags


def frozen(model: onnx.ModelProto) -> None:
    """One number of images alone, that of the first batch."""
    for end in (*model.graph.input, *model.graph.output):
        end.type.tensor_type.shape.dim[0].dim_value = BATCHES[0]


def of_other_weights(model: onnx.ModelProto) -> None:
    [weights] = [values for values in model.graph.initializer if values.name.endswith("output.weight")]
    weights.CopyFrom(onnx.numpy_helper.from_array(onnx.numpy_helper.to_array(weights) * 1.01, weights.name))


def of_floats(model: onnx.ModelProto) -> None:
    model.graph.input[0].type.tensor_type.elem_type = onnx.TensorProto.FLOAT


@dataclass(frozen=True)
class Exported:
    """A version without an ONNX file, and one that could be kept; with what ``keep_onnx`` takes."""

    file: Path
    run: RunReference
    test: SplitImages
    probabilities: NDArray[np.float32]

    def keep(self, spoil: Callable[[onnx.ModelProto], None], monkeypatch: pytest.MonkeyPatch, version: str) -> Said:
        def export(_tracking_uri: str, _model_uri: str, file: Path) -> None:
            model = onnx.load(self.file)
            spoil(model)
            onnx.save(model, file)

        said = Said()
        monkeypatch.setattr(onnx_file, "export_in_fresh_process", export)
        client = connect(self.run.tracking_uri)
        keep_onnx(client, self.run, "exported", version, self.test, self.probabilities, said)
        return said

    def tags(self, version: str) -> dict[str, str]:
        return dict(connect(self.run.tracking_uri).get_model_version("exported", version).tags)


@pytest.fixture(scope="module")
def exported(
    digits: DatasetReference, digits_stats: ChannelStats, tmp_path_factory: pytest.TempPathFactory
) -> Exported:
    folder = tmp_path_factory.mktemp("exported")
    run = opened("exported", "r", folder, f"sqlite:///{folder / 'mlflow.db'}", digits)
    client = connect(run.tracking_uri)
    client.create_registered_model("exported")
    for _ in range(4):
        client.create_model_version("exported", source="file:///nowhere", run_id=run.tracking_run_id)
    [classifier] = members_of(NETWORK, digits, digits_stats, 1)
    model = ProbabilityModel(classifier).eval()
    write_onnx(program_of(model, read_manifest(digits).image_shape), folder / "good.onnx")
    test = open_split(digits, "test", manifest=read_manifest(digits))
    with torch.no_grad():
        return Exported(folder / "good.onnx", run, test, model(torch.from_numpy(test.read_all())).numpy())


@pytest.mark.parametrize(
    ("version", "spoil", "reason"),
    [
        ("1", frozen, "ONNX Runtime cannot use it: .*Got: 1 Expected: 32"),
        (
            "2",
            of_other_weights,
            r"ONNX Runtime answers otherwise, 32 images at once: probabilities up to \d.\de-0\d",
        ),
        ("3", of_floats, "ONNX Runtime cannot use it: .*uint8"),
    ],
    ids=["frozen", "of other weights", "of floats"],
)
def test_a_file_that_does_not_answer_as_the_version_does_is_not_kept(
    version: str,
    spoil: Callable[[onnx.ModelProto], None],
    reason: str,
    exported: Exported,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    [warning] = exported.keep(spoil, monkeypatch, version)
    assert re.fullmatch(f"warning: registry.onnx: models:/exported/{version} has no ONNX file: {reason}.*", warning)
    assert "sanefit.onnx" not in exported.tags(version)


def test_a_file_that_answers_as_the_version_does_is_kept_once(
    exported: Exported, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert len(exported.keep(lambda _: None, monkeypatch, "4")) == 1
    assert exported.tags("4")["sanefit.onnx"] == "onnx/model.onnx"
    assert files_of(exported.run) == ["onnx/model.onnx"]
    assert list(exported.keep(frozen, monkeypatch, "4")) == []
    assert exported.tags("4")["sanefit.onnx"] == "onnx/model.onnx"
