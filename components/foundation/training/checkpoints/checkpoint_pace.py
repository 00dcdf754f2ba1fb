"""When a training that may be interrupted writes down how far it has come."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

from sanefit.components.foundation.machine.termination import never

CHECKPOINT_SECONDS = 10.0  # at least between two checkpoints
CHECKPOINT_SHARE = 0.05  # of the time, at most, goes into them
Written = TypeVar("Written")


@dataclass(frozen=True)
class Interruptions:
    """What a training does about them.

    ``checkpoint_seconds``: at least between two checkpoints. ``stops``: whether this process is told to end before its
    work is done; can be pickled.
    """

    checkpoint_seconds: float = CHECKPOINT_SECONDS
    stops: Callable[[], bool] = never


AT_ANY_MOMENT = Interruptions()


@dataclass
class CheckpointPace:
    """Writes now and then, so that writing takes a small share of the time.

    ``clock``: seconds. ``seconds``: at least between two writes, and before the first.
    """

    clock: Callable[[], float]
    seconds: float = CHECKPOINT_SECONDS
    due: float = field(init=False)

    def __post_init__(self) -> None:
        self.due = self.clock() + self.seconds

    def is_due(self) -> bool:
        """Whether it is time."""
        return self.clock() >= self.due

    def write(self, write: Callable[[], Written]) -> Written:
        """Write, and see how long that takes; what ``write`` gives."""
        began = self.clock()
        written = write()
        ended = self.clock()
        self.due = ended + max(self.seconds, (ended - began) / CHECKPOINT_SHARE)
        return written
