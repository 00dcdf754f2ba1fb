"""Whether a run could give anything new, against a real MLflow store."""

import gc
from collections.abc import Callable
from pathlib import Path

import pytest
from mlflow import MlflowClient
from said import Said

from sanefit.components.foundation.identity.training_identity import TrainingIdentity
from sanefit.components.foundation.schemas.training import EpochRecord
from sanefit.components.foundation.step_lines.step_log import running_step
from sanefit.components.foundation.storage.layout import Storage
from sanefit.components.foundation.storage.run_record import read_run_record
from sanefit.components.foundation.tracking.child_runs import ChildRun, log_child_run
from sanefit.components.foundation.tracking.connection import connect
from sanefit.components.model_registry.run_lifecycle import close_tracking_run, open_tracking_run
from sanefit.components.model_registry.run_origin import compare, unopened_run

pytestmark = pytest.mark.slow

IDENTITY = TrainingIdentity(images="f" * 64, code="c" * 64, torch="2.14", configuration="o" * 64, seed=0)
RECORD = EpochRecord(
    epoch=1, learning_rate=0.1, train_loss=1.0, train_accuracy=0.5, validation_loss=1.0, validation_accuracy=0.5
)

TRIAL = ChildRun(
    name="coarse-0",
    params={},
    tags={},
    epochs=[RECORD],
    summary={},
    started=1.0,
    ended=2e9,  # after its parent
    failed=False,
)


@pytest.fixture
def uri(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'mlflow.db'}"


@pytest.fixture
def run(tmp_path: Path, uri: str) -> Callable[..., str]:
    """Open a run with a trial in it, and close it, if it is to be; its id."""

    def ended(name: str, identity: TrainingIdentity = IDENTITY, state: str = "SUCCEEDED", model: str = "digits") -> str:
        opened = open_tracking_run(model, name, name, str(tmp_path), uri, identity, {}, Said())
        log_child_run(connect(uri), opened, TRIAL)
        if state:
            close_tracking_run(model, name, name, str(tmp_path), uri, state, "", Said())
        return opened.tracking_run_id

    return ended


@pytest.fixture
def compared(uri: str, said: Said) -> Callable[..., str]:
    """Compare, and take what was said."""

    def say(identity: TrainingIdentity = IDENTITY) -> str:
        outcome = compare(identity, "digits", uri, said)
        assert said[-1].startswith(outcome)
        return said[-1]

    return say


def test_without_a_finished_run_everything_is_news(compared: Callable[..., str], tmp_path: Path) -> None:
    assert compared() == "news: no run of this model has finished"
    assert not (tmp_path / "mlflow.db").exists(), "asking must not create a store"


def test_the_same_again_is_nothing_new(run: Callable[..., str], compared: Callable[..., str]) -> None:
    """There is no champion, nor any model: a run counts whatever became of its model."""
    run("first")
    assert compared().startswith("nothing new: run 'first' finished with the same images, code, torch,")


CHANGES = {name: f"other {name}" for name in ("images", "configuration", "code", "module", "weights", "torch")}


@pytest.mark.parametrize("part", [*CHANGES, "seed"])
def test_each_part_is_news_and_is_named(run: Callable[..., str], compared: Callable[..., str], part: str) -> None:
    run("first")
    other = IDENTITY.model_copy(update={part: CHANGES.get(part, 7)})
    assert compared(other) == f"news since run 'first': {part}"
    run("second", other)
    assert compared(IDENTITY.model_copy(update={"code": "third"})).startswith("news since run 'second': ")


def test_a_part_that_is_gone_is_news(run: Callable[..., str], compared: Callable[..., str]) -> None:
    run("first", IDENTITY.model_copy(update={"module": "m" * 64}))
    assert compared() == "news since run 'first': module"


def test_a_run_from_before_the_last_counts_too(run: Callable[..., str], compared: Callable[..., str]) -> None:
    run("first")
    run("second", IDENTITY.model_copy(update={"seed": 1}))
    assert compared().startswith("nothing new: run 'first'")


@pytest.mark.parametrize("state", ["FAILED", "CANCELLED", ""])
def test_a_run_that_failed_or_still_runs_does_not_count(
    run: Callable[..., str], compared: Callable[..., str], state: str
) -> None:
    run("first", state=state)
    assert compared() == "news: no run of this model has finished"


def test_a_deleted_run_does_not_count(run: Callable[..., str], compared: Callable[..., str], uri: str) -> None:
    MlflowClient(uri).delete_run(run("first"))
    assert compared() == "news: no run of this model has finished"


def test_a_run_of_another_model_does_not_count(run: Callable[..., str], compared: Callable[..., str]) -> None:
    run("first", model="letters")
    assert compared() == "news: no run of this model has finished"


def test_a_run_from_before_there_were_identities_does_not_count(
    run: Callable[..., str], compared: Callable[..., str], uri: str
) -> None:
    tracking = MlflowClient(uri)
    run_id = run("first")
    for tag in tracking.get_run(run_id).data.tags:
        if tag.startswith("sanefit.identity"):
            tracking.delete_tag(run_id, tag)
    assert compared() == "news: no run of this model has finished"


def test_the_version_that_the_finished_run_gave_is_said(
    run: Callable[..., str], compared: Callable[..., str], uri: str
) -> None:
    run_id = run("first")
    client = MlflowClient(uri)
    for name in ("digits", "digits-files"):
        client.create_registered_model(name)
        for _ in range(2):
            client.create_model_version(name, source="s3://somewhere")
        client.create_model_version(name, source="s3://somewhere", run_id=run_id)
    assert compared().startswith("nothing new: run 'first', which gave version 3, finished with the same images,")


JOB = "1edbf91d-f7dc"


def test_a_run_without_news_keeps_its_record_although_it_is_never_opened(tmp_path: Path, uri: str) -> None:
    assert unopened_run("news", "monday", JOB, str(tmp_path), uri) is None
    first = unopened_run("nothing new", "monday", JOB, str(tmp_path), uri)
    assert first is not None
    assert first.run_name == "monday"
    with running_step("compare") as say:
        say("nothing new: run 'sunday' finished with the same images")
        say.of(first)
    [kept] = read_run_record(Storage(str(tmp_path)).run("monday")).steps
    assert (kept.state, kept.said) == ("succeeded", "nothing new: run 'sunday' finished with the same images")
    clone = unopened_run("nothing new", "monday", JOB, str(tmp_path), uri)
    assert clone is not None
    assert clone.run_name == "monday-1edbf91d"
    gc.unfreeze()
