"""The promotion rule: a worse model never replaces a better one."""

from collections.abc import Sequence
from dataclasses import dataclass

from sanefit.components.foundation.schemas.final_model import Judgement
from sanefit.components.foundation.schemas.registry import Comparison, RegistrySettings
from sanefit.components.model_registry.alpha_spending import level_of_look


@dataclass(frozen=True)
class Candidate:
    """The new version: what its test accuracy is worth, and which conditions it does not meet, in words."""

    accuracy: float
    judgement: Judgement
    shortfalls: Sequence[str] = ()


@dataclass(frozen=True)
class Champion:
    """The present champion, and the new version beside it; ``comparison``: None where there can be none."""

    version: str
    comparison: Comparison | None
    obstacle: str = ""


@dataclass(frozen=True)
class Promotion:
    """Whether the new version is to be champion, and why."""

    promoted: bool
    reason: str


def decide(candidate: Candidate, champion: Champion | None, settings: RegistrySettings, look: int) -> Promotion:
    """Whether the new version takes over.

    Args:
        candidate: the new version on this run's test split.
        champion: the present one on the same images, if there is one.
        settings: the mode, and how sure it must be.
        look: how often this test split has compared, this time included.
    """
    never = _never(candidate, settings)
    if never:
        return Promotion(False, never)
    if champion is None:
        return Promotion(True, "there was no champion")
    if settings.promotion == "always":
        return Promotion(True, "registry.promotion=always")
    if champion.comparison is None:
        return Promotion(False, f"champion version {champion.version} cannot be compared: {champion.obstacle}")
    found, least = champion.comparison, settings.min_gain
    by = f" by {least:g}" if least else ""
    words = _in_words(found, champion.version)
    if settings.promotion == "if_not_worse":
        verdict = "at least as good" if found.gain >= least else "not as good"
        return Promotion(found.gain >= least, f"{verdict}{by}, as measured: {words}")
    level = level_of_look(look, settings.confidence)
    asked = f"p {_short(found.p_value)}, expected at most {_short(level)} at look {look} on this test split"
    if found.p_value <= level:
        return Promotion(True, f"better{by}: {words}; {asked}")
    verdict = "not better" if found.gain <= least else "not surely better"
    return Promotion(False, f"{verdict}{by}: {words}; {asked}")


def _never(candidate: Candidate, settings: RegistrySettings) -> str:
    """Why this version is no champion whatever the present one is; empty when it may be."""
    accuracy = f"test accuracy {candidate.accuracy:.4f}"
    if candidate.judgement.only_class_named is not None:
        return f"it names one class for every image: {accuracy}"
    if candidate.accuracy <= candidate.judgement.majority_accuracy:
        return (
            f"not better than to name the largest class for every image: {accuracy} against "
            f"{candidate.judgement.majority_accuracy:.4f}"
        )
    if candidate.shortfalls:
        return f"registry.require: {', '.join(candidate.shortfalls)}"
    return "registry.promotion=never" if settings.promotion == "never" else ""


def _in_words(found: Comparison, version: str) -> str:
    return (
        f"test {found.metric.replace('_', ' ')} {found.new:.4f} against {found.old:.4f} of version {version} on the "
        f"same {found.images:,} images, {found.wins:,} right that it has wrong, {found.losses:,} the other way round"
    )


def _short(value: float) -> str:
    return f"{value:.4f}" if value >= 0.001 else f"{value:.1e}"
