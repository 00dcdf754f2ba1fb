"""What registration needs of MLflow, tried before anything is trained, and waited for afterwards."""

import time
from collections.abc import Callable
from typing import TypeVar

from mlflow.entities import LifecycleStage
from mlflow.exceptions import MlflowException

from sanefit.components.foundation.clock import Clock, Sleep
from sanefit.components.foundation.errors import RunFailedError, SettingsError, StorageError, first_cause, first_line
from sanefit.components.foundation.schemas.runs import CHAMPION
from sanefit.components.foundation.step_lines.step_log import Say
from sanefit.components.foundation.tracking.connection import Client, asking_once
from sanefit.components.foundation.tracking.models import champion_version, why_not_loaded

Answer = TypeVar("Answer")
PATIENCE_SECONDS, AGAIN_SECONDS = 300.0, 2.0
GONE = "RESOURCE_DOES_NOT_EXIST"
TRAINED = "what is trained is not trained again"
SERVER = "expected a tracking server of MLflow"
# What a server answers that is none, or takes no requests of this user.
ANSWERS = (
    ("error code 401", "it asks who you are (HTTP 401)", "set MLFLOW_TRACKING_USERNAME and _PASSWORD, or _TOKEN"),
    ("UNAUTHENTICATED", "it asks who you are (HTTP 401)", "set MLFLOW_TRACKING_USERNAME and _PASSWORD, or _TOKEN"),
    ("PERMISSION_DENIED", "it refuses this user (HTTP 403)", "ask for permission, or use another account"),
    ("error code 403", "it refuses this user (HTTP 403)", "ask for permission, or use another account"),
    ("error code 404", "it has no such address (HTTP 404)", "correct MLFLOW_TRACKING_URI: a prefix may be missing"),
    ("not in a valid JSON", "it answers with a page, as of a login", "correct MLFLOW_TRACKING_URI, or pass the login"),
)


def require_server(tracking: Client, experiment: str) -> None:
    """Raise StorageError unless what the tracking URI names is MLflow, takes requests and has the experiment, if any.

    Raises:
        SettingsError: when the experiment is deleted.
    """
    try:
        found = tracking.get_experiment_by_name(experiment)
    except MlflowException as error:
        raise _not_usable(tracking.tracking_uri, error) from error
    if found is not None and found.name != experiment:  # {} is an answer, too
        raise StorageError(f"{tracking.tracking_uri!r} answers, but is no MLflow; {SERVER}; correct the address")
    if found is not None and found.lifecycle_stage == LifecycleStage.DELETED:
        raise SettingsError(
            f"MLflow's experiment {experiment!r} is deleted; expected one that takes runs; restore it (`mlflow "
            f"experiments restore -x {found.experiment_id}`), or choose another name"
        )


def require_free_name(tracking: Client, model_name: str) -> None:
    """Raise SettingsError when a prompt has the name: MLflow keeps prompts and models in one list."""
    try:
        prompt = tracking.get_prompt(model_name)
    except MlflowException as error:
        if error.error_code == "ENDPOINT_NOT_FOUND":  # a server from before there were prompts
            return
        raise _not_usable(tracking.tracking_uri, error) from error
    if prompt is not None:
        raise SettingsError(
            f"name={model_name!r} is a prompt's in MLflow; expected a name that no prompt has; choose another"
        )


def require_writable_artifacts(tracking: Client, run_id: str, file: str, content: str) -> None:
    """Keep a file with a run: whoever cannot would notice when the model is to be kept, hours later.

    Raises:
        StorageError: when the artifact store cannot be written from here.
    """
    try:
        tracking.log_text(run_id, content, file)
    except Exception as error:  # of whichever store it is: boto3's, an HTTP client's, the file system's
        raise StorageError(
            f"MLflow's artifact store at {tracking.get_run(run_id).info.artifact_uri!r} cannot be written from here: "
            f"{first_line(error)}; expected a store that takes files; check its address and credentials"
        ) from error


def why_champion_not_loaded(tracking: Client, model_name: str) -> str:
    """One line; empty when there is no champion, or its files are there."""
    version = champion_version(tracking, model_name)
    if version is None:
        return ""
    reason = why_not_loaded(f"models:/{model_name}@{CHAMPION}")
    return reason and f"champion version {version} cannot be loaded ({reason})"


def patiently(
    ask: Callable[[], Answer],
    tracking_uri: str,
    say: Say,
    *,
    patience: float = PATIENCE_SECONDS,
    clock: Clock = time.monotonic,
    sleep: Sleep = time.sleep,
) -> Answer:
    """What MLflow answers, as soon as it answers.

    Args:
        ask: asks it; may be called again.
        tracking_uri: of MLflow.
        say: prints a line when it has to be waited for.
        patience: in seconds.
        clock, sleep: in seconds.

    Raises:
        RunFailedError: when it does not answer.
        MlflowException: when what is asked for is not there.
    """
    until, waiting = clock() + patience, False
    while True:
        try:
            with asking_once():
                return ask()
        except Exception as error:  # an HTTP client's, a database's
            if isinstance(error, MlflowException) and error.error_code == GONE:
                raise
            if clock() >= until:
                raise RunFailedError(
                    f"MLflow at {tracking_uri!r} has not answered for {patience:.0f} s: {first_cause(error)}; "
                    f"{SERVER}; start it, and run again: {TRAINED}"
                ) from error
            if not waiting:
                say(f"waiting for MLflow at {tracking_uri!r}: {first_cause(error)}")
                waiting = True
            sleep(AGAIN_SECONDS)


def wait_for_run(tracking: Client, run_id: str, say: Say) -> None:
    """Wait until MLflow answers, and has the run.

    Raises:
        RunFailedError: when it does not answer, or the run was deleted.
    """
    try:
        run = patiently(lambda: tracking.get_run(run_id), tracking.tracking_uri, say)
    except MlflowException as error:
        raise _run_deleted(run_id, "no command brings it back") from error
    if run.info.lifecycle_stage == LifecycleStage.DELETED:
        raise _run_deleted(run_id, f"`mlflow runs restore --run-id {run_id}` brings it back")


def _run_deleted(run_id: str, way_out: str) -> RunFailedError:
    return RunFailedError(
        f"MLflow's run {run_id} of this training was deleted meanwhile; expected it, for a version belongs to a run; "
        f"{way_out}; run again: {TRAINED}"
    )


def _not_usable(uri: str, error: MlflowException) -> StorageError:
    text = str(error)
    for mark, what, fix in ANSWERS:
        if mark in text:
            return StorageError(f"{uri!r}: {what}; {SERVER}; {fix}")
    return StorageError(
        f"cannot use MLflow at {uri!r}: {first_line(error)}; expected a reachable tracking server; "
        "set MLFLOW_TRACKING_URI"
    )
