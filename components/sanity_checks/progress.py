"""Lines of progress, with an estimate of the time that is left, on what takes long."""

from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

from sanefit.components.foundation.machine.forked_work import side_by_side
from sanefit.components.sanity_checks.setup import Setup

EVERY = 5.0  # seconds
Result = TypeVar("Result")


def told(
    setup: Setup, what: str, pieces: Sequence[Callable[[], Result]], workers: int | None = None
) -> Iterator[Result]:
    """What each piece of work gives, in their order, as ``side_by_side`` yields it.

    Args:
        setup: says how many workers there are, takes the lines, and has the clock.
        what: the pieces are, as in ``learning rates probed``.
        pieces: the work.
        workers: where fewer are to be used.
    """
    started = last = setup.clock()
    for number, result in enumerate(side_by_side(pieces, workers or setup.workers), start=1):
        yield result
        now = setup.clock()
        if now - last >= EVERY and number < len(pieces):
            last = now
            setup.say(f"{what}: {progress(now - started, number, len(pieces))}")


def progress(seconds: float, done: int, pieces: int) -> str:
    """How many of the pieces are done after so many seconds, and how long the others may take."""
    return f"{done} of {pieces}, about {seconds / done * (pieces - done):.0f} s left"
