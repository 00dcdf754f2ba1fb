"""SIGTERM as a question that long work asks between two steps: it is what a pod is sent before it is taken away."""

import contextlib
import signal
from collections.abc import Iterator
from types import FrameType

import psutil

_asked = False  # of this process, as the signal is


def never() -> bool:
    """The answer of work that nobody stops."""
    return False


def is_asked_to_stop() -> bool:
    """Whether SIGTERM has come since it is listened for."""
    return _asked


@contextlib.contextmanager
def listening_for_sigterm() -> Iterator[None]:
    """Let SIGTERM not end this process, but be passed on to all that it started, and be asked for.

    In the main thread alone, where Python lets signals be handled.
    """
    global _asked
    _asked = False
    before = signal.signal(signal.SIGTERM, _hear)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def listen_for_sigterm() -> None:
    """The same for a worker, to its end."""
    signal.signal(signal.SIGTERM, _hear)


def ignore_sigterm() -> None:
    """For a process that ends with the one that started it, which needs it until then."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)


def _hear(_number: int, _frame: FrameType | None) -> None:
    global _asked
    if _asked:  # a process group and a parent may both tell it
        return
    _asked = True
    for process in psutil.Process().children():
        with contextlib.suppress(psutil.NoSuchProcess):
            process.terminate()
