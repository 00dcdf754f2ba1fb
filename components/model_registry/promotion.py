"""The promotion rule: a worse model never replaces a better one."""

from dataclasses import dataclass

from sanefit.components.foundation.schemas.runs import CHALLENGER, CHAMPION, Alias


@dataclass(frozen=True)
class Champion:
    """The present champion. ``accuracy`` is measured on this run's test split; None: it cannot be."""

    version: str
    accuracy: float | None
    obstacle: str = ""


@dataclass(frozen=True)
class Promotion:
    """Which alias the new version takes, and why."""

    alias: Alias
    reason: str


def decide(new_accuracy: float, champion: Champion | None) -> Promotion:
    """The new version becomes champion when there is none, or when it is strictly better.

    Args:
        new_accuracy: of the new version on this run's test split.
        champion: the present champion on the same images, if there is one.
    """
    if champion is None:
        return Promotion(CHAMPION, "there was no champion")
    if champion.accuracy is None:
        return Promotion(CHALLENGER, f"champion version {champion.version} cannot be compared: {champion.obstacle}")
    comparison = f"test accuracy {new_accuracy:.4f} against {champion.accuracy:.4f} of version {champion.version}"
    if new_accuracy > champion.accuracy:
        return Promotion(CHAMPION, f"better: {comparison}")
    return Promotion(CHALLENGER, f"not better: {comparison}")
