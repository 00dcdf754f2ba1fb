"""What an accuracy is worth: its interval, and what one gets without looking at the images."""

import math
from collections.abc import Sequence
from statistics import NormalDist

from sanefit.components.foundation.schemas.final_model import Judgement

CONFIDENCE = 0.95


def judge(confusion: Sequence[Sequence[int]]) -> Judgement:
    """From the images of a split.

    Args:
        confusion: counts (classes, classes): row i, column j holds images of class i that were called j. At least one.
    """
    sizes = [sum(row) for row in confusion]
    images = sum(sizes)
    right = sum(row[label] for label, row in enumerate(confusion))
    recalls = [row[label] / size for label, (row, size) in enumerate(zip(confusion, sizes, strict=True)) if size]
    named = [label for label, column in enumerate(zip(*confusion, strict=True)) if any(column)]
    return Judgement(
        interval=wilson_interval(right, images, CONFIDENCE),
        majority_accuracy=max(sizes) / images,
        balanced_accuracy=math.fsum(recalls) / len(recalls),
        only_class_named=named[0] if len(named) == 1 and len(recalls) > 1 else None,
    )


def wilson_interval(right: int, images: int, confidence: float) -> tuple[float, float]:
    """The interval of a share (E. B. Wilson, "Probable Inference", JASA 22, 1927): right at 0 and 1 too.

    Args:
        right: of so many images, 0 to ``images``.
        images: at least 1.
        confidence: in (0, 1).
    """
    z = NormalDist().inv_cdf(0.5 + confidence / 2)
    share = right / images
    middle = (share + z**2 / (2 * images)) / (1 + z**2 / images)
    half = z / (1 + z**2 / images) * math.sqrt(share * (1 - share) / images + (z / (2 * images)) ** 2)
    return max(0.0, middle - half), min(1.0, middle + half)


def in_words(accuracy: float, judgement: Judgement) -> str:
    """An accuracy beside what it is worth."""
    low, high = judgement.interval
    return (
        f"{accuracy:.4f} (95 % interval {low:.4f} to {high:.4f}; balanced {judgement.balanced_accuracy:.4f}; always "
        f"the largest class {judgement.majority_accuracy:.4f})"
    )
