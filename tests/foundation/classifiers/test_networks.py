"""Every network: shapes, seeds, gradients, what its options change."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
import torch
from torch import nn

from sanefit.components.foundation.classifiers.activations import Maxout, activation
from sanefit.components.foundation.classifiers.classifier import Classifier, ProbabilityModel, build_classifier
from sanefit.components.foundation.classifiers.initialization import weight_layers
from sanefit.components.foundation.classifiers.resnet import ResidualBlock
from sanefit.components.foundation.errors import SettingsError
from sanefit.components.foundation.machine.forked_work import side_by_side
from sanefit.components.foundation.schemas.network_kind import Activation
from sanefit.components.foundation.schemas.networks import network_settings
from sanefit.components.foundation.schemas.statistics import ChannelStats

pytestmark = pytest.mark.slow

ACTIVATIONS: tuple[Activation, ...] = get_args(Activation)
OWN = [
    {"kind": "two_layer", "hidden": 12},
    {"kind": "mlp", "depth": 3, "width": 10},
    {"kind": "convnet", "channels": [4, 6]},
    {"kind": "resnet", "channels": [4, 6], "blocks": 2},
]
NETWORKS: list[dict[str, Any]] = [
    *OWN,
    {"kind": "torchvision", "name": "resnet18"},
    {"kind": "torchvision", "name": "mobilenet_v3_small"},
    {"kind": "module", "path": "torch_module_of_a_user:Linear", "arguments": {"bias": False}},
]


def stats(channels: int) -> ChannelStats:
    each = [0.0] * channels
    return ChannelStats(
        normalization="channel_mean_std",
        images=1,
        mean=each,
        std=each,
        shift=[128.0] * channels,
        scale=[64.0] * channels,
        histogram=[],
    )


def build(settings: dict[str, Any], shape: tuple[int, int, int] = (32, 32, 3), seed: int = 0) -> Classifier:
    return build_classifier(network_settings.validate_python(settings), shape, 7, stats(shape[2]), seed)


def images(count: int, shape: tuple[int, int, int]) -> torch.Tensor:
    return torch.randint(0, 256, (count, *shape), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))


@pytest.fixture(autouse=True)
def module_of_a_user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    (tmp_path / "torch_module_of_a_user.py").write_text(
        "import math\nfrom torch import nn\n"
        "def Linear(image_shape, classes, bias=True):\n"
        "    return nn.Sequential(nn.Flatten(), nn.Linear(math.prod(image_shape), classes, bias=bias))\n"
        "def text(image_shape, classes):\n    return 'no module'\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    yield
    sys.modules.pop("torch_module_of_a_user", None)


@pytest.mark.parametrize("batch_norm", [False, True])
@pytest.mark.parametrize("dropout", [0.0, 0.3])
@pytest.mark.parametrize("settings", OWN, ids=lambda s: s["kind"])
def test_a_network_has_the_batch_norm_and_the_dropout_that_its_settings_say(
    settings: dict[str, Any], dropout: float, batch_norm: bool
) -> None:
    options = {} if settings["kind"] == "resnet" else {"batch_norm": batch_norm}
    network = network_settings.validate_python({**settings, **options, "dropout": dropout})
    modules = list(build(network.model_dump(), (8, 8, 3)).modules())
    assert network.is_normed == any(isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d) for module in modules)
    assert network.dropout_share == max((m.p for m in modules if isinstance(m, nn.Dropout)), default=0.0)


@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize("settings", NETWORKS, ids=lambda s: s.get("name", s["kind"]))
def test_scores_for_any_number_of_channels_and_classes(settings: dict[str, Any], channels: int) -> None:
    shape = (32, 32, channels)
    scores = build(settings, shape)(images(3, shape))
    assert scores.shape == (3, 7)
    assert torch.isfinite(scores).all()


@pytest.mark.parametrize("settings", NETWORKS, ids=lambda s: s.get("name", s["kind"]))
def test_the_seed_decides_the_weights(settings: dict[str, Any]) -> None:
    before = torch.get_rng_state()
    one, same, other = (build(settings, seed=seed).state_dict() for seed in (3, 3, 4))
    assert torch.equal(torch.get_rng_state(), before), "the global seed is nobody's business"
    assert all(torch.equal(one[name], same[name]) for name in one)
    assert any(not torch.equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize("name", ACTIVATIONS)
@pytest.mark.parametrize("settings", OWN, ids=lambda s: s["kind"])
def test_every_weight_gets_a_gradient_with_every_activation(settings: dict[str, Any], name: Activation) -> None:
    classifier = build({**settings, "activation": name})
    classifier(images(8, (32, 32, 3))).square().sum().backward()
    for parameter_name, parameter in classifier.named_parameters():
        if not parameter_name.endswith("bias"):  # batch norm takes a shift out again
            assert parameter.grad is not None
            assert parameter.grad.abs().sum() > 0, parameter_name


def numpy_activation(name: Activation, x: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    match name:
        case "sigmoid":
            return 1 / (1 + np.exp(-x))
        case "tanh":
            return np.tanh(x)
        case "relu":
            return np.maximum(x, 0)
        case "leaky_relu":
            return np.where(x > 0, x, 0.01 * x)
        case "elu":
            return np.where(x > 0, x, np.expm1(x))
        case "maxout":
            return np.maximum(x[:, 0::2], x[:, 1::2])


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_an_activation_is_its_formula(name: Activation) -> None:
    values = torch.randn(5, 6, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    np.testing.assert_allclose(activation(name)(values).numpy(), numpy_activation(name, values.numpy()), rtol=1e-12)


def test_maxout_halves_the_channels() -> None:
    assert Maxout()(torch.zeros(2, 8, 3, 3)).shape == (2, 4, 3, 3)


def test_depth_and_width_are_those_asked_for() -> None:
    shapes = [tuple(layer.weight.shape) for _, layer in weight_layers(build({"kind": "mlp", "depth": 4, "width": 9}))]
    assert shapes == [(9, 3072), (9, 9), (9, 9), (9, 9), (7, 9)]


def test_a_resnet_of_three_times_three_blocks_is_the_papers_resnet_20() -> None:
    classifier = build({"kind": "resnet"})
    layers = [name for name, _ in weight_layers(classifier) if "shortcut" not in name]
    assert len(layers) == 20
    features: list[torch.Size] = []
    classifier.network.get_submodule("pool").register_forward_hook(
        lambda _m, given, _o: features.append(given[0].shape)
    )
    classifier(images(2, (32, 32, 3)))
    assert features == [(2, 64, 8, 8)]


def test_where_a_residual_block_changes_the_shape_its_shortcut_is_a_strided_convolution() -> None:
    block = ResidualBlock(3, 5, 2, "relu").double().eval()
    x = torch.randn(4, 3, 7, 6, dtype=torch.float64)
    inner = block.conv2(block.norm1(block.conv1(x)).relu())
    projection = block.shortcut.get_submodule("conv")
    shortcut = nn.functional.conv2d(x, projection.weight, stride=2)  # type: ignore[arg-type]
    expected = (block.norm2(inner) + block.shortcut.get_submodule("norm")(shortcut)).relu()
    torch.testing.assert_close(block(x), expected, rtol=1e-12, atol=1e-12)


NARROW_BLOCK = """
import torch
from sanefit.components.foundation.classifiers.resnet import ResidualBlock

torch.set_num_threads(2)
block = ResidualBlock(8, 16, 2, "relu")
for _ in range(100):
    images = torch.randn(63, 8, 16, 16).to(memory_format=torch.channels_last).requires_grad_()
    block(images).square().sum().backward()
"""


@pytest.mark.slow
def test_a_narrow_residual_block_is_trained_on_an_odd_batch() -> None:
    """In a process of its own: oneDNN's backward pass of a strided 1x1 convolution crashed here."""
    subprocess.run([sys.executable, "-c", NARROW_BLOCK], check=True, timeout=120)


@pytest.mark.parametrize("settings", OWN[:3], ids=lambda s: s["kind"])
@pytest.mark.parametrize("batch_norm", [True, False])
def test_batch_norm_stands_before_the_activation_or_nowhere(settings: dict[str, Any], batch_norm: bool) -> None:
    kinds = [type(m) for m in build({**settings, "batch_norm": batch_norm}).modules()]
    norms = [number for number, kind in enumerate(kinds) if kind in (nn.BatchNorm1d, nn.BatchNorm2d)]
    assert bool(norms) == batch_norm
    for number in norms:
        assert nn.ReLU in kinds[number : number + 3]
        assert kinds[number - 1] in (nn.Linear, nn.Conv2d)


@pytest.mark.parametrize("settings", OWN, ids=lambda s: s["kind"])
def test_dropout_acts_in_training_alone(settings: dict[str, Any]) -> None:
    classifier, pixels = build({**settings, "dropout": 0.5}), images(16, (32, 32, 3))
    classifier(pixels)
    assert not torch.equal(classifier(pixels), classifier(pixels))
    classifier.eval()
    assert torch.equal(classifier(pixels), classifier(pixels))


@pytest.mark.parametrize(
    "settings",
    [*({**settings, "activation": "maxout", "dropout": 0.3} for settings in OWN), NETWORKS[-3]],
    ids=lambda s: s["kind"],
)
def test_every_network_can_be_exported_for_any_number_of_images(settings: dict[str, Any]) -> None:
    """As the registered model is."""
    model = ProbabilityModel(build(settings)).eval()
    shapes = ({0: torch.export.Dim("images")},)
    exported = torch.export.export(model, (images(2, (32, 32, 3)),), dynamic_shapes=shapes).module()
    pixels = images(5, (32, 32, 3))
    torch.testing.assert_close(exported(pixels), model(pixels))


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"kind": "torchvision", "name": "resnet19"}, ["network.name='resnet19'", "did you mean 'resnet1"]),
        ({"kind": "module", "path": "no_such_module:Net"}, ["no_such_module", "PYTHONPATH"]),
        ({"kind": "module", "path": "torch_module_of_a_user:Absent"}, ["Absent", "package.module:NAME"]),
        ({"kind": "module", "path": "torch_module_of_a_user:text"}, ["gave str", "expected an nn.Module"]),
        (
            {"kind": "module", "path": "torch_module_of_a_user:Linear", "arguments": {"color": 1}},
            ["color", "network.arguments"],
        ),
    ],
)
def test_what_cannot_be_built_is_one_line(settings: dict[str, Any], said: list[str]) -> None:
    with pytest.raises(SettingsError) as caught:
        build(settings)
    assert "\n" not in str(caught.value)
    assert all(part in str(caught.value) for part in said)


RESNET = {"kind": "torchvision", "name": "resnet18"}


def test_pretrained_weights_are_taken_but_for_the_output_layer(tmp_path: Path) -> None:
    from torchvision import models

    trained = models.resnet18(num_classes=1000).state_dict()
    torch.save(trained, tmp_path / "weights.pt")
    network = build({**RESNET, "weights": str(tmp_path / "weights.pt")}).network.state_dict()
    fresh = build(RESNET).network.state_dict()
    for name, value in network.items():
        assert torch.equal(value, fresh[name] if name.startswith("fc.") else trained[name]), name


@pytest.mark.slow
def test_pretrained_weights_from_s3(s3: str, tmp_path: Path) -> None:
    from sanefit.components.foundation.storage import object_store

    torch.save(build(RESNET, seed=9).network.state_dict(), tmp_path / "weights.pt")
    object_store.upload_file(tmp_path / "weights.pt", f"{s3}/resnet18-{tmp_path.name}.pt")
    loaded = build({**RESNET, "weights": f"{s3}/resnet18-{tmp_path.name}.pt"}).state_dict()
    assert torch.equal(loaded["network.fc.weight"], build(RESNET, seed=9).state_dict()["network.fc.weight"])


@pytest.mark.slow
def test_a_fork_builds_with_weights_that_its_parent_has_fetched(gs: str, tmp_path: Path) -> None:
    from sanefit.components.foundation.storage import object_store

    torch.save(build(RESNET, seed=9).network.state_dict(), tmp_path / "weights.pt")
    object_store.upload_file(tmp_path / "weights.pt", f"{gs}/resnet18-{tmp_path.name}.pt")
    settings = {**RESNET, "weights": f"{gs}/resnet18-{tmp_path.name}.pt"}
    here = build(settings).state_dict()["network.fc.weight"]
    pieces = [lambda: build(settings).state_dict()["network.fc.weight"].tolist()] * 2
    assert list(side_by_side(pieces, workers=2)) == [here.tolist()] * 2


def test_weights_that_cannot_be_used_are_one_line(tmp_path: Path) -> None:
    (tmp_path / "text.pt").write_text("no weights")
    torch.save({"other": torch.zeros(3)}, tmp_path / "other.pt")
    torch.save([1, 2], tmp_path / "list.pt")
    torch.save(nn.Linear(2, 2), tmp_path / "pickle.pt")
    for file, said in [
        ("text.pt", "expected a state dict"),
        ("other.pt", "none of its 1 tensors fits"),
        ("list.pt", "holds list"),
        ("pickle.pt", "expected a state dict"),
        ("missing.pt", "missing.pt"),
    ]:
        with pytest.raises(SettingsError) as caught:
            build({**RESNET, "weights": str(tmp_path / file)})
        assert said in str(caught.value)
        assert "\n" not in str(caught.value)
