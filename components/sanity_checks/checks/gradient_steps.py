"""L1: a training step goes down the gradient of the loss, for every weight."""

import copy
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from sanefit.components.foundation.schemas.checks import Verdict
from sanefit.components.sanity_checks.check import Measurement
from sanefit.components.sanity_checks.setup import Setup
from sanefit.components.sanity_checks.short_training import short_training

IMAGES = 128
STEP_LENGTH = 1e-3  # of the weights' length: short enough for the gradient, long enough for float32
DIRECTION = 0.7  # cosine; label smoothing of 0.1 leaves 0.95
LENGTH = 3.0  # times; the mean over a batch, not the sum


@dataclass(frozen=True)
class StepSeen:
    """One step against the gradient: cosine between them, their lengths' ratio, names of weights that stayed."""

    cosine: float
    ratio: float
    still: list[str]


def check_gradient_step(setup: Setup) -> Measurement:
    """Two steps of plain SGD are compared with the gradient of the mean cross-entropy, by autograd.

    Dropout is off; batch norm uses the batch. The second step tells a gradient that was not cleared.
    """
    problem, fix = _problem(setup)
    measured = problem[1] if problem else "both steps follow the gradient, and every weight moves"
    return Measurement(
        verdict=problem[0] if problem else "pass",
        measured=measured,
        expected=f"cosine above {DIRECTION} with the descent direction, length within a factor {LENGTH:g}, "
        "no weight that stays",
        fix=fix,
    )


def _problem(setup: Setup) -> tuple[tuple[Verdict, str] | None, str]:
    try:
        first, second = steps_seen(setup)
    except RuntimeError as error:
        reason = " ".join(str(error).split())[:150]
        return (
            "fail",
            f"the step raised: {reason}",
        ), "the graph is detached: no detach(), .data or no_grad() before the loss"
    if first.cosine < -DIRECTION:
        return (
            "fail",
            f"the step climbs: cosine {first.cosine:.2f}",
        ), "the loss has the wrong sign: minimize it, not its negative"
    if first.ratio == 0:
        return ("fail", "no weight moves"), (
            "no gradient reaches the weights: all are frozen, or the optimizer does not have them"
        )
    if first.cosine < DIRECTION:
        return ("fail", f"the step goes elsewhere: cosine {first.cosine:.2f}"), (
            "the loss is not the cross-entropy of these scores with these labels: correct the loss"
        )
    if second.cosine < DIRECTION or second.ratio > 1.5 * first.ratio:
        return (
            "fail",
            f"the second step has cosine {second.cosine:.2f} and {second.ratio / first.ratio:.2f} times the length",
        ), ("gradients of earlier batches are added: call optimizer.zero_grad() before backward()")
    if not 1 / LENGTH <= first.ratio <= LENGTH:
        return ("warn", f"the step is {first.ratio:.3g} times as long as the gradient asks"), (
            "the loss is scaled: use the mean over the batch, or divide the learning rates by as much"
        )
    if first.still:
        names = ", ".join(repr(name) for name in first.still[:3])
        return ("warn", f"{len(first.still)} weights stay, as {names}"), (
            "these layers are frozen, or a detach() stands behind them: let them train, unless it is fine-tuning"
        )
    return None, ""


def steps_seen(setup: Setup) -> tuple[StepSeen, StepSeen]:
    """Two steps of the trainer, one after the other, each against the gradient where it begins."""
    classifier = setup.copy(dropout=False)
    pixels, labels = setup.images(IMAGES)
    weights = dict(classifier.named_parameters())
    gradient = _gradient(classifier, pixels, labels)
    length = torch.stack([value.norm() for value in gradient.values()]).norm().item()
    scale = torch.stack([value.detach().norm() for value in weights.values()]).norm().item()
    rate = STEP_LENGTH * (scale or 1.0) / (length or 1.0)
    training = short_training(classifier, pixels, labels, rate, loss=setup.loss, step=setup.step)
    everything = torch.arange(len(labels))
    seen = []
    for _ in range(2):
        expected = _gradient(classifier, pixels, labels)
        before = {name: value.detach().clone() for name, value in weights.items()}
        training.step(everything, rate)
        moved = {name: value.detach() - before[name] for name, value in weights.items()}
        seen.append(_compare(moved, {name: -rate * value for name, value in expected.items()}))
    return seen[0], seen[1]


def _gradient(classifier: nn.Module, pixels: Tensor, labels: Tensor) -> dict[str, Tensor]:
    twin = copy.deepcopy(classifier)
    for parameter in twin.parameters():
        parameter.requires_grad_(True)
    functional.cross_entropy(twin(pixels), labels).backward()
    return {
        name: torch.zeros_like(value) if value.grad is None else value.grad for name, value in twin.named_parameters()
    }


def _compare(moved: dict[str, Tensor], expected: dict[str, Tensor]) -> StepSeen:
    moving = [name for name, value in moved.items() if value.any()]
    still = [name for name, value in moved.items() if value.ndim >= 2 and name not in moving]
    if not moving:
        return StepSeen(0.0, 0.0, still)
    a, b = (torch.cat([values[name].double().flatten() for name in moving]) for values in (moved, expected))
    lengths = a.norm().item(), b.norm().item()
    cosine = (a @ b).item() / (lengths[0] * lengths[1]) if all(lengths) else 0.0
    return StepSeen(cosine, lengths[0] / lengths[1] if lengths[1] else 0.0, still)
