"""A run that fails on a disk without room says so: what its step met first tells little."""

import shutil
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from sanefit.components.foundation.errors import StorageError
from sanefit.components.foundation.step_lines.line_forms import StepError

if TYPE_CHECKING:
    from sanefit.pipeline.local.local_run import LocalOutcome

LEAST_ROOM = 4 * 2**20  # bytes; MLflow's empty store takes one of them


def told_when_full(outcome: "LocalOutcome", workdir: Path) -> "LocalOutcome":
    """The same, but that a run that failed on a full disk says so."""
    met = outcome.error.message if outcome.error else ""
    if outcome.succeeded or not (reason := _why_full(workdir, met)):
        return outcome
    return replace(outcome, error=StepError("run", reason, StorageError.exit_status))


def require_room(workdir: Path, error: BaseException) -> None:
    """Raise StorageError in an error's place when next to nothing is left on the disk."""
    if isinstance(error, Exception) and (reason := _why_full(workdir)):
        raise StorageError(reason) from None


def _why_full(workdir: Path, met: str = "") -> str:
    free = shutil.disk_usage(workdir).free
    if free >= LEAST_ROOM:
        return ""
    return (
        f"no space left in {str(workdir)!r}: {free / 2**20:.1f} MiB are free; expected room for decoded images, "
        "weights and MLflow; free some and run again, or set another --workdir" + (f" (it met: {met})" if met else "")
    )
