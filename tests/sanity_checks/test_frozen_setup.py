"""Where the search trains only the new part of a pretrained network, so do the probe and the null control."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from said import Said
from torch import Tensor, nn
from training_inputs import inputs_of

from sanefit.components.foundation.schemas.checks import CheckSettings
from sanefit.components.foundation.schemas.images import DatasetReference
from sanefit.components.foundation.schemas.networks import ModuleSettings
from sanefit.components.foundation.schemas.search import CoarseSettings
from sanefit.components.foundation.schemas.statistics import ChannelStats
from sanefit.components.foundation.schemas.training import OptimizerSettings
from sanefit.components.sanity_checks.checks.carry_over import check_recommended_rate
from sanefit.components.sanity_checks.checks.overfit import check_few_samples
from sanefit.components.sanity_checks.probe.probing import probed
from sanefit.components.sanity_checks.setup import Setup
from sanefit.components.sanity_checks.setup_of_run import setup_of

pytestmark = pytest.mark.usefixtures("one_thread")


class Counting(nn.Module):
    """A network that counts the images that pass through its body."""

    passed = 0

    def __init__(self, image_shape: tuple[int, int, int], classes: int) -> None:
        super().__init__()
        height, width, channels = image_shape
        self.body = nn.Linear(height * width * channels, 32)
        self.output = nn.Linear(32, classes)

    def forward(self, images: Tensor) -> Tensor:
        Counting.passed += len(images)
        scores: Tensor = self.output(self.body(images.flatten(1)).relu())
        return scores


@pytest.fixture
def pretrained(
    digits: DatasetReference, digits_stats: ChannelStats, tmp_path: Path
) -> tuple[DatasetReference, ChannelStats, ModuleSettings]:
    torch.manual_seed(0)
    body = {name: value for name, value in Counting((8, 8, 1), 10).state_dict().items() if name.startswith("body")}
    torch.save(body, tmp_path / "body.pt")
    network = ModuleSettings(kind="module", path=f"{__name__}:Counting", weights=str(tmp_path / "body.pt"))
    return digits, digits_stats, network


def made(pretrained: tuple[DatasetReference, ChannelStats, ModuleSettings], freeze_epochs: int, said: Said) -> Setup:
    optimizer = OptimizerSettings(kind="adam", batch_size=64, freeze_epochs=freeze_epochs)
    inputs = inputs_of(*pretrained, optimizer, 0)
    return setup_of(inputs, CoarseSettings(epochs=3, learning_rate=(1e-4, 1e-1)), CheckSettings(), said)


def test_the_probe_and_the_null_control_see_features_alone(
    pretrained: tuple[DatasetReference, ChannelStats, ModuleSettings], said: Said
) -> None:
    setup = made(pretrained, 3, said)
    assert "features of the frozen part: 32 numbers" in said[0]
    before = Counting.passed
    seen = probed(setup)
    found, fits = check_recommended_rate(seen), check_few_samples(seen)
    assert Counting.passed == before
    assert fits.verdict == "pass"
    assert found is not None
    assert found.verdict == "pass"
    slower = probed(replace(setup, searched=None))
    assert Counting.passed > before
    assert [rate.verdict for rate in slower.probe] != []


def test_where_the_rest_is_trained_too_they_see_the_images(
    pretrained: tuple[DatasetReference, ChannelStats, ModuleSettings], said: Said
) -> None:
    setup = made(pretrained, 2, said)
    assert setup.searched is None
    assert said == []


def test_features_are_probed_as_the_frozen_network_would_be(
    pretrained: tuple[DatasetReference, ChannelStats, ModuleSettings], said: Said
) -> None:
    setup = made(pretrained, 3, said)
    frozen = replace(setup, searched=None)
    for name, parameter in frozen.classifier.named_parameters():
        parameter.requires_grad_("output" in name)
    one, other = probed(setup).probe, probed(frozen).probe
    assert [rate.verdict for rate in one] == [rate.verdict for rate in other]
    for fast, slow in zip(one, other, strict=True):
        assert fast.last_loss == pytest.approx(slow.last_loss, rel=1e-3)
