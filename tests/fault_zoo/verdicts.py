"""What the checks say of a set-up of the zoo."""

from setups import Make

from sanefit.components.foundation.schemas.checks import CheckReport, CheckSettings, GateResult
from sanefit.components.sanity_checks.checklist import run_checks


def report_on(make: Make) -> CheckReport:
    """The whole checklist, with its defaults."""
    return run_checks(make(), CheckSettings(), lambda _: None)


def alarms(report: CheckReport) -> list[GateResult]:
    """The checks that warn or fail."""
    return [gate for gate in report.gates if gate.verdict in ("warn", "fail")]


def named_by(report: CheckReport, family: tuple[str, ...]) -> list[GateResult]:
    """Those of them that say one of the words."""
    return [gate for gate in alarms(report) if any(word in f"{gate.measured} {gate.fix}" for word in family)]
