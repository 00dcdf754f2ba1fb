"""M2: a short training learns something that holds for validation images, and that permuted labels do not give."""

from sanefit.components.foundation.schemas.checks import Verdict
from sanefit.components.sanity_checks.check import Measurement
from sanefit.components.sanity_checks.cost import CARRY_OVER, affordable, operations_for_an_image
from sanefit.components.sanity_checks.null_control import (
    IMAGES,
    STANDARD_ERRORS,
    HeldOut,
    NullControl,
    class_weights,
    is_better,
    nearest_images_say,
    train_both,
    turns_of,
)
from sanefit.components.sanity_checks.probe.learning_rate_probe import recommended_rate
from sanefit.components.sanity_checks.setup import Setup

STEPS = 150
FEWEST = 16  # images in a batch
LONGER = 4  # times, where that was not enough
TELLS = 0.1  # three standard errors between two accuracies at chance: with more, the set is too small
PASSED: tuple[Verdict, str] = ("pass", "")


def check_recommended_rate(setup: Setup) -> Measurement | None:
    """What is learned at the rate that the probe recommends, or else at the one that ended lowest; None without one."""
    rate = recommended_rate(setup.probe)
    if rate is None:
        ended = [(rate.last_loss, rate.learning_rate) for rate in setup.probe if rate.last_loss is not None]
        rate = min(ended)[1] if ended else None
    return None if rate is None else check_carry_over(setup, rate)


def check_carry_over(setup: Setup, learning_rate: float) -> Measurement:
    """Train for 150 steps at the recommended rate, and once more on permuted labels: a null control.

    What is learned from the labels must answer validation images better than what is learned from noise, by three
    standard errors over these images, each class weighing the same: in its answers, or in the probability that it
    gives the true class. A network that learns slowly gets four times the steps first, and then answers training
    images that are held out, too, in three turns. Fails where the nearest training images tell no more than permuted
    labels either; where they do, it is the network that learns nothing: it warns. Where there are too few images to
    tell, that is said.

    Args:
        setup: network and data.
        learning_rate: constant over the steps.
    """
    each = operations_for_an_image(setup)
    size = affordable(CARRY_OVER / 2, STEPS, each, setup.batch_size, min(FEWEST, setup.batch_size))
    costly = size < setup.batch_size
    validation = HeldOut(
        setup.train_pixels,
        setup.train_labels,
        setup.validation_pixels[:IMAGES],
        setup.validation_labels[:IMAGES],
    )
    seen = [train_both(setup, [validation], learning_rate, STEPS, size)]
    if not seen[-1].is_better and not costly:
        seen.append(train_both(setup, [validation], learning_rate, LONGER * STEPS, size))
        if not seen[-1].is_better:
            seen.append(train_both(setup, [validation, *turns_of(setup)], learning_rate, LONGER * STEPS, size))
    last = seen[-1]
    verdict, fix = PASSED if last.is_better else _why_not(last, costly=costly)
    return Measurement(
        verdict=verdict,
        measured=f"after {last.steps} steps of {size} images at {learning_rate:.1e}: accuracy {last.train:.3f} in "
        f"training, {last.accuracy:.3f} in validation, {last.of_control:.3f} after the same on permuted labels (mean "
        "over classes)",
        expected=f"better than on permuted labels by {STANDARD_ERRORS:g} standard errors, over {len(last.labels)} "
        "images",
        fix=fix,
        learned=seen[0].accuracy,
    )


def _why_not(found: NullControl, *, costly: bool) -> tuple[Verdict, str]:
    weights = class_weights(found.labels)
    chance = 1 / len(found.labels.unique())
    error = (2 * chance * (1 - chance) * weights.square().sum()).sqrt().item()
    if STANDARD_ERRORS * error > TELLS:
        return "unknown", f"{len(found.labels)} images are too few to tell: the whole training will"
    if is_better(nearest_images_say(found, permuted=False), nearest_images_say(found, permuted=True), found.labels):
        return "unknown" if costly else "warn", (
            "the images tell the classes apart, but what the network learned of them does not hold for validation "
            "images: are the splits read differently, is batch norm's average wrong in evaluation, is the network slow?"
        )
    return "fail", (
        "null control: labels that were permuted at random teach as much. Are labels shuffled or those of other "
        "images, are the splits read differently, can anybody tell these classes apart?"
    )
