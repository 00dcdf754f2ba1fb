"""The promotion rule: a worse model never replaces a better one."""

from dataclasses import dataclass

from sanefit.components.foundation.schemas.final_model import Judgement
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


def decide(new_accuracy: float, judgement: Judgement, champion: Champion | None) -> Promotion:
    """The new version becomes champion when there is none, or when it is strictly better.

    It never does when to name the largest class for every image is as good, or when it names one class alone.

    Args:
        new_accuracy: of the new version on this run's test split.
        judgement: what that is worth.
        champion: the present champion on the same images, if there is one.
    """
    if judgement.only_class_named is not None:
        return Promotion(CHALLENGER, f"it names one class for every image: test accuracy {new_accuracy:.4f}")
    if new_accuracy <= judgement.majority_accuracy:
        return Promotion(
            CHALLENGER,
            f"not better than to name the largest class for every image: test accuracy {new_accuracy:.4f} against "
            f"{judgement.majority_accuracy:.4f}",
        )
    if champion is None:
        return Promotion(CHAMPION, "there was no champion")
    if champion.accuracy is None:
        return Promotion(CHALLENGER, f"champion version {champion.version} cannot be compared: {champion.obstacle}")
    comparison = f"test accuracy {new_accuracy:.4f} against {champion.accuracy:.4f} of version {champion.version}"
    if new_accuracy > champion.accuracy:
        return Promotion(CHAMPION, f"better: {comparison}")
    return Promotion(CHALLENGER, f"not better: {comparison}")
