"""Networks that start from the weights of others: where these come from, and what images they then get."""

import hashlib
import io
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from http_in_thread import serving
from torch import Tensor, nn
from torch.nn import functional
from torchvision.models import ResNet18_Weights, resnet18

from sanefit.components.foundation.classifiers.classifier import Classifier, build_classifier
from sanefit.components.foundation.classifiers.recommended_weights import with_weights_at_hand
from sanefit.components.foundation.errors import SettingsError, StorageError
from sanefit.components.foundation.identity.training_identity import digest_of_weights
from sanefit.components.foundation.schemas.networks import NetworkSettings, network_settings
from sanefit.components.foundation.schemas.statistics import ChannelStats

RESNET = {"kind": "torchvision", "name": "resnet18"}
IMAGENET_MEAN, IMAGENET_STD = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])


def stats(channels: int) -> ChannelStats:
    return ChannelStats.model_construct(shift=[100.0] * channels, scale=[50.0] * channels, transform_uri="")


def built(settings: NetworkSettings | dict[str, Any], channels: int = 3, seed: int = 0) -> Classifier:
    parsed = network_settings.validate_python(settings) if isinstance(settings, dict) else settings
    return build_classifier(parsed, (16, 16, channels), 4, stats(channels), seed).eval()


def pixels(channels: int = 3) -> Tensor:
    return torch.randint(256, (2, 16, 16, channels), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


class Taken(nn.Module):
    """A network that keeps what it is given; ``pretrained_cfg`` as timm has it."""

    def __init__(self, image_shape: tuple[int, int, int], classes: int, **said: Any) -> None:
        super().__init__()
        self.image_shape, self.classes = image_shape, classes
        if said:
            self.pretrained_cfg = said

    def forward(self, images: Tensor) -> Tensor:
        self.images = images
        return images.mean((2, 3)) @ torch.ones(images.shape[1], self.classes)


def taken(given: Tensor, channels: int = 3, **settings: Any) -> Tensor:
    classifier = built({"kind": "module", "path": f"{__name__}:Taken", **settings}, channels)
    classifier(given)
    images = classifier.network.images
    assert isinstance(images, Tensor)
    return images


@pytest.fixture
def library_server(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Serves weights of a ResNet-18 where torchvision looks for them; the paths it was asked for."""
    torch.manual_seed(7)
    content = io.BytesIO()
    torch.save(resnet18().state_dict(), content)
    body, asked = content.getvalue(), list[str]()

    class Weights(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with serving(Weights) as place:
        url = f"http://{place}/resnet18-{hashlib.sha256(body).hexdigest()[:8]}.pth"
        monkeypatch.setattr(ResNet18_Weights.DEFAULT.value, "url", url)
        yield asked


def test_recommended_weights_are_downloaded_once(library_server: list[str], tmp_path: Path) -> None:
    settings = network_settings.validate_python({**RESNET, "weights": "default"})
    found = [with_weights_at_hand(settings, str(tmp_path)) for _ in range(3)]
    assert len(library_server) == 1
    assert found[0] == found[1] == found[2]
    torch.manual_seed(7)
    wanted = resnet18().state_dict()
    weights = built(found[0]).network.state_dict()
    assert all(torch.equal(weights[name], wanted[name]) for name in weights if not name.startswith("fc."))


@pytest.mark.usefixtures("library_server")
def test_images_are_as_the_recommended_weights_want_them(tmp_path: Path) -> None:
    settings = network_settings.validate_python({**RESNET, "weights": "default"})
    classifier = built(with_weights_at_hand(settings, str(tmp_path)))
    found = classifier.normalization(pixels())
    normalized = (pixels().numpy() / 255 - IMAGENET_MEAN) / IMAGENET_STD
    wanted = functional.interpolate(torch.from_numpy(normalized).permute(0, 3, 1, 2), (224, 224), mode="bilinear")
    torch.testing.assert_close(found, wanted.float(), rtol=1e-4, atol=1e-5)


@pytest.mark.usefixtures("library_server")
def test_what_the_user_sets_is_not_replaced(tmp_path: Path) -> None:
    asked = {**RESNET, "weights": "default", "input_size": 32, "normalization": "data"}
    found = with_weights_at_hand(network_settings.validate_python(asked), str(tmp_path))
    assert (found.scaled_to, found.has_own_normalization) == (32, False)


@pytest.mark.usefixtures("library_server")
def test_weights_that_were_changed_on_the_way_are_refused(tmp_path: Path) -> None:
    value = ResNet18_Weights.DEFAULT.value
    value.url = value.url.rpartition("-")[0] + "-00000000.pth"
    settings = network_settings.validate_python({**RESNET, "weights": "default"})
    with pytest.raises(
        SettingsError, match=r"network.weights='default': .* cannot be downloaded: invalid hash"
    ) as told:
        with_weights_at_hand(settings, str(tmp_path))
    assert "\n" not in str(told.value)
    assert list(tmp_path.iterdir()) == []


def test_a_server_out_of_reach_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ResNet18_Weights.DEFAULT.value, "url", "http://127.0.0.1:9/resnet18-00000000.pth")
    settings = network_settings.validate_python({**RESNET, "weights": "default"})
    with pytest.raises(SettingsError, match="where there is no internet"):
        with_weights_at_hand(settings, str(tmp_path))


@pytest.mark.parametrize("weights", ["", "s3://bucket/w.pt", "package:a/b.pt", "/a/b.pt"])
def test_other_weights_are_left_alone(weights: str, tmp_path: Path) -> None:
    settings = network_settings.validate_python({**RESNET, "weights": weights})
    assert with_weights_at_hand(settings, str(tmp_path)) == settings


def test_weights_of_a_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "some_weights"
    (package / "models").mkdir(parents=True)
    (package / "__init__.py").write_text("raise RuntimeError('nothing needs to be run')")
    torch.manual_seed(1)
    torch.save(resnet18(num_classes=4).state_dict(), package / "models" / "r.pth")
    monkeypatch.syspath_prepend(tmp_path)
    uri = "package:some_weights/models/r.pth"
    torch.manual_seed(1)
    wanted = resnet18(num_classes=4).state_dict()
    found = built({**RESNET, "weights": uri})
    assert all(torch.equal(value, wanted[name]) for name, value in found.network.state_dict().items())
    assert found.pretrained == frozenset(wanted)
    assert digest_of_weights(uri) == hashlib.sha256((package / "models" / "r.pth").read_bytes()).hexdigest()


@pytest.mark.parametrize(
    ("weights", "said"),
    [
        ("package:no_such_package/w.pt", "there is no package 'no_such_package' here; expected one that is installed"),
        ("package:yaml/no_such_file.pt", "No such file"),
    ],
)
def test_a_package_that_has_them_not_is_one_line(weights: str, said: str) -> None:
    with pytest.raises((StorageError, SettingsError), match=said) as told:
        built({**RESNET, "weights": weights})
    assert "\n" not in str(told.value)


@pytest.mark.parametrize("weights", ["package:", "package:name", "package:/file", "package:name/"])
def test_half_a_package_is_refused(weights: str) -> None:
    with pytest.raises(ValueError, match="expected package:NAME/PATH"):
        network_settings.validate_python({**RESNET, "weights": weights})


def test_a_module_says_how_its_images_are_normalized() -> None:
    said = {"mean": [0.5, 0.25, 0.0], "std": [0.5, 1.0, 2.0], "input_size": [3, 16, 16]}
    found = taken(pixels(), normalization="own", arguments=said)
    wanted = (pixels().numpy() / 255 - np.array(said["mean"])) / np.array(said["std"])
    np.testing.assert_allclose(found.permute(0, 2, 3, 1).numpy(), wanted, rtol=1e-5, atol=1e-5)


def test_a_module_that_says_nothing_cannot_be_asked() -> None:
    with pytest.raises(SettingsError, match=r"network.normalization='own': .*no pretrained_cfg; expected one"):
        taken(pixels(), normalization="own")


def test_images_are_scaled_in_the_network() -> None:
    found = taken(pixels(), input_size=40)
    normalized = (pixels().permute(0, 3, 1, 2).double() - 100) / 50
    wanted = functional.interpolate(normalized, (40, 40), mode="bilinear").float()
    torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-4)


def test_large_images_are_scaled_without_aliasing() -> None:
    board = torch.zeros(1, 16, 16, 3, dtype=torch.uint8)
    board[:, ::2, ::2] = board[:, 1::2, 1::2] = 200
    found = taken(board, input_size=8)
    torch.testing.assert_close(found, torch.zeros(1, 3, 8, 8), rtol=0, atol=0.2)  # all of it the mean, which is 100


@pytest.mark.parametrize("normalization", ["data", "own"])
def test_gray_images_keep_the_first_layer_of_the_weights(normalization: str, tmp_path: Path) -> None:
    torch.save(resnet18().state_dict(), tmp_path / "w.pt")
    settings = {**RESNET, "weights": str(tmp_path / "w.pt"), "normalization": normalization}
    gray, color = built(settings, channels=1), built(settings, channels=3)
    assert "conv1.weight" in gray.pretrained
    given = pixels(1)
    torch.testing.assert_close(gray(given), color(given.expand(-1, -1, -1, 3)))


def test_a_network_of_timm() -> None:
    pytest.importorskip("timm")
    classifier = built({"kind": "timm", "name": "resnet10t", "normalization": "own"})
    assert classifier(pixels()).shape == (2, 4)
    assert built({"kind": "timm", "name": "resnet10t"}, channels=1)(pixels(1)).shape == (2, 4)
    assert built({"kind": "timm", "name": "vit_tiny_patch16_224", "input_size": 32})(pixels()).shape == (2, 4)


def test_a_name_that_timm_has_not_is_one_line() -> None:
    pytest.importorskip("timm")
    with pytest.raises(SettingsError, match="did you mean"):
        built({"kind": "timm", "name": "resnet_18"})


def test_timm_draws_its_weights_from_the_seed() -> None:
    pytest.importorskip("timm")
    one, again, other = (
        built({"kind": "timm", "name": "resnet10t"}, seed=seed).network.state_dict()["conv1.0.weight"]
        for seed in (1, 1, 2)
    )
    assert torch.equal(one, again)
    assert not torch.equal(one, other)
