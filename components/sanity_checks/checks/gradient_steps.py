"""L1: a training step goes down the gradient of the loss, for every weight."""

import copy
import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from sanefit.components.foundation.diagnosis.network_paths import unregistered
from sanefit.components.foundation.diagnosis.operations import Operation, tensors_in, trace
from sanefit.components.foundation.errors import first_line
from sanefit.components.foundation.schemas.checks import Verdict
from sanefit.components.sanity_checks.check import Measurement
from sanefit.components.sanity_checks.setup import Setup
from sanefit.components.sanity_checks.short_training import short_training

IMAGES = 128
TRACED = 4  # images
STEPS = 6  # of which each may let the gradient one layer further
STEP_LENGTH = 1e-3  # of the weights' length: short enough for the gradient, long enough for float32
DIRECTION = 0.7  # cosine; label smoothing of 0.1 leaves 0.95
LENGTH = 3.0  # times; the mean over a batch, not the sum


@dataclass(frozen=True)
class StepSeen:
    """One step against the gradient: cosine between them, their lengths' ratio, names of weights that stayed.

    ``still``: of the matrices and filters, those that did not move, but for steps too small for float32.
    """

    cosine: float
    ratio: float
    still: list[str]


def check_gradient_step(setup: Setup) -> Measurement:
    """Two steps of plain SGD are compared with the gradient of the mean cross-entropy, by autograd.

    Dropout is off; batch norm uses the batch. The second step tells a gradient that was not cleared. Behind a layer
    that starts at zero gradients come only after some steps: a weight stays when it does so in all of them.
    """
    problem, fix = _problem(setup)
    measured = problem[1] if problem else "both steps follow the gradient, and every weight moves"
    return Measurement(
        verdict=problem[0] if problem else "pass",
        measured=measured,
        expected=f"steps with a cosine above {DIRECTION} to the negative gradient, as long as learning rate times "
        f"gradient within a factor of {LENGTH:g}, and no weight left where it was",
        fix=fix,
    )


def _problem(setup: Setup) -> tuple[tuple[Verdict, str] | None, str]:
    try:
        first, *later = steps_seen(setup)
    except RuntimeError as error:
        return ("fail", f"the step raised: {first_line(error)[:150]}"), (
            "most likely the graph is detached: remove any detach(), .data or no_grad() before the loss"
        )
    second = later[0]
    if first.cosine < -DIRECTION:
        return (
            "fail",
            f"the step climbs: cosine {first.cosine:.2f}",
        ), "the loss has the wrong sign: minimize it, not its negative"
    if not all(math.isfinite(step.ratio) for step in (first, *later)):
        return ("fail", "the gradient is not finite"), (
            "look for a root, logarithm or norm of 0 in forward(): its value is finite there, its slope is not"
        )
    if first.ratio == 0:
        return ("fail", "no weight moves"), (
            "no gradient reaches the weights, all are frozen, or the optimizer does not have them: set "
            "requires_grad=True, and give the optimizer parameters()"
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
    if hidden := _not_registered(setup):
        return ("fail", f"{len(hidden)} operations use weights that are not registered, first {hidden[0].place}"), (
            "they never train and are not saved: keep layers in nn.ModuleList or as attributes, weights as "
            "nn.Parameter, and make none in forward()"
        )
    if still := sorted(set(first.still).intersection(*(step.still for step in later))):
        named = ", ".join(map(repr, still[:3]))
        measured = f"{len(still)} weights stay as they were over {len(later) + 1} steps, among them {named}"
        return ("warn", measured), _why_still(setup, still)
    return None, ""


def _not_registered(setup: Setup) -> list[Operation]:
    classifier = setup.copy(dropout=False)
    _, passed = trace(classifier, setup.images(TRACED)[0])
    return unregistered(passed, classifier)


def _why_still(setup: Setup, still: list[str]) -> str:
    classifier = setup.copy(dropout=False)
    weights = dict(classifier.named_parameters())
    if any(not weights[name].requires_grad for name in still):
        return "these layers are frozen: let them train (requires_grad=True), unless it is fine-tuning"
    _, passed = trace(classifier, setup.images(TRACED)[0])
    used = {id(tensor) for one in passed.operations for tensor in tensors_in((one.arguments, dict(one.keywords)))}
    if all(id(weights[name]) not in used for name in still):
        return "forward() never uses them: call these layers, or remove them"
    return (
        "no gradient reaches these layers: remove the detach(), no_grad(), .data, argmax or rounding that follows "
        "them, or use their output"
    )


def steps_seen(setup: Setup, steps: int = STEPS) -> list[StepSeen]:
    """Steps of the trainer, one after the other, each against the gradient where it begins.

    Args:
        setup: network, images, and how it steps.
        steps: at least 2; fewer are made once no weight stays.
    """
    classifier = setup.copy(dropout=False)
    pixels, labels = setup.images(IMAGES)
    weights = dict(classifier.named_parameters())
    gradient = _gradient(classifier, pixels, labels)
    length = torch.stack([value.norm() for value in gradient.values()]).norm().item()
    scale = torch.stack([value.detach().norm() for value in weights.values()]).norm().item()
    rate = STEP_LENGTH * (scale or 1.0) / (length or 1.0)
    training = short_training(classifier, pixels, labels, rate, loss=setup.loss, step=setup.step)
    everything = torch.arange(len(labels))
    seen: list[StepSeen] = []
    while len(seen) < 2 or (len(seen) < steps and set(seen[0].still).intersection(*(step.still for step in seen))):
        expected = _gradient(classifier, pixels, labels)
        before = {name: value.detach().clone() for name, value in weights.items()}
        training.step(everything, rate)
        seen.append(_compare(before, weights, {name: -rate * value for name, value in expected.items()}))
    return seen


def _gradient(classifier: nn.Module, pixels: Tensor, labels: Tensor) -> dict[str, Tensor]:
    twin = copy.deepcopy(classifier)
    for parameter in twin.parameters():
        parameter.requires_grad_(True)
    functional.cross_entropy(twin(pixels), labels).backward()
    return {
        name: torch.zeros_like(value) if value.grad is None else value.grad for name, value in twin.named_parameters()
    }


def _compare(before: dict[str, Tensor], after: Mapping[str, Tensor], expected: dict[str, Tensor]) -> StepSeen:
    moved = {name: value.detach() - before[name] for name, value in after.items()}
    moving = [name for name, value in moved.items() if value.any()]
    too_small = [
        name for name, step in expected.items() if step.any() and torch.equal(before[name] + step, before[name])
    ]
    still = [name for name, value in moved.items() if value.ndim >= 2 and name not in {*moving, *too_small}]
    if not moving:
        return StepSeen(0.0, 0.0, still)
    a, b = (torch.cat([values[name].double().flatten() for name in moving]) for values in (moved, expected))
    lengths = a.norm().item(), b.norm().item()
    cosine = (a @ b).item() / (lengths[0] * lengths[1]) if all(lengths) else 0.0
    return StepSeen(cosine, lengths[0] / lengths[1] if lengths[1] else 0.0, still)
