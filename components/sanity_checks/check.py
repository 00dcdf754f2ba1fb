"""A check as a value, and what it finds."""

from collections.abc import Callable
from dataclasses import dataclass

from sanefit.components.foundation.schemas.checks import CheckName, LayerSignal, Verdict
from sanefit.components.sanity_checks.setup import Setup


@dataclass(frozen=True)
class Measurement:
    """What a check found: the number seen, the number expected, and the fix where it does not pass.

    ``title``, ``reason``: where they depend on what was found; else those of the check hold. ``layers``: for the
    report, when the check looked at the layers' signals. ``learned``: accuracy in validation of what it trained.
    """

    verdict: Verdict
    measured: str
    expected: str
    fix: str = ""
    title: str = ""
    reason: str = ""
    layers: tuple[LayerSignal, ...] = ()
    learned: float | None = None


@dataclass(frozen=True)
class Check:
    """One check of the table.

    ``name``: in the configuration. ``row``: in the lecture's ledger. ``title``, ``reason``: what holds, and why it
    must. ``run``: measures it; None where there is nothing to measure. ``blocking``: the others need it to hold, so
    that they are not run when it fails. ``after_probe``: it needs the learning-rate probe, which runs when no other
    check failed.
    """

    name: CheckName
    row: str
    title: str
    reason: str
    run: Callable[[Setup], Measurement | None]
    blocking: bool = False
    after_probe: bool = False
