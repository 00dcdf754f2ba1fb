"""The gate after the checks: nothing costly starts unless every check holds."""

from sanefit.components.foundation.errors import ChecksFailedError
from sanefit.components.foundation.schemas.checks import CheckReport
from sanefit.components.foundation.step_lines.step_log import Say


def require_passed(report: CheckReport, say: Say) -> None:
    """Let the run go on, or stop it.

    Raises:
        ChecksFailedError: naming every failed check, its number, what was expected, and the fix.
    """
    if report.failures:
        raise ChecksFailedError(
            "the network failed the checks, so no trial was started: "
            + " | ".join(
                f"{gate.row} {gate.title}: {gate.measured}, expected {gate.expected}; {gate.reason}; {gate.fix}"
                for gate in report.failures
            )
        )
    warned, skipped, unknown = (
        [gate for gate in report.gates if gate.verdict == verdict] for verdict in ("warn", "skip", "unknown")
    )
    for gate in warned:
        say(f"warning: {gate.row} {gate.title}: {gate.measured}, expected {gate.expected}; {gate.reason}; {gate.fix}")
    held = len(report.gates) - len(warned) - len(skipped) - len(unknown)
    say(
        f"open: {held} of {len(report.gates)} checks hold"
        + (f", {len(warned)} with a warning" if warned else "")
        + (f", {len(unknown)} unknown: {', '.join(gate.name for gate in unknown)}" if unknown else "")
        + (f", {len(skipped)} skipped by checks.skip: {', '.join(gate.name for gate in skipped)}" if skipped else "")
    )
