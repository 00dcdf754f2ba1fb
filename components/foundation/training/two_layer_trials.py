"""Many of the lecture's networks trained at once on the same batches: one matrix product serves them all."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from components.foundation.image_dataset.batches import shuffled_batches

EVALUATION_BATCH = 1000
WEIGHT_STD = 1e-4


@dataclass(frozen=True)
class TwoLayerTrial:
    """Learning rate above 0, weight decay at least 0, seed of the initial weights."""

    learning_rate: float
    weight_decay: float
    seed: int


@dataclass
class TwoLayerCurve:
    """Per epoch: training loss with the penalty, and accuracies. A loss may be infinite or NaN.

    ``validation_parts``: accuracy on each 1,000 validation images, in their order.
    """

    losses: list[float] = field(default_factory=list)
    train_accuracies: list[float] = field(default_factory=list)
    validation_accuracies: list[float] = field(default_factory=list)
    validation_parts: list[list[float]] = field(default_factory=list)


@dataclass
class StackedWeights:
    """Weights of T networks with H hidden neurons: w1 (inputs, T*H), b1 (T*H,), w2 (T, H, K), b2 (T, 1, K)."""

    w1: Tensor
    b1: Tensor
    w2: Tensor
    b2: Tensor


def train_two_layer_trials(
    trials: Sequence[TwoLayerTrial],
    train_pixels: Tensor,
    train_labels: Tensor,
    validation_pixels: Tensor,
    validation_labels: Tensor,
    *,
    shift: Tensor,
    classes: int,
    hidden: int,
    batch_size: int,
    epochs: int,
    seed: int,
    after_epoch: Callable[[int], None] = lambda _: None,
) -> list[TwoLayerCurve]:
    """Train inputs-hidden-classes networks with ReLU from weights 1e-4 N(0, 1) by plain SGD.

    The loss is the mean cross-entropy plus half of weight decay times the squared weights. Networks share batches,
    not arithmetic: one that explodes leaves the others as they are.

    Args:
        trials: what differs between the networks.
        train_pixels, validation_pixels: uint8 (images, height, width, channels); ``shift`` is subtracted.
        train_labels, validation_labels: int64 (images,).
        shift: float32 (height * width * channels,).
        classes, hidden, batch_size, epochs: of every network.
        seed: of the order of the batches.
        after_epoch: called with the number of each epoch.
    """
    weights = _initial_weights(trials, train_pixels[0].numel(), hidden, classes)
    rates = torch.tensor([trial.learning_rate for trial in trials]).reshape(-1, 1, 1)
    decays = torch.tensor([trial.weight_decay for trial in trials]).reshape(-1, 1, 1)
    train, validation = train_pixels.flatten(1), validation_pixels.flatten(1)
    curves = [TwoLayerCurve() for _ in trials]
    for epoch in range(1, epochs + 1):
        losses, correct = torch.zeros(len(trials), dtype=torch.float64), torch.zeros(len(trials))
        batches = shuffled_batches(len(train_labels), batch_size, seed, epoch)
        for indices in batches:
            inputs, labels = train[indices].float().sub_(shift), train_labels[indices]
            loss, right = _step(weights, inputs, labels, rates, decays)
            losses += loss * len(indices)
            correct += right
        correct_parts = _correct_parts(weights, validation, validation_labels, shift)
        accuracies = correct_parts.sum(0) / len(validation_labels)
        sizes = torch.tensor([len(part) for part in validation_labels.split(EVALUATION_BATCH)])
        parts = (correct_parts / sizes.unsqueeze(1)).T
        for number, curve in enumerate(curves):
            curve.losses.append(losses[number].item() / len(train_labels))
            curve.train_accuracies.append(correct[number].item() / len(train_labels))
            curve.validation_accuracies.append(accuracies[number].item())
            curve.validation_parts.append(parts[number].tolist())
        after_epoch(epoch)
    return curves


def _initial_weights(trials: Sequence[TwoLayerTrial], inputs: int, hidden: int, classes: int) -> StackedWeights:
    first, second = [], []
    for trial in trials:
        generator = torch.Generator().manual_seed(trial.seed)
        first.append(WEIGHT_STD * torch.randn(inputs, hidden, generator=generator))
        second.append(WEIGHT_STD * torch.randn(hidden, classes, generator=generator))
    return StackedWeights(
        w1=torch.cat(first, dim=1),
        b1=torch.zeros(len(trials) * hidden),
        w2=torch.stack(second),
        b2=torch.zeros(len(trials), 1, classes),
    )


def _scores(weights: StackedWeights, inputs: Tensor) -> tuple[Tensor, Tensor]:
    """Hidden activations (T, batch, H) and scores (T, batch, K)."""
    trials, hidden, _ = weights.w2.shape
    activations = torch.addmm(weights.b1, inputs, weights.w1).clamp_min_(0)
    stacked = activations.reshape(-1, trials, hidden).transpose(0, 1)
    return stacked, torch.baddbmm(weights.b2, stacked, weights.w2)


def _step(
    weights: StackedWeights, inputs: Tensor, labels: Tensor, rates: Tensor, decays: Tensor
) -> tuple[Tensor, Tensor]:
    """One step of every network; the losses (float64) and the number of right answers before it."""
    activations, scores = _scores(weights, inputs)
    log_probabilities = torch.log_softmax(scores, dim=2)
    chosen = labels.expand(len(scores), -1).unsqueeze(2)
    squares = weights.w1.square().sum(0).reshape(len(scores), -1).sum(1) + weights.w2.square().sum((1, 2))
    loss = -log_probabilities.gather(2, chosen).squeeze(2).double().mean(1) + 0.5 * decays.flatten() * squares
    right = (scores.argmax(2) == labels).sum(1)

    from_scores = log_probabilities.exp_().scatter_add_(2, chosen, torch.full_like(chosen, -1, dtype=scores.dtype))
    from_scores.mul_(rates / len(labels))  # all that follows is the step, no longer the gradient
    from_hidden = torch.bmm(from_scores, weights.w2.transpose(1, 2)).mul_(activations > 0)
    keep = 1 - rates * decays
    weights.w2.mul_(keep).baddbmm_(activations.transpose(1, 2), from_scores, alpha=-1)
    weights.b2.sub_(from_scores.sum(1, keepdim=True))
    flat = from_hidden.transpose(0, 1).reshape(len(labels), -1)
    weights.w1.mul_(keep.expand(-1, -1, activations.shape[2]).reshape(-1)).addmm_(inputs.T, flat, alpha=-1)
    weights.b1.sub_(flat.sum(0))
    return loss, right


def _correct_parts(weights: StackedWeights, pixels: Tensor, labels: Tensor, shift: Tensor) -> Tensor:
    """Right answers (parts, T) in each 1,000 images."""
    correct = []
    for part, answers in zip(pixels.split(EVALUATION_BATCH), labels.split(EVALUATION_BATCH), strict=True):
        scores = _scores(weights, part.float().sub_(shift))[1]
        correct.append(((scores.argmax(2) == answers) & scores.isfinite().all(2)).sum(1))
    return torch.stack(correct)


def is_finite(curve: TwoLayerCurve) -> bool:
    """Whether every loss so far is a number below infinity."""
    return all(math.isfinite(loss) for loss in curve.losses)
