"""How much of a local run was the steps' own computing."""

from collections.abc import Sequence
from typing import Any

from sanefit.components.foundation.step_lines.line_forms import StepTiming

CLOCK_ERROR = 0.1  # seconds; each step works out anew when its process began


def step_times(timings: Sequence[StepTiming], started: float, ended: float) -> list[dict[str, Any]]:
    """One entry per step, in order, and one named ``orchestration`` for the time between them.

    ``computing_seconds`` is the step's own work; ``startup_seconds`` is its interpreter's start,
    where it is the first step of its task, and its imports. Steps side by side count each for itself here, and once in
    ``outside_share``.

    Args:
        timings: of all steps.
        started, ended: of the whole run, epoch seconds.
    """
    ordered = sorted(timings, key=lambda timing: timing.started)
    steps: list[dict[str, Any]] = [
        {
            "step": timing.step,
            "computing_seconds": round(timing.ended - timing.started, 3),
            "startup_seconds": round(max(0.0, timing.started - _free_since(timing, ordered)), 3),
        }
        for timing in ordered
    ]
    alive = covered([(timing.process_started, timing.ended) for timing in ordered])
    steps.append({"step": "orchestration", "seconds": round(max(0.0, ended - started - alive), 3)})
    return steps


def _free_since(timing: StepTiming, all_of_them: Sequence[StepTiming]) -> float:
    """When the process of a step began, or ended the step before it: a task may run several."""
    of_process = [other for other in all_of_them if abs(other.process_started - timing.process_started) < CLOCK_ERROR]
    return max([timing.process_started, *(other.ended for other in of_process if other.ended <= timing.started)])


def outside_share(timings: Sequence[StepTiming], started: float, ended: float) -> float:
    """The share of the run's time in which no step was computing, 0 to 1."""
    return 1 - covered([(timing.started, timing.ended) for timing in timings]) / (ended - started)


def covered(intervals: Sequence[tuple[float, float]]) -> float:
    """The length of the union of intervals."""
    total, reached = 0.0, float("-inf")
    for start, end in sorted(intervals):
        total += max(0.0, end - max(start, reached))
        reached = max(reached, end)
    return total
