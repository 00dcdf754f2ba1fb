"""Confident learning: which labels are probably wrong, by the probabilities of models that were not trained on them.

Northcutt, Jiang & Chuang, "Confident Learning: Estimating Uncertainty in Dataset Labels" (2021): a class is given to an
image with confidence where its probability reaches the mean that it has on the images labelled so. How many images are
given another class than their label, the confident joint beside its diagonal, says how many labels are wrong; which,
the probability of the label: the lowest first. cleanlab calls that ``low_self_confidence``; it takes all probabilities
at once, or in parts by an interface that it calls experimental. Here they come in parts, twice, and none is kept.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Batch = tuple[NDArray[np.int64], NDArray[np.float32]]
ROUNDING = 1e-6  # that a probability may lack to its class's threshold, as in cleanlab


@dataclass(frozen=True)
class JudgedLabels:
    """Of each image: ``named``, int64, the most probable class; ``own``, float32, the probability of its label.

    ``errors``: how many labels are estimated to be wrong.
    """

    named: NDArray[np.int64]
    own: NDArray[np.float32]
    errors: int

    def suspects(self, labels: NDArray[np.int64]) -> NDArray[np.int64]:
        """Numbers of the images whose labels are probably wrong, the worst first.

        Args:
            labels: int64 (images,).
        """
        others = np.flatnonzero(self.named != labels)
        worst: NDArray[np.int64] = others[np.argsort(self.own[others], kind="stable")][: self.errors]
        return worst


def class_thresholds(batches: Iterable[Batch], classes: int) -> NDArray[np.float64]:
    """The mean probability of each class over the images that are labelled so: float64 (classes,).

    Args:
        batches: labels, int64 (images,), and probabilities, float32 (images, classes).
        classes: how many there are; one that no image is labelled as has an infinite threshold: nothing reaches it.
    """
    sums, images = np.zeros(classes), np.zeros(classes, dtype=np.int64)
    for labels, probabilities in batches:
        own = probabilities[np.arange(len(labels)), labels]
        sums += np.bincount(labels, weights=own, minlength=classes)
        images += np.bincount(labels, minlength=classes)
    return np.where(images > 0, sums / np.maximum(images, 1), np.inf)


def judge_labels(batches: Iterable[Batch], thresholds: NDArray[np.float64]) -> JudgedLabels:
    """Compare each label with what the probabilities say.

    Args:
        batches: as for ``class_thresholds``.
        thresholds: float64 (classes,), of the same images.
    """
    judged = list(_judged(batches, thresholds))
    empty = JudgedLabels(np.empty(0, dtype=np.int64), np.empty(0, dtype=np.float32), 0)
    return JudgedLabels(
        np.concatenate([empty.named, *(part.named for part in judged)]),
        np.concatenate([empty.own, *(part.own for part in judged)]),
        sum(part.errors for part in judged),
    )


def _judged(batches: Iterable[Batch], thresholds: NDArray[np.float64]) -> Iterator[JudgedLabels]:
    for labels, probabilities in batches:
        named = probabilities.argmax(axis=1)
        confident = probabilities >= thresholds - ROUNDING
        given = np.where(confident, probabilities, 0).argmax(axis=1)
        wrong = confident.any(axis=1) & (given != labels) & (named != labels)
        yield JudgedLabels(named, probabilities[np.arange(len(labels)), labels], int(wrong.sum()))
