"""Faults that were planted into a set-up, and which of them the checks caught."""

from typing import Literal

from sanefit.components.foundation.schemas.bases import Artifact


class PlantedResult(Artifact):
    """One fault. ``check``, ``measured``: what caught it, or gave an alarm that does not name it; empty without one.

    ``verdict``: ``caught`` where a check names its family, ``misnamed`` where one gives another alarm.
    """

    fault: str
    verdict: Literal["caught", "misnamed", "missed", "not applicable"]
    check: str = ""
    measured: str = ""


class MutationReport(Artifact):
    """All faults that were planted one by one."""

    planted: list[PlantedResult]

    @property
    def applicable(self) -> list[PlantedResult]:
        """Those that this set-up can have."""
        return [result for result in self.planted if result.verdict != "not applicable"]

    @property
    def caught(self) -> int:
        """How many."""
        return sum(result.verdict == "caught" for result in self.planted)

    @property
    def mutation_score(self) -> float:
        """Share of the applicable ones that were caught, 0 to 1."""
        return self.caught / max(1, len(self.applicable))
