"""Whether one model is better than another, by their answers to the same images."""

import math

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binom, norm

from sanefit.components.foundation.schemas.registry import Comparison

RESAMPLES = 100_000
Flags = NDArray[np.bool_]


def compare_shares(metric: str, new_right: Flags, old_right: Flags, min_gain: float) -> Comparison:
    """Of shares of right answers: McNemar's exact test.

    Q. McNemar, Psychometrika 12 (1947). With a least gain, Tango's score test too (Statistics in Medicine 17, 1998).

    Args:
        metric: its name.
        new_right, old_right: bool (images,), which images each model has right.
        min_gain: share of the images.
    """
    wins, losses = int((new_right & ~old_right).sum()), int((old_right & ~new_right).sum())
    images = len(new_right)
    p_value = exact_mcnemar(wins, losses)
    if min_gain:
        p_value = max(p_value, tango_score(wins, losses, images, min_gain))
    new, old = (float(right.mean()) if images else 0.0 for right in (new_right, old_right))
    return Comparison(metric=metric, new=new, old=old, images=images, wins=wins, losses=losses, p_value=p_value)


def compare_balanced(
    labels: NDArray[np.int64], new_right: Flags, old_right: Flags, min_gain: float, seed: int
) -> Comparison:
    """Of balanced accuracies: a paired bootstrap inside each class (Efron and Tibshirani 1993), one-sided.

    Args:
        labels: int64 (images,).
        new_right, old_right: bool (images,).
        min_gain: of the mean share over the classes.
        seed: of the resampling.
    """
    random = np.random.default_rng(seed)
    wins, losses = new_right & ~old_right, old_right & ~new_right
    gains, shares = np.zeros(RESAMPLES), []
    present = np.unique(labels)
    for label in present:
        of_class = labels == label
        images = int(of_class.sum())
        counts = np.array([wins[of_class].sum(), losses[of_class].sum()])
        drawn = random.multinomial(images, [*(counts / images), 1 - counts.sum() / images], size=RESAMPLES)
        gains += (drawn[:, 0] - drawn[:, 1]) / images / len(present)
        shares.append((new_right[of_class].mean(), old_right[of_class].mean()))
    p_value = (1 + int((gains <= min_gain + 1e-12).sum())) / (RESAMPLES + 1)
    new, old = np.mean(shares, axis=0).tolist()
    return Comparison(
        metric="balanced_accuracy",
        new=new,
        old=old,
        images=len(labels),
        wins=int(wins.sum()),
        losses=int(losses.sum()),
        p_value=p_value,
    )


def exact_mcnemar(wins: int, losses: int) -> float:
    """One-sided: the chance of so many wins or more among the images that the models differ on, if each is a coin."""
    return float(binom.sf(wins - 1, wins + losses, 0.5)) if wins + losses else 1.0


def tango_score(wins: int, losses: int, images: int, gain: float) -> float:
    """One-sided p-value of the hypothesis that the share of wins exceeds that of losses by ``gain`` or less.

    Args:
        wins, losses: of so many images.
        images: at least 1.
        gain: in (0, 1).
    """
    linear = wins * (1 + gain) + losses * (1 - gain) - 2 * gain * images
    share = max(0.0, linear + math.sqrt(linear**2 + 8 * images * losses * gain * (1 - gain))) / (4 * images)
    variance = images * (2 * share + gain * (1 - gain))
    if variance <= 0:
        return 1.0  # of models that differ nowhere
    return float(norm.sf((wins - losses - images * gain) / math.sqrt(variance)))
