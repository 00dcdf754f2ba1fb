"""The gate after the checks: nothing costly starts unless every check holds."""

from components.foundation.artifacts import CheckReport
from components.foundation.errors import ChecksFailedError
from components.foundation.step_log import Say


def require_passed(report: CheckReport, say: Say) -> None:
    """Let the run go on, or stop it.

    Raises:
        ChecksFailedError: naming every failed check, its number, what was expected, and the fix.
    """
    if report.failures:
        raise ChecksFailedError(
            "the network failed the checks, no trial was started: "
            + " | ".join(
                f"{gate.row} {gate.measured}, expected {gate.expected}; {gate.reason}; {gate.fix}"
                for gate in report.failures
            )
        )
    say(f"open: all {len(report.gates)} checks hold")
