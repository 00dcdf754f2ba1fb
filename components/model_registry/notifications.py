"""What others are told: that a version is champion, that a run has failed."""

import os
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Literal

from pydantic import ValidationError

from sanefit.components.foundation.schemas.bases import Artifact
from sanefit.components.foundation.schemas.registry import RegistrySettings
from sanefit.components.foundation.schemas.runs import CHAMPION, Alias, Registration, RunReference
from sanefit.components.foundation.step_lines.step_log import Say
from sanefit.components.foundation.tracking.connection import connect
from sanefit.components.foundation.tracking.models import tag_version, tags_of_version
from sanefit.components.foundation.tracking.tags import NOTIFIED_TAG
from sanefit.components.model_registry.delivery import PATIENCE, Patience, deliver


class Promoted(Artifact):
    """A version is champion; as in ``Registration``. ``text``: the same in a sentence, as chats show it."""

    event: Literal["promoted"] = "promoted"
    text: str
    run_name: str
    model_name: str
    model_version: str
    model_uri: str
    alias: Alias
    test_accuracy: float
    champion_version_before: str | None
    reason: str


class Failed(Artifact):
    """A run has failed. ``text``: the same in a sentence, as chats show it."""

    event: Literal["failed"] = "failed"
    text: str
    run_name: str
    model_name: str
    reason: str


class Missed(Artifact):
    """A schedule started no run when one was due. ``text``: the same in a sentence, as chats show it."""

    event: Literal["missed"] = "missed"
    text: str
    schedule: str
    reason: str


def tell_promotion(
    settings: RegistrySettings,
    registration: Registration,
    run: RunReference,
    say: Say,
    *,
    environment: Mapping[str, str] = os.environ,
    patience: Patience = PATIENCE,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> None:
    """Tell of a version that became champion, once: a step that is repeated finds on the version that it was told.

    Args:
        settings: say whom.
        registration: of the version; nothing is told of a challenger.
        run: its run.
        say: prints a line, a warning when it could not be told.
        environment: holds the address, where it is a secret.
        patience: how long it may take.
        now: the time.
    """
    if registration.alias != CHAMPION or not (settings.notify_url or settings.notify_command):
        return
    name, version = registration.model_name, registration.model_version
    try:
        tracking = connect(run.tracking_uri)
        if NOTIFIED_TAG in tags_of_version(tracking, name, version):
            return
        text = f"{registration.model_uri} is champion, by run {run.run_name}: {registration.reason}"
        fields = registration.model_dump(include=set(Promoted.model_fields))
        if _tell(settings, Promoted(text=text, run_name=run.run_name, **fields), say, environment, patience):
            tag_version(tracking, name, version, NOTIFIED_TAG, now().isoformat(timespec="seconds"))
    except Exception as error:  # MLflow's; the version is registered, and the run goes on
        say(f"warning: whether others were told of the promotion cannot be kept in MLflow: {type(error).__name__}")


def tell_failure(
    settings: RegistrySettings,
    model_name: str,
    run_name: str,
    failure: str,
    say: Say,
    *,
    environment: Mapping[str, str] = os.environ,
    patience: Patience = PATIENCE,
) -> None:
    """Tell of a run that has failed; of none when ``failure``, the reason, is empty. Otherwise as above."""
    if failure:
        text = f"Run {run_name} of {model_name} failed: {failure}"
        failed = Failed(text=text, run_name=run_name, model_name=model_name, reason=failure)
        _tell(settings, failed, say, environment, patience)


def tell_missed_schedule(
    registry: str,
    schedule: str,
    reason: str,
    say: Say,
    *,
    environment: Mapping[str, str] = os.environ,
    patience: Patience = PATIENCE,
) -> None:
    """Tell of a schedule that started no run, each time that it is found so. Otherwise as above.

    Args:
        registry: the section of the schedule's configuration, JSON; of an earlier version, perhaps, which tells nobody.
        schedule: its name.
        reason: in words.
        say, environment, patience: as above.
    """
    try:
        settings = RegistrySettings.model_validate_json(registry)
    except ValidationError:
        say(f"warning: schedule {schedule!r} is of another version of sanefit, and nobody was told; set it again")
        return
    missed = Missed(text=f"Schedule {schedule}: {reason}", schedule=schedule, reason=reason)
    _tell(settings, missed, say, environment, patience)


def _tell(
    settings: RegistrySettings,
    what: Promoted | Failed | Missed,
    say: Say,
    environment: Mapping[str, str],
    patience: Patience,
) -> bool:
    """Whether it was delivered."""
    delivery = deliver(what.model_dump_json(), settings, environment, patience)
    if delivery is None:
        return False
    if delivery.failure:
        say(f"warning: {delivery.recipient} was not told ({what.event}): {delivery.failure}")
        return False
    say(f"{delivery.recipient} was told ({what.event})")
    return True
