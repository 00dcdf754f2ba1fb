"""The final training on a CUDA GPU: in bfloat16 it learns as in float32, and the same in every run.

Needs torch, torchvision, pydantic, psutil and pytest there; skipped where there is no GPU.
"""

import dataclasses

import pytest
import torch

from sanefit.components.final_training.batch_norm import reestimate_batch_norm
from sanefit.components.foundation.machine.arithmetic import arithmetic_of
from sanefit.components.foundation.machine.devices import visible_devices
from sanefit.components.foundation.schemas.networks import ConvNetSettings, NetworkSettings, ResNetSettings
from sanefit.components.foundation.schemas.statistics import ChannelStats
from sanefit.components.foundation.schemas.training import EpochRecord
from sanefit.components.foundation.training.loop.evaluation import evaluate
from sanefit.components.foundation.training.loop.gradient_step import gradient_step
from sanefit.components.foundation.training.loop.loss import smoothed_cross_entropy
from sanefit.components.foundation.training.loop.recipe import Recipe
from sanefit.components.foundation.training.loop.training import Training
from sanefit.components.foundation.training.loop.training_data import TrainingData, data_on
from sanefit.components.foundation.training.loop.training_options import TrainingOptions
from sanefit.components.foundation.training.loop.training_state import TrainingState
from sanefit.components.foundation.training.stacks.trial import Problem, Trial

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA GPU")

SHAPE, CLASSES, EPOCHS = (16, 16, 3), 4, 4
STATS = ChannelStats(
    normalization="channel_mean_std",
    images=1,
    mean=[120.0] * 3,
    std=[70.0] * 3,
    shift=[120.0] * 3,
    scale=[70.0] * 3,
    histogram=[],
)
CONVNET = ConvNetSettings(kind="convnet", channels=(8, 16), dropout=0.2)
RESNET = ResNetSettings(kind="resnet", channels=(8, 16), blocks=1)
RECIPE = Recipe(
    learning_rate=0.05,
    weight_decay=1e-3,
    momentum=0.9,
    batch_size=64,
    epochs=EPOCHS,
    batch_seed=3,
    noise_seed=1,
    augmentation="flip_crop",
    schedule="cosine",
    warmup=0.1,
)
AVERAGING = 0.9


def learnable_images(count: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Noise, brighter in the channel that the class names, the last class's in none."""
    random = torch.Generator().manual_seed(seed)
    pixels = torch.randint(0, 190, (count, *SHAPE), dtype=torch.uint8, generator=random)
    labels = torch.randint(0, CLASSES, (count,), generator=random)
    for image, label in zip(pixels, labels.tolist(), strict=True):
        image[..., label : label + 1] += 60
    return pixels, labels


DATA = TrainingData(*learnable_images(1000, 0), *learnable_images(200, 1))


def training(
    network: NetworkSettings, device: torch.device, state: TrainingState | None = None, averaging: float = AVERAGING
) -> Training:
    classifier = Problem(SHAPE, CLASSES, STATS, device).classifier(Trial(network, RECIPE, seed=0))
    options = TrainingOptions(smoothed_cross_entropy(0.1), gradient_step, averaging, arithmetic_of(network, device))
    return Training(classifier, data_on(DATA, device), RECIPE, options, state=state)


def curve(begun: Training, first: int = 1) -> list[EpochRecord]:
    with begun.options.arithmetic.in_force():
        return [begun.train_epoch(epoch) for epoch in range(first, EPOCHS + 1)]


@pytest.mark.parametrize("network", [CONVNET, RESNET])
def test_bfloat16_learns_as_the_cpus_float32_does(network: NetworkSettings) -> None:
    """At the end; on the way a few images may fall otherwise."""
    mixed = curve(training(network, visible_devices()[0]))
    cpu = curve(training(network, torch.device("cpu")))
    assert cpu[-1].validation_accuracy > 0.9
    assert mixed[-1].validation_accuracy == pytest.approx(cpu[-1].validation_accuracy, abs=0.05)
    assert mixed[-1].train_loss == pytest.approx(cpu[-1].train_loss, rel=0.15)


@pytest.mark.parametrize("network", [CONVNET, RESNET])
@pytest.mark.parametrize("optimizer", ["sgd", "adam", "adamw"])
def test_the_same_training_gives_the_same_digits_also_after_an_interruption(
    network: NetworkSettings, optimizer: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = dataclasses.replace(RECIPE, optimizer=optimizer, learning_rate=0.05 if optimizer == "sgd" else 0.003)
    monkeypatch.setitem(globals(), "RECIPE", recipe)
    expected = curve(training(network, visible_devices()[0]))
    begun = training(network, visible_devices()[0])
    with begun.options.arithmetic.in_force():
        first = [begun.train_epoch(1), begun.train_epoch(2)]
    again = training(network, visible_devices()[0], begun.state())
    assert first + curve(again, 3) == expected


def test_a_loss_that_breaks_is_seen_at_the_end_of_the_epoch_at_the_latest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(globals(), "RECIPE", dataclasses.replace(RECIPE, learning_rate=1e30, warmup=0.0))
    begun = training(CONVNET, visible_devices()[0], averaging=0.0)
    record = begun.train_epoch(1)
    assert None in (record.train_loss, record.validation_loss)


def test_what_is_kept_gives_nearly_the_same_scores_on_the_cpu() -> None:
    begun = training(RESNET, visible_devices()[0])
    curve(begun)
    kept = begun.kept
    reestimate_batch_norm(kept, begun.data.train_pixels)
    gpu = evaluate(kept, begun.data.validation_pixels, begun.data.validation_labels)
    cpu = evaluate(kept.cpu(), DATA.validation_pixels, DATA.validation_labels)
    assert gpu.loss == pytest.approx(cpu.loss, rel=0.01)
    assert gpu.accuracy == pytest.approx(cpu.accuracy, abs=0.01)
