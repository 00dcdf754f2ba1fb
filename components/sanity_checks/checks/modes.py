"""B3: in training an output depends on its batch and its dropout; in evaluation, on its input alone."""

import copy
from dataclasses import replace

import torch
from torch import Tensor, nn

from sanefit.components.foundation.diagnosis.network_paths import DROPOUTS
from sanefit.components.foundation.diagnosis.operations import Trace, trace
from sanefit.components.sanity_checks.check import Measurement
from sanefit.components.sanity_checks.setup import Setup
from sanefit.components.sanity_checks.short_training import take_steps
from sanefit.components.sanity_checks.zero_start import wake

IMAGES = 64
SAME_WITHIN = 1e-3  # of the scores' spread
MOST_DROPOUT = 0.8
TRACED = 4  # images
SMALL_RATE = 1e-3
NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)
LOOKS = 8  # images that are scored in other company
PASSES = 16  # in training mode, where chance is in them
SETTLING = 64  # passes after which running averages of any kind are those of the batch
STEPS_BEFORE = 4  # so that an output layer that starts at zero tells images apart


def check_modes(setup: Setup) -> Measurement:
    """Batch norm and dropout act in training and not in evaluation, and nothing else differs between the two."""
    with torch.no_grad():
        _, passed = trace(setup.copy(), setup.images(TRACED)[0])
    problem, fix = _problem(setup, passed)
    norms = sum(one.name == "batch_norm" for one in passed.operations)
    dropouts = sum(one.name in DROPOUTS for one in passed.operations)
    return Measurement(
        verdict="fail" if problem else "pass",
        measured=problem or f"as expected with {norms} batch norm and {dropouts} dropout layers",
        expected="in training, scores depend on the batch (batch norm) and on chance (dropout); in evaluation "
        f"on neither, within {SAME_WITHIN:g} of their spread; dropout of at most {MOST_DROPOUT:g}",
        fix=fix,
    )


def _problem(setup: Setup, passed: Trace) -> tuple[str, str]:
    if (much := _too_much_dropout(passed))[0]:
        return much
    pixels, _ = setup.images(2 * IMAGES)
    half = pixels[: max(len(pixels) // 2, 2)]
    other = torch.cat([pixels[:1], pixels[len(half) :]])
    for look in (_evaluation_problem, _training_problem, _mismatch):
        problem = look(setup, half, other)
        if problem[0]:
            return problem
    return "", ""


def _too_much_dropout(passed: Trace) -> tuple[str, str]:
    for one in passed.operations:
        share = one.argument(1, "p", 0.5) if one.name in DROPOUTS else 0.0
        if isinstance(share, float | int) and share > MOST_DROPOUT and one.argument(2, "training", True):
            return f"dropout {share:g} in {one.place} keeps {1 - share:.0%} of the values", (
                "lower it: 0.5 is much already (network.dropout)"
            )
    return "", ""


@torch.no_grad()
def _training_problem(setup: Setup, half: Tensor, other: Tensor) -> tuple[str, str]:
    classifier = setup.copy(dropout=False)
    norms = [module for module in classifier.modules() if isinstance(module, NORMS)]
    if not norms:
        return "", ""
    if not any(norm.training for norm in norms):
        return (
            f"batch norm stays in evaluation mode in training: 0 of {len(norms)} layers train",
            "call train() on the whole network, and do not override it",
        )
    before = _running_statistics(classifier)
    classifier(half)
    trained = _after_some_steps(setup, half, chance=False)  # branches may start at zero
    if (scores := trained(half)).std(0).max() > 0 and torch.equal(scores[0], trained(other)[0]):
        return f"a training-mode score does not depend on its batch, though there are {len(norms)} batch norm layers", (
            "batch norm must use its batch's statistics in training: call train()"
        )
    still = [name for name, now in _running_statistics(classifier).items() if now.equal(before[name])]
    if still:
        return f"batch norm {still[0]!r} and {len(still) - 1} more never update their averages (momentum 0)", (
            "set batch norm's momentum to 0.1; else evaluation uses mean 0 and variance 1"
        )
    return "", ""


def _evaluation_problem(setup: Setup, half: Tensor, other: Tensor) -> tuple[str, str]:
    classifier = _after_some_steps(setup, half).eval()
    with torch.no_grad():
        first, again = classifier(half), classifier(half)
        spread = max(first.std().item(), 1e-12)
        random = (first - again).abs().max().item() / spread
        if random > SAME_WITHIN:
            return f"evaluation is random: scores of the same images differ by {random:.2g} of their spread", (
                "dropout or noise acts in evaluation: call eval(), and give functional.dropout training=self.training"
            )
        for number in range(min(LOOKS, len(half))):
            company = [half[number : number + 1], other[1:] if len(other) > 1 else half[:1]]
            dependent = (classifier(torch.cat(company))[0] - first[number]).abs().max().item() / spread
            if dependent > SAME_WITHIN:
                return (
                    f"an evaluation-mode score of image {number} depends on its batch, by {dependent:.2g} of the "
                    "scores' spread: images mix",
                    "nothing may go from one image to another: look for a mean, softmax, norm or reshape over the "
                    "first axis, and attention without batch_first; batch norm needs running averages in evaluation "
                    "(track_running_stats=True, and call eval())",
                )
    return "", ""


def _after_some_steps(setup: Setup, pixels: Tensor, *, chance: bool = True) -> nn.Module:
    """A copy in training mode whose parts all do something, and which has stepped a few times."""
    labels = torch.arange(len(pixels)) % setup.classes
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(setup.seed)
        classifier = setup.copy(dropout=chance)
        wake(classifier, setup.seed)
        return take_steps(classifier, pixels, labels, SMALL_RATE, STEPS_BEFORE)


@torch.no_grad()
def _mismatch(setup: Setup, half: Tensor, _other: Tensor) -> tuple[str, str]:
    classifier = setup.copy(dropout=False)
    norms = [module for module in classifier.modules() if isinstance(module, NORMS)]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # a plain average: after one batch, that batch's statistics
    classifier(half)
    trained, chance = _mean_and_chance(setup, half)
    # Running averages hold the unbiased variance, batches are divided by the biased one.
    allowed = (0.25 if norms else SAME_WITHIN) + chance / 2
    apart = _apart(trained, copy.deepcopy(classifier).eval()(half))
    if apart > allowed:  # perhaps running averages of its own that have not come near the batch's
        for _ in range(SETTLING):
            classifier(half)
        apart = min(apart, _apart(trained, classifier.eval()(half)))
        allowed = max(allowed, 0.05)
    if apart > allowed:
        return (
            f"training and evaluation scores differ by {apart:.2g} of their spread, beyond the "
            f"{allowed:.2g} that is allowed for batch norm and chance",
            "forward() does something in one mode only: normalize and scale the input the same way in both",
        )
    return "", ""


def _mean_and_chance(setup: Setup, half: Tensor) -> tuple[Tensor, float]:
    """Training scores of the same images over several passes without dropout, and how far these lie from their mean.

    The latter as a share of the scores' spread; 0 where there is no chance but dropout.
    """
    other_chance = [replace(setup, seed=setup.seed + number) for number in range(PASSES)]
    first, second = (one.copy(dropout=False)(half) for one in other_chance[:2])
    if first.equal(second):
        return first, 0.0
    scores = torch.stack([first, second, *(one.copy(dropout=False)(half) for one in other_chance[2:])])
    return scores.mean(0), (scores - scores.mean(0)).abs().mean().item() / max(scores.std().item(), 1e-12)


def _apart(one: Tensor, other: Tensor) -> float:
    spread = max(one.std().item(), other.std().item(), 1e-12)
    return (one - other).abs().mean().item() / spread


def _running_statistics(classifier: nn.Module) -> dict[str, Tensor]:
    return {
        name: torch.cat([module.running_mean, module.running_var])
        for name, module in classifier.named_modules()
        if isinstance(module, NORMS) and module.running_mean is not None and module.running_var is not None
    }
