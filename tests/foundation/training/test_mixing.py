"""Images and labels that are mixed, against one-hot labels by hand, and in several processes."""

import dataclasses
from collections.abc import Sequence

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional

from sanefit.components.foundation.classifiers.classifier import build_classifier
from sanefit.components.foundation.image_dataset.batches import WHOLE, BatchPart
from sanefit.components.foundation.schemas.networks import MlpSettings
from sanefit.components.foundation.schemas.statistics import ChannelStats
from sanefit.components.foundation.training.loop.augmented_batch import (
    NO_CHANCE,
    Draws,
    draws_of,
    targets_of,
    training_pixels,
)
from sanefit.components.foundation.training.loop.loss import smoothed_cross_entropy
from sanefit.components.foundation.training.loop.mixing import Mix, Targets, draw_mix
from sanefit.components.foundation.training.loop.recipe import Recipe
from sanefit.components.foundation.training.loop.training import Training
from sanefit.components.foundation.training.loop.training_data import TrainingData
from sanefit.components.foundation.training.loop.training_options import TrainingOptions

IMAGES, SHAPE, CLASSES = 40, (6, 8, 3), 4
RANDOM = np.random.default_rng(0)
PIXELS = torch.from_numpy(RANDOM.integers(0, 256, (IMAGES, *SHAPE), dtype=np.uint8))
LABELS = torch.from_numpy(RANDOM.integers(0, CLASSES, IMAGES))
DATA = TrainingData(PIXELS, LABELS, PIXELS[:9], LABELS[:9])
STATS = ChannelStats(
    normalization="channel_mean_std",
    images=40,
    mean=[120] * 3,
    std=[70] * 3,
    shift=[120] * 3,
    scale=[70] * 3,
    histogram=[],
)
RECIPE = Recipe(learning_rate=0.05, weight_decay=0.0, momentum=0.0, batch_size=13, epochs=2, batch_seed=5, noise_seed=6)
MIXES = [Mix(0.3), Mix(0.8), Mix(0.75, (1, 4, 2, 6))]


def mixed_by_hand(mix: Mix, pixels: Tensor) -> Tensor:
    """Image by image, with the one as far from the other end."""
    made = []
    for number, image in enumerate(pixels.double()):
        mirror = pixels[len(pixels) - 1 - number].double()
        if mix.box is None:
            made.append(mix.share * image + (1 - mix.share) * mirror)
        else:
            top, bottom, left, right = mix.box
            new = image.clone()
            new[top:bottom, left:right] = mirror[top:bottom, left:right]
            made.append(new)
    return torch.stack(made)


@pytest.mark.parametrize("mix", MIXES, ids=str)
@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_a_step_is_one_on_mixed_images_and_mixed_one_hot_labels(mix: Mix, smoothing: float) -> None:
    def classifier() -> torch.nn.Module:
        network = MlpSettings(kind="mlp", depth=1, width=5)
        return build_classifier(network, SHAPE, CLASSES, STATS, seed=0).double()

    indices = torch.randperm(IMAGES, generator=torch.Generator().manual_seed(1))[:13]
    options = TrainingOptions(loss=smoothed_cross_entropy(smoothing))
    training = Training(classifier(), DATA, RECIPE, options)  # type: ignore[arg-type]
    loss, right = training.step(indices, 0.5, Draws(mix=mix))

    network = classifier()
    scores = network(mixed_by_hand(mix, PIXELS[indices]))
    one_hot = functional.one_hot(LABELS[indices], CLASSES).double()
    mixed = mix.share * one_hot + (1 - mix.share) * one_hot.flip(0)
    functional.cross_entropy(scores, mixed, label_smoothing=smoothing).backward()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.sub_(parameter.grad, alpha=0.5)
    for parameter, expected in zip(training.classifier.parameters(), network.parameters(), strict=True):
        torch.testing.assert_close(parameter, expected, rtol=1e-4, atol=1e-6)  # pixels are mixed in float32
    assert loss.item() == pytest.approx(functional.cross_entropy(scores, mixed).item(), rel=1e-5)
    assert right.item() == (scores.argmax(dim=1) == mixed.argmax(dim=1)).sum().item()


@pytest.mark.parametrize(("mixup", "cutmix"), [(0.0, 0.0), (1.0, 0.0), (0.0, 1.0), (0.2, 1.0)])
def test_what_is_drawn_is_as_the_papers_have_it(mixup: float, cutmix: float) -> None:
    drawn = [draw_mix(mixup, cutmix, seed, (32, 24)) for seed in range(2000)]
    assert drawn == [draw_mix(mixup, cutmix, seed, (32, 24)) for seed in range(2000)]
    if not (mixup or cutmix):
        assert set(drawn) == {None}
        return
    mixes = [mix for mix in drawn if mix is not None]
    assert len(mixes) == 2000, "every batch is mixed"
    boxed = [mix for mix in mixes if mix.box is not None]
    expected = 0.5 if mixup and cutmix else float(cutmix > 0)
    assert len(boxed) / 2000 == pytest.approx(expected, abs=0.04)
    for mix in boxed:
        assert mix.box is not None
        top, bottom, left, right = mix.box
        assert 0 <= top <= bottom <= 32
        assert 0 <= left <= right <= 24
        assert mix.share == pytest.approx(1 - (bottom - top) * (right - left) / (32 * 24))
    plain = [mix.share for mix in mixes if mix.box is None]
    if plain:
        beta = np.random.default_rng(1).beta(mixup, mixup, 100_000)
        assert np.quantile(plain, [0.1, 0.3, 0.5]) == pytest.approx(np.quantile(beta, [0.1, 0.3, 0.5]), abs=0.08)


def dealt(recipe: Recipe, indices: Tensor, draws: Draws, ranks: int) -> list[tuple[Tensor, Targets]]:
    parts: Sequence[BatchPart] = [BatchPart(rank, ranks) for rank in range(ranks)]
    return [
        (training_pixels(PIXELS, indices, recipe, draws, part), targets_of(LABELS, indices, draws, part))
        for part in parts
    ]


@settings(deadline=None, max_examples=60)
@given(
    st.integers(4, 20),
    st.integers(1, 4),
    st.sampled_from(["none", "flip_crop", "resized_crop", "trivial_augment", "rand_augment"]),
    st.sampled_from([0.0, 0.5]),
    st.sampled_from([(0.0, 0.0), (0.4, 0.0), (0.0, 1.0), (1.0, 1.0)]),
    st.integers(0, 3),
)
def test_processes_see_of_a_batch_what_one_would(
    size: int, ranks: int, augmentation: str, erasing: float, alphas: tuple[float, float], number: int
) -> None:
    """To the last bit: pixels, labels and those of the mirrors."""
    changes = {"augmentation": augmentation, "erasing": erasing, "mixup": alphas[0], "cutmix": alphas[1]}
    recipe = dataclasses.replace(RECIPE, **changes)
    indices = torch.randperm(IMAGES, generator=torch.Generator().manual_seed(number))[:size]
    draws = draws_of(recipe, 1, number, PIXELS.shape)
    [(whole, targets)] = dealt(recipe, indices, draws, 1)
    for rank, (pixels, of_part) in enumerate(dealt(recipe, indices, draws, ranks)):
        part = BatchPart(rank, ranks)
        assert torch.equal(pixels, part.of(whole))
        assert torch.equal(of_part.labels, part.of(targets.labels))
        if targets.mirrors is not None:
            assert of_part.mirrors is not None
            assert torch.equal(of_part.mirrors, part.of(targets.mirrors))
        assert of_part.share == targets.share


def test_batches_and_epochs_are_changed_differently_and_none_by_default() -> None:
    recipe = dataclasses.replace(RECIPE, augmentation="flip_crop", erasing=0.5, mixup=1.0)
    drawn = [draws_of(recipe, epoch, number, PIXELS.shape) for epoch in (1, 2) for number in (0, 1)]
    assert len({(tuple(one.augmentation), tuple(one.erasing), one.mix) for one in drawn}) == 4
    indices = torch.arange(9)
    plain = draws_of(RECIPE, 1, 0, PIXELS.shape)
    for draws in (plain, NO_CHANCE):
        assert torch.equal(training_pixels(PIXELS, indices, RECIPE, draws, WHOLE), PIXELS[:9])
        assert targets_of(LABELS, indices, draws, WHOLE).mirrors is None


@pytest.mark.parametrize(("changes", "mixed"), [({}, False), ({"mixup": 0.2}, True), ({"cutmix": 1.0}, True)])
def test_an_epoch_of_mixed_images_says_so(changes: dict[str, float], mixed: bool) -> None:
    classifier = build_classifier(MlpSettings(kind="mlp", depth=1, width=5), SHAPE, CLASSES, STATS, 0)
    recipe = dataclasses.replace(RECIPE, **changes)  # type: ignore[arg-type]
    assert Training(classifier, DATA, recipe).train_epoch(1).mixed_images == mixed
