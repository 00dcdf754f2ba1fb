"""A fault that can be planted into a sound set-up."""

from collections.abc import Callable
from dataclasses import dataclass

from sanefit.components.sanity_checks.setup import Setup

Plant = Callable[[Setup], Setup | None]


@dataclass(frozen=True)
class PlantedFault:
    """One fault.

    ``name``: what somebody did, in words. ``says``: one of these must be in what an alarm measured, or in its fix: it
    names the family. ``plant``: a set-up with the fault, of its own copies; None where it would be none, as batch norm
    with momentum 0 in a network without batch norm.
    """

    name: str
    says: tuple[str, ...]
    plant: Plant
