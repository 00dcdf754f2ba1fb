"""R1 to R4: from far too small to exploding, the learning rates worth searching."""

import copy
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import groupby
from typing import Literal

from torch import Tensor, nn
from torch.nn import functional

from sanefit.components.foundation.image_dataset.batches import shuffled_batches
from sanefit.components.foundation.schemas.checks import ProbedRate
from sanefit.components.foundation.training.loop.gradient_step import Loss, Step, gradient_step
from sanefit.components.foundation.training.loop.training_images import Images
from sanefit.components.sanity_checks.cost import affordable
from sanefit.components.sanity_checks.short_training import PLAIN_SGD, Descent, short_training

RATES = tuple(10 ** (exponent / 2) for exponent in range(-14, 3))  # 1e-7 to 10, two per decade
HALF_A_STEP = 10**0.25
STEPS = 60
BARELY = 0.01  # a share of the first loss: the lecture's 1e-6 moved it by 0.007 % in ten epochs
NEAR_BEST = 0.5  # of the largest fall
FEWEST = 8  # images in a batch


@dataclass(frozen=True)
class ProbePlan:
    """Which rates are tried, for how many steps, on how many images each."""

    rates: tuple[float, ...]
    steps: int
    batch_size: int


def plan_probe(batch_size: int, each: float, budget: float) -> ProbePlan:
    """The whole probe, or the largest part of it that a budget allows.

    Args:
        batch_size: of the training.
        each: floating-point operations of a step for one image.
        budget: in all.
    """
    for rates, steps, fewest in (
        (RATES, STEPS, batch_size),
        (RATES[4:-2], STEPS // 2, 12),
        (RATES[4:-2:2], 15, FEWEST),
    ):
        size = affordable(budget, len(rates) * steps, each, batch_size, min(fewest, batch_size))
        if len(rates) * steps * size * each <= budget:
            break
    return ProbePlan(rates, steps, size)


@dataclass(frozen=True)
class ProbeBatches:
    """The same batches for all rates; the first one also measures the loss before and after."""

    pixels: Images
    labels: Tensor
    batches: tuple[Tensor, ...]


def probe_batches(pixels: Images, labels: Tensor, batch_size: int, seed: int, steps: int = STEPS) -> ProbeBatches:
    """Choose so many batches from the training split, going round it as often as needed."""
    chosen: list[Tensor] = []
    epoch = 1
    while len(chosen) < steps:
        chosen += shuffled_batches(len(labels), batch_size, seed, epoch)
        epoch += 1
    return ProbeBatches(pixels, labels, tuple(chosen[:steps]))


Losses = tuple[float, float]  # first and last


def one_by_one(pieces: Iterable[Callable[[], Losses]]) -> list[Losses]:
    """In this process."""
    return [piece() for piece in pieces]


def probe_learning_rates(
    classifier: nn.Module,
    data: ProbeBatches,
    descent: Descent = PLAIN_SGD,
    loss: Loss = functional.cross_entropy,
    step: Step = gradient_step,
    rates: Sequence[float] = RATES,
    run: Callable[[list[Callable[[], Losses]]], Iterable[Losses]] = one_by_one,
) -> list[ProbedRate]:
    """Train a copy of the network on the batches at each rate, by the search's optimizer, without regularization.

    ``exploded``: a loss is not finite. ``good``: the loss falls by 1 % at least, and by half of
    the best rate's fall. Any other rate is ``too_low`` below the good ones and ``too_high`` above them.

    Losses are cross-entropies, whatever is minimized.

    Args:
        classifier: freshly initialized; it is not changed.
        data: the batches.
        descent: as in the search.
        loss, step: of the training.
        rates: rising.
        run: measures the rates, which are independent of each other; in their order.

    Returns:
        One verdict per rate.
    """
    pieces: list[Callable[[], Losses]] = [
        partial(_first_and_last_loss, classifier, data, rate, descent, loss, step) for rate in rates
    ]
    measured = list(zip(rates, run(pieces), strict=True))
    falls = [(first - last if math.isfinite(last) else -math.inf, rate) for rate, (first, last) in measured]
    best_fall, best_rate = max(falls)
    return _by_side(
        [_judge(rate, first, last, best_fall, best_rate, len(data.batches)) for rate, (first, last) in measured]
    )


def learning_rate_band(probe: Sequence[ProbedRate]) -> tuple[float, float] | None:
    """The lowest and the highest rate of ``good_run``, of a single one half a step to either side; None without any."""
    run = good_run(probe)
    if not run:
        return None
    if len(run) == 1:
        return run[0].learning_rate / HALF_A_STEP, run[0].learning_rate * HALF_A_STEP
    return run[0].learning_rate, run[-1].learning_rate


def good_run(probe: Sequence[ProbedRate]) -> list[ProbedRate]:
    """The longest unbroken run of good rates, of equal ones that with the lowest loss; empty without any.

    Not the one around the lowest loss of all: of few images a rate far too high learns some by heart, by luck.
    """
    runs = [list(run) for is_good, run in groupby(probe, lambda rate: rate.verdict == "good") if is_good]
    return max(runs, key=lambda run: (len(run), -min(map(_last_loss, run))), default=[])


def _last_loss(rate: ProbedRate) -> float:
    return math.inf if rate.last_loss is None else rate.last_loss


def recommended_rate(probe: Sequence[ProbedRate]) -> float | None:
    """The rate of ``good_run`` whose loss fell most, if any."""
    run = good_run(probe)
    return min(run, key=_last_loss).learning_rate if run else None


def _first_and_last_loss(
    classifier: nn.Module,
    data: ProbeBatches,
    rate: float,
    descent: Descent,
    minimized: Loss,
    step: Step,
) -> Losses:
    classifier = copy.deepcopy(classifier)
    training = short_training(classifier, data.pixels, data.labels, rate, loss=minimized, step=step, descent=descent)
    first = math.nan
    for number, indices in enumerate(data.batches):
        loss = training.step(indices, rate)[0].item()
        first = loss if number == 0 else first
        if not math.isfinite(loss):
            return first, math.inf
    again = data.batches[0]
    last = functional.cross_entropy(classifier(data.pixels[again]), data.labels[again]).item()
    return first, last if math.isfinite(last) else math.inf


def _by_side(probe: list[ProbedRate]) -> list[ProbedRate]:
    run = good_run(probe)
    return [
        rate.model_copy(update={"verdict": "too_low" if rate.learning_rate < run[0].learning_rate else "too_high"})
        if run and rate.verdict in ("too_low", "too_high")
        else rate
        for rate in probe
    ]


def _why_not_good(first: float, last: float, best_fall: float, best_rate: float) -> str:
    if last > first:
        return f"the loss rose from {first:.4f} to {last:.4f}"
    if first - last < BARELY * first:
        return f"the loss barely moved: {first:.4f} to {last:.4f}"
    return f"the loss fell by {first - last:.4f}, at {best_rate:.0e} by {best_fall:.4f}"


def _judge(rate: float, first: float, last: float, best_fall: float, best_rate: float, steps: int) -> ProbedRate:
    fall = first - last
    verdict: Literal["too_low", "good", "too_high", "exploded"]
    if not math.isfinite(last):
        verdict, evidence = "exploded", "the loss became infinite or not a number"
    elif fall >= max(BARELY * first, NEAR_BEST * best_fall):
        verdict, evidence = "good", f"the loss fell from {first:.4f} to {last:.4f}"
    else:
        verdict = "too_low" if rate <= best_rate else "too_high"
        evidence = _why_not_good(first, last, best_fall, best_rate)
    return ProbedRate(
        learning_rate=rate,
        verdict=verdict,
        first_loss=first if math.isfinite(first) else None,
        last_loss=last if math.isfinite(last) else None,
        evidence=f"{evidence} in {steps} steps",
    )


def describe_probe(probe: Sequence[ProbedRate]) -> str:
    """One line: which rates got which verdict."""
    spans = []
    for verdict in ("too_low", "good", "too_high", "exploded"):
        rates = [rate.learning_rate for rate in probe if rate.verdict == verdict]
        if rates:
            spans.append(f"{verdict.replace('_', ' ')} {min(rates):.0e} to {max(rates):.0e}")
    return ", ".join(spans)
