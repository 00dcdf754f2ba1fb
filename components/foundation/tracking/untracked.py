"""Results that MLflow did not take: they wait in the run's folder, and are written as soon as it answers again.

Writing one is idempotent as a whole, not request by request: where a server was killed before it could answer, a client
that repeats its request would create a run a second time. So it repeats nothing here.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

from mlflow.exceptions import MlflowException
from pydantic import Field, ValidationError

from sanefit.components.foundation.clock import Clock, Sleep
from sanefit.components.foundation.errors import StorageError, first_cause
from sanefit.components.foundation.schemas.bases import Artifact
from sanefit.components.foundation.schemas.runs import RunReference
from sanefit.components.foundation.step_lines.step_log import Say
from sanefit.components.foundation.storage import object_store
from sanefit.components.foundation.storage.layout import Storage
from sanefit.components.foundation.storage.object_store import join
from sanefit.components.foundation.tracking.child_runs import ChildRun, log_child_run
from sanefit.components.foundation.tracking.connection import Client, asking_once, connect
from sanefit.components.foundation.tracking.runs import log_summary, tag_run

QUIET_SECONDS = 10.0  # after a failure: a server that hangs would keep each of hundreds of trials waiting
AGAIN_SECONDS = 2.0
FILL_IN_SECONDS = 60.0
# What MLflow says of a request that it will not take the next time either; all else is an outage.
REFUSALS = ("INVALID_PARAMETER_VALUE", "INVALID_STATE", "RESOURCE_DOES_NOT_EXIST", "PERMISSION_DENIED")
Answer = Literal["taken", "refused", "away"]


class Untracked(Artifact):
    """What is to be written: a ``child`` run, or ``figures`` and ``tags`` of the run itself.

    ``at``: the time of the figures, in epoch seconds.
    """

    child: ChildRun | None = None
    figures: dict[str, float] = Field(default={})
    tags: dict[str, str] = Field(default={})
    at: float = 0.0

    @property
    def name(self) -> str:
        """Unique in a run."""
        return self.child.name if self.child else "figures"

    def log(self, run: RunReference) -> Callable[[Client], None]:
        """What writes it, given a client; where it was written before, in part or whole, only what is missing."""

        def write(tracking: Client) -> None:
            if self.child:
                log_child_run(tracking, run, self.child)
            if self.figures:
                log_summary(tracking, run.tracking_run_id, self.figures, self.at)
            for tag, value in self.tags.items():
                tag_run(tracking, run.tracking_run_id, tag, value)

        return write


@dataclass
class Outbox:
    """The way of a run's results to MLflow.

    ``kept``: names of those that wait in the run's folder; ``refused``: of those that do, but that an MLflow which
    answers does not take. ``reason``: of the last failure. ``quiet_until``: by the clock, until when it is not asked.
    ``tracking``: makes a client; a server that is gone may refuse that, too.
    """

    run: RunReference
    tracking: Callable[[], Client]
    clock: Clock = time.monotonic
    kept: list[str] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    reason: str = ""
    quiet_until: float = float("-inf")

    @property
    def folder(self) -> str:
        """Where results wait."""
        return Storage(self.run.storage).run(self.run.run_name).untracked

    @property
    def left(self) -> list[str]:
        """Names of whatever is not in MLflow."""
        return [*self.refused, *self.kept]

    def write(self, result: Untracked) -> None:
        """Write a result, after those that wait; it waits with them when MLflow does not take it.

        Raises:
            StorageError: when neither MLflow nor the storage takes it.
        """
        answer = self._ask(result.log(self.run)) if self.clock() >= self.quiet_until and self.fill_in() else "away"
        if answer == "taken":
            return
        object_store.write_bytes(self._uri(result.name), result.model_dump_json().encode())
        (self.refused if answer == "refused" else self.kept).append(result.name)

    def fill_in(self) -> bool:
        """Write what waits, until MLflow is away again; whether nothing waits any more."""
        while self.kept:
            answer = self._written(self._uri(self.kept[0]))
            if answer == "away":
                return False
            name = self.kept.pop(0)
            if answer == "refused":
                self.refused.append(name)
        return True

    def try_once(self, tell: Callable[[Client], None]) -> None:
        """Tell MLflow what is not worth keeping: nothing is lost when it does not take it."""
        if self.clock() >= self.quiet_until:
            self._ask(tell)

    def _uri(self, name: str) -> str:
        return join(self.folder, f"{name}.json")

    def _written(self, uri: str) -> Answer:
        try:
            result = Untracked.model_validate_json(object_store.read_bytes(uri))
        except (StorageError, ValidationError) as error:
            self.reason = f"{uri!r}: {first_cause(error)}"
            return "refused"
        answer = self._ask(result.log(self.run))
        if answer == "taken":
            object_store.remove(uri)
        return answer

    def _ask(self, tell: Callable[[Client], None]) -> Answer:
        try:
            with asking_once():
                tell(self.tracking())
        except Exception as error:  # whatever it is: what was trained is not lost for it
            self.reason = first_cause(error)
            if isinstance(error, MlflowException) and error.error_code in REFUSALS:
                return "refused"
            self.quiet_until = self.clock() + QUIET_SECONDS
            return "away"
        return "taken"


def fill_in_untracked(
    run: RunReference,
    say: Say,
    *,
    patience: float = FILL_IN_SECONDS,
    clock: Clock = time.monotonic,
    sleep: Sleep = time.sleep,
) -> bool:
    """Write to MLflow what steps before could not; whether nothing is left.

    No step before may be at work still: two that write the same result would write it twice.

    Args:
        run: whose results wait.
        say: prints a line, when anything waited.
        patience: seconds for which MLflow is asked again.
        clock, sleep: in seconds.
    """
    outbox = Outbox(run, lambda: connect(run.tracking_uri), clock)
    outbox.kept = [name.removesuffix(".json") for name in object_store.list_files(outbox.folder)]
    waiting, until = len(outbox.kept), clock() + patience
    while not outbox.fill_in() and clock() < until:
        sleep(AGAIN_SECONDS)
    if written := waiting - len(outbox.left):
        say(f"{written} of {waiting} results that MLflow had not taken are in it now")
    if outbox.left:
        say(not_taken(outbox))
    return not outbox.left


def not_taken(outbox: Outbox) -> str:
    """A warning, in one line."""
    return (
        f"warning: MLflow at {outbox.run.tracking_uri!r} does not take {len(outbox.left)} results ({outbox.reason}); "
        f"they wait in {outbox.folder!r}, and the next step writes them"
    )
