"""Checks are not repeated while nothing that they depend on has changed."""

from collections.abc import Callable

from sanefit.components.foundation.schemas.checks import CheckReport
from sanefit.components.foundation.step_lines.step_log import Say
from sanefit.components.foundation.storage.results import find_cached_result, load_result, store_cached_result
from sanefit.components.sanity_checks.checklist import gate_line

KIND = "checks"


def check_once(storage: str, key: str, check: Callable[[], CheckReport], say: Say) -> str:
    """A reference to the report of these checks: an earlier run's, or a new one.

    Args:
        storage: keeps the reports.
        key: a digest of all that the verdicts depend on.
        check: makes a new report; prints a line for each check.
        say: prints a line.

    Raises:
        StorageError: when the storage cannot be read or written.
    """
    known = find_cached_result(storage, KIND, key)
    if not known:
        report = check()
        return store_cached_result(storage, KIND, report, "" if report.out_of_time else key)
    say("found before with the same images, network, settings and code, and not repeated:")
    for gate in load_result(CheckReport, known).gates:
        say(gate_line(gate))
    return known
