"""Pieces of work side by side, each in a process that is forked for it: they share what was there before."""

import multiprocessing
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import TypeVar

import torch

from sanefit.components.foundation.errors import RunFailedError
from sanefit.components.foundation.machine.parallel_work import end_with_parent

Result = TypeVar("Result")
_pieces: Sequence[Callable[[], object]] = ()  # of the process that forks


def side_by_side(pieces: Sequence[Callable[[], Result]], workers: int) -> Iterator[Result]:
    """What each piece of work gives, in their order; those not asked for any more are not begun.

    Each computes with one thread, so that what it gives does not depend on how many workers there are. Pieces need not
    be picklable, what they give must be. Nothing is forked for one worker or one piece, nor where a fork could not
    compute gradients: pieces are then worked on here, one after another.

    Args:
        pieces: functions that leave what they share as it is.
        workers: processes; 1 where a GPU is in use, which does not survive a fork.

    Raises:
        RunFailedError: when a worker was killed.
    """
    if min(workers, len(pieces)) < 2 or not gradients_survive_a_fork():
        yield from (piece() for piece in pieces)
        return
    global _pieces
    _pieces = pieces
    fork = multiprocessing.get_context("fork")
    pool = ProcessPoolExecutor(min(workers, len(pieces)), fork, _begin, (os.getpid(),))
    try:
        waiting = [pool.submit(_work, number) for number in range(len(pieces))]
        for future in waiting:
            yield future.result()  # type: ignore[misc]  # a pool does not know what its tasks give
    except BrokenProcessPool as error:
        raise RunFailedError(
            "a process of the checks was killed; expected it to end by itself; it may have run out of memory: allow "
            "more of it, or lower optimizer.batch_size"
        ) from error
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
        _pieces = ()


def gradients_survive_a_fork() -> bool:
    """Whether processes forked from this one can compute gradients.

    They cannot once autograd has begun threads of its own here: at the first gradients where there is a GPU, even if
    only the CPU is used, or where fake tensors came before them (an export makes some), and at gradients within
    gradients, sixty deep. PyTorch refuses rather than hangs. One process is forked to see.
    """
    process = multiprocessing.get_context("fork").Process(target=_compute_a_gradient)
    process.start()
    process.join()
    return process.exitcode == 0


def _compute_a_gradient() -> None:
    torch.set_num_threads(1)
    try:
        torch.ones(1, requires_grad=True).sum().backward()
    except RuntimeError:
        os._exit(1)


def _begin(parent: int) -> None:
    end_with_parent(parent)
    torch.set_num_threads(1)


def _work(number: int) -> object:
    return _pieces[number]()
