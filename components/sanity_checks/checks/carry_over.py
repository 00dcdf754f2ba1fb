"""M2: a short training learns something that holds for validation images, and that permuted labels do not give."""

from dataclasses import replace

from torch import Tensor

from sanefit.components.foundation.schemas.checks import Verdict
from sanefit.components.sanity_checks.check import Measurement
from sanefit.components.sanity_checks.cost import CARRY_OVER, MOST_IMAGES, OF_A_STEP, affordable, cost_of
from sanefit.components.sanity_checks.null_control import (
    IMAGES,
    STANDARD_ERRORS,
    HeldOut,
    NullControl,
    Pace,
    class_weights,
    is_better,
    nearest_images_say,
    train_both,
    turns_of,
)
from sanefit.components.sanity_checks.probe.learning_rate_probe import recommended_rate
from sanefit.components.sanity_checks.setup import Setup
from sanefit.components.sanity_checks.stand_in import BATCH, RATE, is_scaled, stand_in

STEPS = 150
FEWEST = 8  # images in a batch
FEWEST_STEPS, FEWEST_ASKED = 60, 500
LONGER = 4  # times, where that was not enough
TELLS = 0.1  # three standard errors between two accuracies at chance: with more, the set is too small


def check_recommended_rate(setup: Setup) -> Measurement | None:
    """What is learned at the rate that the probe recommends, or else at the one that ended lowest; None without one."""
    rate = recommended_rate(setup.probe)
    if rate is None:
        ended = [(rate.last_loss, rate.learning_rate) for rate in setup.probe if rate.last_loss is not None]
        rate = min(ended)[1] if ended else None
    return None if rate is None else check_carry_over(setup.of_search, rate)


def check_carry_over(setup: Setup, learning_rate: float) -> Measurement:
    """Train for 150 steps at the recommended rate, and once more on permuted labels: a null control.

    A costly network makes fewer steps. What is learned from the labels must answer validation images better than what
    is learned from noise, by three standard errors over these images, each class weighing the same: in its answers, or
    in how much more probable it finds the true class than the others. A network that learns slowly gets four times the
    steps first, and then, where validation images are few, answers training images that are held out, too, in three
    turns. Fails where the nearest training images tell no more than permuted labels either; where they do, it is the
    network that learns nothing: it warns. A small convnet stands in for a costly network that has not learned enough to
    tell, on images that are scaled down where they are large. Where there are too few images, that is said.

    Args:
        setup: network and data.
        learning_rate: constant over the steps.
    """
    pace, asked = _plan(setup, learning_rate)
    costly = pace.size < min(setup.batch_size, MOST_IMAGES)
    longer = replace(pace, steps=LONGER * pace.steps)
    validation = HeldOut(
        setup.train_pixels, setup.train_labels, setup.validation_pixels[:asked], setup.validation_labels[:asked]
    )
    seen = [train_both(setup, [validation], pace)]
    if not seen[-1].is_better and not costly:
        seen.append(train_both(setup, [validation], longer))
        if not seen[-1].is_better and _three_errors(validation.labels) > TELLS / 2:
            seen.append(train_both(setup, [validation, *turns_of(setup)], longer))
    last = seen[-1]
    verdict: Verdict = "pass"
    fix = beside = ""
    if not last.is_better and costly:
        verdict, fix, beside = _with_stand_in(setup)
    elif not last.is_better:
        verdict, fix = _why_not(last)
    return Measurement(
        verdict=verdict,
        measured=f"after {last.steps} steps of {pace.size} images at {learning_rate:.1e}: accuracy {last.train:.3f} in "
        f"training, {last.accuracy:.3f} in validation, {last.of_control:.3f} after the same on permuted labels (mean "
        f"over classes){beside}",
        expected="an accuracy, or a probability of the true class, above that after permuted labels by "
        f"{STANDARD_ERRORS:g} standard errors, over {len(last.labels)} images",
        fix=fix,
        learned=seen[0].accuracy,
    )


def _plan(setup: Setup, learning_rate: float) -> tuple[Pace, int]:
    """What a network of its cost is given: the pace of a training, and how many validation images it is asked."""
    each, budget = cost_of(setup).operations, CARRY_OVER / 2
    most = min(setup.batch_size, MOST_IMAGES)
    size = affordable(budget, STEPS, each, most, min(FEWEST, most))
    steps = max(FEWEST_STEPS, min(STEPS, int(budget / (size * each))))
    asked = max(FEWEST_ASKED, min(IMAGES, int(budget / (each / OF_A_STEP))))
    return Pace(learning_rate, steps, size), asked


def _with_stand_in(setup: Setup) -> tuple[Verdict, str, str]:
    """Verdict, fix and what was measured, where a costly network has not learned enough in its few steps to tell."""
    other = stand_in(setup)
    validation = HeldOut(other.train_pixels, other.train_labels, other.validation_pixels, other.validation_labels)
    found = train_both(other, [validation, *turns_of(other)], Pace(RATE, 2 * STEPS, BATCH))
    measured = f"; a small convnet in its place: {found.accuracy:.3f}, and {found.of_control:.3f}"
    if found.is_better:
        return "pass", "", measured
    verdict, fix = _why_not(found)
    if verdict == "fail" and not is_scaled(setup):
        return verdict, fix, measured
    unknown = "nothing to change yet: so costly a network gets too few steps here; the search will tell"
    return "unknown", unknown, measured


def _why_not(found: NullControl) -> tuple[Verdict, str]:
    if _three_errors(found.labels) > TELLS:
        return "unknown", f"{len(found.labels)} images are too few to tell: add some, or let the search tell"
    if is_better(nearest_images_say(found, permuted=False), nearest_images_say(found, permuted=True), found.labels):
        return "warn", (
            "the nearest training images tell the classes apart, but what the network learned does not hold for "
            "validation images: check that the splits are not read differently and that batch norm's running averages "
            "are right; a network that learns slowly only needs more steps"
        )
    return "fail", (
        "null control: labels that were permuted at random teach as much; check that labels are not shuffled or those "
        "of other images, that the splits are not read differently, and that a person can tell these classes apart"
    )


def _three_errors(labels: Tensor) -> float:
    """Three standard errors of the difference of two accuracies at chance, each class weighing the same."""
    weights, chance = class_weights(labels), 1 / len(labels.unique())
    return STANDARD_ERRORS * float((2 * chance * (1 - chance) * weights.square().sum()).sqrt())
