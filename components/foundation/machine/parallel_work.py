"""Work on all cores, in other processes: Python's lock lets one thread at a time decode."""

import ctypes
import multiprocessing
import os
import signal
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from itertools import islice
from typing import Literal, Protocol, TypeVar

from sanefit.components.foundation.errors import RunFailedError
from sanefit.components.foundation.storage import cloud_store

PR_SET_PDEATHSIG = 1  # of Linux's prctl
AHEAD = 2  # tasks for each worker that wait, or whose results wait
Task = TypeVar("Task")
Result = TypeVar("Result")


class InParallel(Protocol):
    """A function on each of many tasks; results come in the order of the tasks, and what it raises is raised.

    Function, tasks and results can be pickled. Tasks are taken as workers get free, so there may be more than fit into
    memory. A single task is worked on in this process.
    """

    def __call__(self, function: Callable[[Task], Result], tasks: Iterable[Task], /) -> Iterator[Result]:
        """Yield the results."""


def end_with_parent(parent: int | None = None) -> None:
    """Let this process be killed when the one that started it ends, however that ends (Linux alone).

    Args:
        parent: its number, where it may have ended before this was called.
    """
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if parent is not None and os.getppid() != parent:
        os._exit(1)


def start_method() -> Literal["fork", "spawn"]:
    """How processes begin that may reach the storage.

    Forked, for a start from nothing takes longer than decoding ten thousand small images; but a fork cannot reach
    Google's or Azure's storage once its parent has.
    """
    return "spawn" if cloud_store.is_in_use() else "fork"


@contextmanager
def working_in_parallel(workers: int) -> Iterator[InParallel]:
    """So many processes, which start when they are needed; one worker is this process.

    Raises:
        RunFailedError: when a worker was killed.
    """
    if workers == 1:
        yield map
        return
    pool = ProcessPoolExecutor(workers, multiprocessing.get_context(start_method()))

    def in_parallel(function: Callable[[Task], Result], tasks: Iterable[Task], /) -> Iterator[Result]:
        waiting = iter(tasks)
        first = list(islice(waiting, 2))
        if len(first) < 2:
            yield from map(function, first)
            return
        results: deque[Future[Result]] = deque(pool.submit(function, task) for task in first)
        results.extend(pool.submit(function, task) for task in islice(waiting, AHEAD * workers - len(first)))
        while results:
            yield results.popleft().result()
            results.extend(pool.submit(function, task) for task in islice(waiting, 1))

    try:
        yield in_parallel
    except BrokenProcessPool as error:
        raise RunFailedError(
            "a process that reads images was killed; expected it to end by itself; it may have run out of memory: "
            "allow more of it, or lower data.image_size"
        ) from error
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
