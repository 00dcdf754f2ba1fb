"""Where the record of a run is read, and what is said when it is read nowhere."""

from collections.abc import Callable
from pathlib import Path

import pytest
from kubeflow_api_double import KubeflowDouble
from kubeflow_store import Look

from sanefit.components.foundation.errors import StorageError
from sanefit.components.foundation.schemas.run_record import RunRecord, StepRecord
from sanefit.components.foundation.storage import object_store
from sanefit.components.foundation.storage.layout import Storage, name_of_clone
from sanefit.pipeline.kubeflow.client.api import Kubeflow
from sanefit.pipeline.kubeflow.runs.cluster_runs import find_run
from sanefit.pipeline.kubeflow.runs.run_record import RecordReader, require_answer
from sanefit.pipeline.kubeflow.runs.submit import submit
from sanefit.pipeline.settings.run_config import RunConfig

pytestmark = pytest.mark.slow

TRACKING_URI = "http://mlflow.mlflow.svc:5000"


def record(step: str) -> RunRecord:
    return RunRecord(steps=[StepRecord(step=step, state="running", started=1.0)])


class Tracked:
    """MLflow: gives records by address, and counts who asks."""

    def __init__(self, **records: RunRecord) -> None:
        self.records, self.asked = records, list[tuple[str, str]]()

    def __call__(self, tracking_uri: str, job_id: str) -> RunRecord:
        self.asked.append((tracking_uri, job_id))
        if tracking_uri not in self.records:
            raise StorageError(f"MLflow at {tracking_uri!r} cannot be asked: HTTP 500; start it")
        return self.records[tracking_uri]


@pytest.fixture
def run(double: KubeflowDouble, kubeflow: Kubeflow, config: RunConfig, tmp_path: Path) -> Callable[..., object]:
    """A run whose storage is a folder, or what the configuration says."""
    double.store.script = [Look("RUNNING", 1)]
    submitted = submit(config, kubeflow, "digits-1")

    def fetched(storage: str | None = str(tmp_path)) -> object:
        if storage is not None:
            double.store.runs[submitted.run_id]["runtime_config"]["parameters"]["storage"] = storage
        return find_run(kubeflow, "digits-1")

    return fetched


def keep(storage: Path, run_name: str, step: str) -> None:
    [said] = record(step).steps
    object_store.write_bytes(Storage(str(storage)).run(run_name).step(step), said.model_dump_json().encode())


def test_the_storage_is_asked_first_and_mlflow_only_while_it_has_nothing(
    run: Callable[..., object], tmp_path: Path
) -> None:
    tracked = Tracked(sqlite=record("gate"))
    reader = RecordReader(tracked, {"MLFLOW_TRACKING_URI": "sqlite"})
    assert reader(run()) == record("gate")
    keep(tmp_path, "digits-1", "train")
    assert reader(run()) == record("train")
    assert len(tracked.asked) == 1
    assert reader.hint(run()) == ""


def test_a_cloned_run_has_a_record_of_its_own(run: Callable[..., object], tmp_path: Path) -> None:
    found = run()
    keep(tmp_path, "digits-1", "register")
    keep(tmp_path, name_of_clone("digits-1", found.run_id), "gate")  # type: ignore[attr-defined]
    assert RecordReader(Tracked(), {})(found) == record("gate")


def test_mlflow_is_asked_at_the_address_that_answers_here(run: Callable[..., object]) -> None:
    tracked = Tracked(sqlite=record("gate"))
    found = run(None)
    reader = RecordReader(tracked, {"MLFLOW_TRACKING_URI": "sqlite"})
    assert reader(found) == record("gate")
    assert tracked.asked == [("sqlite", found.run_id)]  # type: ignore[attr-defined]
    assert list(reader.refusals) == ["s3://bucket/sanefit"]


def test_inside_the_cluster_its_own_address_is_asked(
    run: Callable[..., object], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("socket.create_connection", lambda *_, **__: _Closed())
    tracked = Tracked(**{TRACKING_URI: record("gate")})
    assert RecordReader(tracked, {"KUBERNETES_SERVICE_HOST": "10.0.0.1"})(run("")) == record("gate")


class _Closed:
    def close(self) -> None:
        pass


def test_where_nothing_answers_it_is_said_what_would(run: Callable[..., object]) -> None:
    reader = RecordReader(Tracked(), {})
    assert reader(run(None)) == RunRecord()
    hint = reader.hint(run(None))
    assert "s3://bucket/sanefit: it does not answer" in hint
    assert "MLflow at mlflow.mlflow.svc:5000: 'mlflow.mlflow.svc' is a name inside the cluster" in hint
    assert "kubectl -n mlflow port-forward svc/mlflow 5000, and MLFLOW_TRACKING_URI=http://127.0.0.1:5000" in hint
    assert "\n" not in hint


def test_a_place_that_never_answered_is_not_asked_again(run: Callable[..., object]) -> None:
    tracked = Tracked()
    reader = RecordReader(tracked, {"MLFLOW_TRACKING_URI": "sqlite"})
    for _ in range(3):
        assert reader(run(None)) == RunRecord()
    assert len(tracked.asked) == 1


def test_a_place_that_answered_is_asked_again_and_its_last_word_kept(run: Callable[..., object]) -> None:
    tracked = Tracked(sqlite=record("gate"))
    reader = RecordReader(tracked, {"MLFLOW_TRACKING_URI": "sqlite"})
    assert reader(run(None)) == record("gate")
    kept = tracked.records.pop("sqlite")
    assert reader(run(None)) == kept
    tracked.records["sqlite"] = record("train")
    assert reader(run(None)) == record("train")


def test_no_password_of_an_address_is_shown(run: Callable[..., object]) -> None:
    reader = RecordReader(Tracked(), {"MLFLOW_TRACKING_URI": "http://user:secret@127.0.0.1:9"})
    reader(run(None))
    assert "secret" not in reader.hint(run(None))


@pytest.mark.parametrize("url", ["http://[", "http://127.0.0.1:9", "https://127.0.0.1:9", "http://127.0.0.1:99999"])
def test_an_address_that_does_not_answer(url: str) -> None:
    with pytest.raises(StorageError, match="does not answer"):
        require_answer(url, {})
