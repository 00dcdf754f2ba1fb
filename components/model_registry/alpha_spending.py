"""How sure a promotion must be, the more often a test split has judged."""

import math


def level_of_look(look: int, confidence: float) -> float:
    """The p-value that is small enough at a look, so that all looks together are wrong no more often than asked for.

    The error that is allowed is spent as 6/π² · 1/look², which adds up to 1 over all looks there will ever be: however
    often a test split judges, and whatever the looks have to do with each other, the chance that any of them lets a
    version pass that is no better stays below ``1 - confidence`` (Bonferroni; Foster and Stine, "α-investing", 2008,
    for streams of tests).

    Args:
        look: from 1.
        confidence: in (0.5, 1).
    """
    return (1 - confidence) * 6 / (math.pi * look) ** 2
