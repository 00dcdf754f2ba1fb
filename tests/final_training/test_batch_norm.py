import copy

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from sanefit.components.final_training.batch_norm import reestimate_batch_norm
from sanefit.components.foundation.classifiers.classifier import Classifier, build_classifier
from sanefit.components.foundation.classifiers.input_normalization import InputNormalization
from sanefit.components.foundation.schemas.networks import ConvNetSettings, TwoLayerSettings
from sanefit.components.foundation.schemas.statistics import ChannelStats

SHIFT, SCALE = [120.0, 128.0, 131.5], [70.0, 74.0, 80.25]
STATS = ChannelStats(
    normalization="channel_mean_std", images=9, mean=SHIFT, std=SCALE, shift=SHIFT, scale=SCALE, histogram=[]
)


def images(count: int, seed: int = 0) -> NDArray[np.uint8]:
    """Random pixels whose channels differ in mean and in spread."""
    random = np.random.default_rng(seed)
    pixels = random.normal([60, 120, 180], [10, 20, 30], (count, 4, 5, 3))
    return np.clip(np.rint(pixels), 0, 255).astype(np.uint8)


def norm_first() -> Classifier:
    """Batch norm on the normalized pixels, with stale running averages."""
    norm = nn.BatchNorm2d(3)
    nn.init.constant_(norm.get_buffer("running_mean"), 1e6)
    nn.init.constant_(norm.get_buffer("running_var"), 1e6)
    network = nn.Sequential(norm, nn.Flatten(), nn.Linear(60, 2))
    return Classifier(InputNormalization(SHIFT, SCALE), network)


def by_channel(pixels: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Normalized, (values, channels)."""
    return (pixels.reshape(-1, 3).astype(np.float64) - SHIFT) / SCALE


def running(network: nn.Module, layer: str) -> tuple[Tensor, Tensor]:
    return network.get_buffer(f"{layer}.running_mean"), network.get_buffer(f"{layer}.running_var")


@pytest.mark.parametrize("count", [2, 100, 256])
def test_one_batch_gives_the_mean_and_variance_of_all_images(count: int) -> None:
    classifier, pixels = norm_first(), images(count)
    reestimate_batch_norm(classifier, torch.from_numpy(pixels))
    mean, variance = running(classifier, "network.0")
    np.testing.assert_allclose(mean, by_channel(pixels).mean(axis=0), rtol=1e-5)
    np.testing.assert_allclose(variance, by_channel(pixels).var(axis=0, ddof=1), rtol=1e-4)  # torch sums in float32


def test_batches_of_one_size_give_the_averages_over_the_batches() -> None:
    """Three batches of 200 images; the batches differ, so the last one alone would not do."""
    pixels = np.concatenate([images(200, seed) // (1 + seed) for seed in range(3)])
    classifier = norm_first()
    reestimate_batch_norm(classifier, torch.from_numpy(pixels))
    mean, variance = running(classifier, "network.0")
    batches = [by_channel(batch) for batch in np.split(pixels, 3)]
    np.testing.assert_allclose(mean, by_channel(pixels).mean(axis=0), rtol=1e-5)
    np.testing.assert_allclose(variance, np.mean([batch.var(axis=0, ddof=1) for batch in batches], axis=0), rtol=1e-5)


@pytest.mark.parametrize("count", [257, 700, 1025])
def test_any_number_of_shuffled_images_gives_nearly_the_statistics_of_all(count: int) -> None:
    """Sizes differ by one image at most, so no batch weighs more than 1 % too much; the spread of
    the batches' means, which their variances leave out, is 1 / 20 pixels / 128 images of the variance."""
    classifier, pixels = norm_first(), images(count)
    reestimate_batch_norm(classifier, torch.from_numpy(pixels))
    mean, variance = running(classifier, "network.0")
    values = by_channel(pixels)
    np.testing.assert_allclose(mean, values.mean(axis=0), atol=0.01 * values.std(axis=0).min())
    np.testing.assert_allclose(variance, values.var(axis=0), rtol=0.01)


def test_a_deeper_layer_gets_the_statistics_of_what_reaches_it() -> None:
    network = ConvNetSettings(kind="convnet", channels=(4, 6))
    classifier = build_classifier(network, (4, 5, 3), 2, STATS, seed=0)
    pixels = torch.from_numpy(images(200))
    x = (pixels.double().permute(0, 3, 1, 2) - torch.tensor(SHIFT)[:, None, None]) / torch.tensor(SCALE)[:, None, None]
    x = functional.conv2d(x, classifier.network.get_parameter("conv1.weight").double(), padding=1)
    x = (x - x.mean((0, 2, 3), keepdim=True)) / (x.var((0, 2, 3), keepdim=True, correction=0) + 1e-5).sqrt()
    x = functional.max_pool2d(x, 2).relu()
    x = functional.conv2d(x, classifier.network.get_parameter("conv2.weight").double(), padding=1)
    reestimate_batch_norm(classifier, pixels)
    mean, variance = running(classifier.network, "norm2")
    np.testing.assert_allclose(mean, x.mean((0, 2, 3)).detach(), rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(variance, x.var((0, 2, 3)).detach(), rtol=1e-3)


@pytest.mark.parametrize("training", [True, False])
def test_only_running_averages_change(training: bool) -> None:
    classifier = norm_first().train(training)
    before = copy.deepcopy(classifier.state_dict())
    reestimate_batch_norm(classifier, torch.from_numpy(images(300)))
    changed = {name for name, value in classifier.state_dict().items() if not torch.equal(value, before[name])}
    assert changed - {"network.0.num_batches_tracked"} == {"network.0.running_mean", "network.0.running_var"}
    assert classifier.training == training
    assert classifier.network.get_submodule("0").momentum == 0.1


def test_a_second_estimate_forgets_the_first() -> None:
    classifier, fresh = norm_first(), norm_first()
    pixels = torch.from_numpy(images(300))
    reestimate_batch_norm(classifier, 255 - pixels)
    for network in (classifier, fresh):
        reestimate_batch_norm(network, pixels)
    assert torch.equal(running(classifier, "network.0")[0], running(fresh, "network.0")[0])
    assert torch.equal(running(classifier, "network.0")[1], running(fresh, "network.0")[1])


def test_a_network_without_batch_norm_stays_as_it_was() -> None:
    classifier = build_classifier(TwoLayerSettings(kind="two_layer", hidden=4), (4, 5, 3), 2, STATS, seed=0)
    before = copy.deepcopy(classifier.state_dict())
    reestimate_batch_norm(classifier, torch.from_numpy(images(300)))
    for name, value in classifier.state_dict().items():
        assert torch.equal(value, before[name]), name


def test_a_layer_behind_dropout_gets_the_statistics_of_what_reaches_it_in_use() -> None:
    """Dropout of a half would double the second moment."""
    network = nn.Sequential(nn.Flatten(), nn.Dropout(0.5), nn.BatchNorm1d(60))
    classifier, pixels = Classifier(InputNormalization(SHIFT, SCALE), network), images(200)
    reestimate_batch_norm(classifier, torch.from_numpy(pixels))
    values = ((pixels.astype(np.float64) - SHIFT) / SCALE).transpose(0, 3, 1, 2).reshape(200, 60)
    mean, variance = running(classifier.network, "2")
    np.testing.assert_allclose(mean, values.mean(axis=0), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(variance, values.var(axis=0, ddof=1), rtol=1e-4)
