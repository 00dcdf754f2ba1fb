"""Faults in what is minimized, in the step, and in what would be searched."""

from dataclasses import replace

import torch
from torch import Tensor
from torch.nn import functional

from sanefit.components.sanity_checks.mutation.planted_fault import PlantedFault
from sanefit.components.sanity_checks.setup import Setup


def _wrong_sign(scores: Tensor, labels: Tensor) -> Tensor:
    return -functional.cross_entropy(scores, labels)


def _detached(scores: Tensor, labels: Tensor) -> Tensor:
    return functional.cross_entropy(scores.detach(), labels)


def _summed(scores: Tensor, labels: Tensor) -> Tensor:
    return functional.cross_entropy(scores, labels, reduction="sum")


def _of_other_labels(scores: Tensor, labels: Tensor) -> Tensor:
    return functional.cross_entropy(scores, labels.flip(0))


def _without_clearing(optimizer: torch.optim.Optimizer, loss: Tensor) -> None:
    loss.backward()
    optimizer.step()


def _rates(setup: Setup, low: float, high: float) -> Setup:
    return replace(setup, learning_rates=(low, high))


TRAINING_FAULTS = (
    PlantedFault("loss with the wrong sign", ("wrong sign",), lambda setup: replace(setup, loss=_wrong_sign)),
    PlantedFault("scores detached from the loss", ("detached",), lambda setup: replace(setup, loss=_detached)),
    PlantedFault("loss summed over the batch", ("the loss is scaled",), lambda setup: replace(setup, loss=_summed)),
    PlantedFault(
        "loss of other images' labels",
        ("correct the loss", "cannot fit", "of other images"),
        lambda setup: replace(setup, loss=_of_other_labels),
    ),
    PlantedFault("gradients not cleared", ("zero_grad",), lambda setup: replace(setup, step=_without_clearing)),
    PlantedFault("learning rates from 10 to 1000", ("too high",), lambda setup: _rates(setup, 1e1, 1e3)),
    PlantedFault("learning rates from 1e-9 to 1e-7", ("too low",), lambda setup: _rates(setup, 1e-9, 1e-7)),
    PlantedFault(
        "weight decay from 100",
        ("regularization is huge",),
        lambda setup: replace(setup, weight_decays=(1e2, 1e5)),
    ),
)
