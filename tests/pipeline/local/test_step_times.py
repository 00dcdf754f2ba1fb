import pytest
from hypothesis import given
from hypothesis import strategies as st

from sanefit.components.foundation.step_lines.line_forms import StepTiming
from sanefit.pipeline.local.step_times import covered, outside_share, step_times


def test_steps_side_by_side_count_once_outside() -> None:
    timings = [
        StepTiming("data", 0.5, 1, 2),
        StepTiming("pack 2", 2.5, 4, 8),
        StepTiming("pack 1", 2.5, 3, 7),
    ]
    # Computing from 1 to 2 and from 3 to 8: 6 of 10 seconds.
    assert outside_share(timings, started=0, ended=10) == pytest.approx(0.4)
    steps = step_times(timings, started=0, ended=10)
    assert [step["step"] for step in steps] == ["data", "pack 1", "pack 2", "orchestration"]
    assert steps[1] == {"step": "pack 1", "computing_seconds": 4, "startup_seconds": 0.5}
    # Processes live from 0.5 to 2 and from 2.5 to 8: 7 of 10 seconds.
    assert steps[-1] == {"step": "orchestration", "seconds": 3}


def test_steps_that_share_a_process_start_it_once() -> None:
    timings = [StepTiming("snapshot", 1, 3, 5), StepTiming("identity", 1.004, 5.5, 6)]
    first, second, rest = step_times(timings, started=0, ended=6)
    assert (first["startup_seconds"], second["startup_seconds"]) == (2, 0.5)
    assert rest == {"step": "orchestration", "seconds": 1}


@given(st.lists(st.tuples(st.integers(0, 60), st.integers(0, 60)).map(lambda pair: (min(pair), max(pair)))))
def test_covered_counts_every_second_once(intervals: list[tuple[int, int]]) -> None:
    seconds = {second for start, end in intervals for second in range(start, end)}
    assert covered(intervals) == len(seconds)
