"""Histories of retrainings, decided by the product's own rule. Run as a program, it prints the figures of the docs."""

import sys
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from sanefit.components.foundation.schemas.final_model import Judgement
from sanefit.components.foundation.schemas.registry import RegistrySettings
from sanefit.components.model_registry.paired_test import compare_shares
from sanefit.components.model_registry.promotion import Candidate, Champion, decide

ACCURACY = 0.9
WORTH = Judgement(interval=(0, 1), majority_accuracy=0, balanced_accuracy=0.5, only_class_named=None)
SETTINGS = RegistrySettings()


def chances(images: int, random: np.random.Generator) -> NDArray[np.float64]:
    """How likely a training of this quality has each image right: most are easy, some are a matter of luck."""
    return random.beta(0.9, 0.1, images)


def retrained(chance: NDArray[np.float64], random: np.random.Generator) -> NDArray[np.bool_]:
    """The images that one training has right."""
    return random.random(len(chance)) < chance


def history(images: int, trainings: int, random: np.random.Generator) -> tuple[int, float]:
    """How often the champion changes among trainings of one quality, and the accuracy it was crowned with."""
    chance = chances(images, random)
    champion = retrained(chance, random)
    changes, reported = 0, float(champion.mean())
    for look in range(1, trainings):
        new = retrained(chance, random)
        found = compare_shares("accuracy", new, champion, SETTINGS.min_gain)
        if decide(Candidate(found.new, WORTH), Champion("1", found), SETTINGS, look).promoted:
            champion, changes, reported = new, changes + 1, found.new
    return changes, reported


def share_with_a_change(images: int, trainings: int, repeats: int, seed: int) -> tuple[float, float]:
    """Of histories of equal trainings: the share with any promotion, and the mean error of what the champion claims."""
    random = np.random.default_rng(seed)
    found = [history(images, trainings, random) for _ in range(repeats)]
    changed = float(np.mean([changes > 0 for changes, _ in found]))
    return changed, float(np.mean([reported for _, reported in found])) - ACCURACY


def share_promoted(images: int, points: float, repeats: int, seed: int) -> float:
    """Of challengers that are better by so many points: the share that takes over at its first look."""
    random = np.random.default_rng(seed)
    promoted = 0
    for _ in range(repeats):
        chance = chances(images, random)
        gained = points / 100 / (1 - ACCURACY)  # of the images that the old model has wrong
        old, new = retrained(chance, random), retrained(chance + (1 - chance) * gained, random)
        found = compare_shares("accuracy", new, old, 0.0)
        promoted += decide(Candidate(found.new, WORTH), Champion("1", found), SETTINGS, 1).promoted
    return promoted / repeats


def main(arguments: Sequence[str]) -> None:
    repeats = int(arguments[0]) if arguments else 500
    for images in (320, 2000, 10_000):
        changed, error = share_with_a_change(images, 200, repeats, images)
        print(
            f"{images:,} test images: {changed:.1%} of {repeats} histories change, claimed accuracy off by {error:+.4f}"
        )
    print(f"3 points better at 2,000 images: {share_promoted(2000, 3, 1000, 0):.1%} promoted at the first look")


if __name__ == "__main__":
    main(sys.argv[1:])
