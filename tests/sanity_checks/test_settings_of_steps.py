"""What of the run's optimizer the checks step by, and what they leave out."""

from typing import Any

import pytest
import torch
from said import Said
from training_inputs import inputs_of

from sanefit.components.foundation.schemas.checks import CheckSettings
from sanefit.components.foundation.schemas.images import DatasetReference
from sanefit.components.foundation.schemas.networks import TwoLayerSettings
from sanefit.components.foundation.schemas.search import CoarseSettings
from sanefit.components.foundation.schemas.statistics import ChannelStats
from sanefit.components.foundation.schemas.training import OptimizerSettings
from sanefit.components.sanity_checks.checks.overfit import check_few_samples
from sanefit.components.sanity_checks.probe.learning_rate_probe import probe_batches, probe_learning_rates
from sanefit.components.sanity_checks.setup import Setup
from sanefit.components.sanity_checks.setup_of_run import setup_of

pytestmark = pytest.mark.usefixtures("one_thread")


def made(digits: DatasetReference, digits_stats: ChannelStats, said: Said, **optimizer: Any) -> Setup:
    network = TwoLayerSettings(kind="two_layer", hidden=20)
    inputs = inputs_of(digits, digits_stats, network, OptimizerSettings(batch_size=32, **optimizer), 0)
    return setup_of(inputs, CoarseSettings(), CheckSettings(), said)


def last_losses(setup: Setup) -> list[float | None]:
    batches = probe_batches(setup.train_pixels, setup.train_labels, setup.batch_size, setup.seed, 10)
    return [rate.last_loss for rate in probe_learning_rates(setup.classifier, batches, setup.descent, rates=(0.1, 0.5))]


@pytest.mark.parametrize("changed", [{"nesterov": True}, {"gradient_clip": 0.1}, {"accumulate": 4}], ids=str)
def test_the_probe_steps_as_the_search_does(
    changed: dict[str, Any], digits: DatasetReference, digits_stats: ChannelStats, said: Said
) -> None:
    assert last_losses(made(digits, digits_stats, said, **changed)) != last_losses(made(digits, digits_stats, said))


def test_batches_that_are_added_up_are_probed_as_one(
    digits: DatasetReference, digits_stats: ChannelStats, said: Said
) -> None:
    assert made(digits, digits_stats, said, accumulate=4).batch_size == 4 * 32


def test_images_are_probed_and_overfitted_as_they_are(
    digits: DatasetReference, digits_stats: ChannelStats, said: Said
) -> None:
    changed = {"mixup": 1.0, "cutmix": 1.0, "erasing": 1.0, "augmentation": "trivial_augment"}
    plain, mixed = made(digits, digits_stats, said), made(digits, digits_stats, said, **changed)
    assert last_losses(plain) == last_losses(mixed)
    torch.manual_seed(0)
    first = check_few_samples(plain)
    torch.manual_seed(0)
    assert check_few_samples(mixed) == first
    assert first.verdict == "pass"
