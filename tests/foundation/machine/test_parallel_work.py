"""Results in order, errors as they are raised, and a killed worker is said."""

import os
import signal
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sanefit.components.foundation.errors import DataError, RunFailedError
from sanefit.components.foundation.machine.parallel_work import working_in_parallel


def square(number: int) -> tuple[int, int]:
    return number * number, os.getpid()


def refuse_seven(number: int) -> int:
    if number == 7:
        raise DataError("seven is refused")
    return number


def die_at_three(number: int) -> int:
    if number == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    return number


@pytest.mark.slow
@settings(max_examples=15, deadline=None)
@given(st.lists(st.integers(-99, 99), max_size=30), st.integers(1, 4))
def test_results_come_in_the_order_of_the_tasks(tasks: list[int], workers: int) -> None:
    with working_in_parallel(workers) as in_parallel:
        assert [result for result, _ in in_parallel(square, tasks)] == [task * task for task in tasks]
        assert [result for result, _ in in_parallel(square, tasks[::-1])] == [task * task for task in tasks[::-1]]


def test_many_tasks_run_in_other_processes_and_one_alone_in_this() -> None:
    with working_in_parallel(2) as in_parallel:
        assert os.getpid() not in {process for _, process in in_parallel(square, range(20))}
        assert [process for _, process in in_parallel(square, [1])] == [os.getpid()]


@pytest.mark.parametrize("workers", [1, 2])
def test_tasks_are_taken_as_results_are(workers: int) -> None:
    taken = []

    def endless() -> Iterator[int]:
        number = 0
        while True:
            taken.append(number)
            yield number
            number += 1

    with working_in_parallel(workers) as in_parallel:
        results = in_parallel(square, endless())
        assert [next(results)[0] for _ in range(10)] == [number**2 for number in range(10)]
        assert len(taken) <= 10 + 2 * workers + 2


@pytest.mark.parametrize("workers", [1, 2])
def test_what_a_task_raises_is_raised(workers: int) -> None:
    with pytest.raises(DataError, match="seven is refused"), working_in_parallel(workers) as in_parallel:
        list(in_parallel(refuse_seven, range(20)))


def test_a_killed_worker_is_an_error_of_one_line_and_no_hang() -> None:
    with pytest.raises(RunFailedError, match="was killed") as caught, working_in_parallel(2) as in_parallel:
        list(in_parallel(die_at_three, range(20)))
    assert "\n" not in str(caught.value)
