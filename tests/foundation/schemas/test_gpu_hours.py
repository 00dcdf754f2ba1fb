"""What the records of a run's steps add up to."""

import pytest

from sanefit.components.foundation.schemas.run_record import RunRecord, StepRecord


def step(gpus: int, hours: float | None, utilization: float | None) -> StepRecord:
    ended = None if hours is None else hours * 3600
    return StepRecord(step="train", state="succeeded", started=0.0, ended=ended, gpus=gpus, gpu_utilization=utilization)


@pytest.mark.parametrize(
    ("steps", "gpu_hours", "utilization"),
    [
        pytest.param([], 0.0, None, id="no step"),
        pytest.param([step(0, 2.0, None)], 0.0, None, id="no GPU"),
        pytest.param([step(2, 1.5, None)], 3.0, None, id="nobody looked"),
        pytest.param([step(1, None, 0.9), step(1, 1.0, 0.5)], 1.0, 0.5, id="one goes on"),
        pytest.param([step(1, 1.0, 0.9), step(3, 1.0, 0.1), step(4, 1.0, None)], 8.0, 0.3, id="weighted by GPU-hours"),
    ],
)
def test_gpu_hours_and_how_busy_they_were(steps: list[StepRecord], gpu_hours: float, utilization: float | None) -> None:
    record = RunRecord(steps=steps)
    assert record.gpu_hours == pytest.approx(gpu_hours)
    assert record.gpu_utilization == pytest.approx(utilization)
