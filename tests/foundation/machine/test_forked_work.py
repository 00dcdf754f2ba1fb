"""Pieces of work in forked processes give what they give here."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from functools import partial

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sanefit.components.foundation.errors import RunFailedError
from sanefit.components.foundation.machine.forked_work import side_by_side


def square(number: int) -> int:
    return number * number


@given(numbers=st.lists(st.integers(-100, 100), max_size=6), workers=st.integers(1, 3))
@settings(max_examples=15, deadline=None)
def test_results_come_in_the_order_of_the_pieces(numbers: list[int], workers: int) -> None:
    pieces = [partial(square, number) for number in numbers]
    assert list(side_by_side(pieces, workers)) == [number * number for number in numbers]


def test_pieces_need_not_be_picklable_and_have_one_thread_each() -> None:
    shared = torch.arange(3)

    def threads(factor: int) -> tuple[int, list[int], int]:
        return torch.get_num_threads(), (shared * factor).tolist(), os.getpid()

    found = list(side_by_side([lambda: threads(1), lambda: threads(2)], 2))
    assert [one[:2] for one in found] == [(1, [0, 1, 2]), (1, [0, 2, 4])]
    assert os.getpid() not in {one[2] for one in found}


def test_one_worker_is_this_process_and_works_as_results_are_asked_for() -> None:
    done = []
    pieces: list[Callable[[], None]] = [lambda: done.append(1), lambda: done.append(2)]
    results = side_by_side(pieces, 1)
    next(results)
    assert done == [1]


def test_what_a_piece_raises_is_raised() -> None:
    def fails() -> int:
        raise ValueError("of this piece")

    with pytest.raises(ValueError, match="of this piece"):
        list(side_by_side([fails, fails], 2))


def test_a_killed_worker_is_one_line() -> None:
    def dies() -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    with pytest.raises(RunFailedError, match="memory"):
        list(side_by_side([dies, dies], 2))


AFTER_FAKE_TENSORS = """
import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from sanefit.components.foundation.machine.forked_work import gradients_survive_a_fork, side_by_side

def slope(factor):
    number = torch.ones(1, requires_grad=True)
    (number * factor).sum().backward()
    return number.grad.item()

print(gradients_survive_a_fork())
with FakeTensorMode():
    torch.ones(2)
slope(1)  # autograd takes the fake GPU for one, and begins threads
print(gradients_survive_a_fork())
print(list(side_by_side([lambda: slope(2), lambda: slope(3)], 2)))
"""


def test_where_autograd_has_threads_pieces_are_worked_on_one_after_another() -> None:
    ended = subprocess.run([sys.executable, "-c", AFTER_FAKE_TENSORS], capture_output=True, text=True, check=True)
    assert ended.stdout.splitlines() == ["True", "False", "[2.0, 3.0]"]
