"""List, find, stop, retry, show."""

from typing import Any

import pytest
from kubeflow_api_double import KubeflowDouble, Request
from kubeflow_store import Look

from sanefit.components.foundation.errors import RunFailedError, SettingsError
from sanefit.components.foundation.schemas.run_record import RunRecord
from sanefit.pipeline.kubeflow.client.api import Kubeflow
from sanefit.pipeline.kubeflow.client.errors import KubeflowError
from sanefit.pipeline.kubeflow.runs.cluster_runs import find_run, list_runs, retry_run, stop_run
from sanefit.pipeline.kubeflow.runs.run_summaries import columns, details, details_lines, look_into
from sanefit.pipeline.kubeflow.runs.submit import Submitted, submit
from sanefit.pipeline.settings.run_config import RunConfig

pytestmark = pytest.mark.slow

UNKNOWN = "11111111-2222-3333-4444-555555555555"


@pytest.fixture
def submitted(kubeflow: Kubeflow, config: RunConfig) -> Submitted:
    return submit(config, kubeflow, "digits-1")


def copies(double: KubeflowDouble, number: int, **changes: Any) -> None:
    """More runs like the one that is there, each a second younger."""
    [one] = [*double.store.runs.values()][:1]
    body = {key: one[key] for key in ("experiment_id", "pipeline_version_reference", "runtime_config")}
    for index in range(number):
        made = double.store.create_run({**body, "display_name": f"digits-copy-{index}"})
        made.update(changes)


def test_newest_first_and_no_more_than_asked_for(
    double: KubeflowDouble, kubeflow: Kubeflow, submitted: Submitted
) -> None:
    copies(double, 70)
    found = list_runs(kubeflow, 45)
    assert [run.display_name for run in found] == [f"digits-copy-{index}" for index in range(69, 24, -1)]
    assert [run.display_name for run in list_runs(kubeflow, 1000)][-1] == submitted.run_name
    assert len(list_runs(kubeflow, 1000)) == 71


def test_runs_of_others_are_passed_over(double: KubeflowDouble, kubeflow: Kubeflow, submitted: Submitted) -> None:
    copies(double, 50, pipeline_version_reference={"pipeline_id": "x", "pipeline_version_id": "x"})
    copies(double, 1, pipeline_version_reference=None)
    assert [run.run_id for run in list_runs(kubeflow, 10)] == [submitted.run_id]


@pytest.mark.slow
def test_runs_of_one_configuration(double: KubeflowDouble, kubeflow: Kubeflow, config: RunConfig) -> None:
    submit(config, kubeflow, "digits-1")
    other = submit(config.model_copy(update={"name": "other"}), kubeflow, "other-1")
    assert [run.run_id for run in list_runs(kubeflow, 10, "other")] == [other.run_id]
    assert list_runs(kubeflow, 10, "unknown") == []
    assert len(double.store.experiments) == 2


def test_a_cluster_without_any_run(kubeflow: Kubeflow) -> None:
    assert list_runs(kubeflow, 10) == []


def test_a_run_is_found_by_name_and_by_id(kubeflow: Kubeflow, submitted: Submitted) -> None:
    assert find_run(kubeflow, "digits-1").run_id == submitted.run_id
    assert find_run(kubeflow, submitted.run_id).run_id == submitted.run_id


@pytest.mark.usefixtures("submitted")
@pytest.mark.parametrize("name", ["digits-2", "100% + more", 'quo"te', "ü & co"])
def test_a_name_that_no_run_has(name: str, kubeflow: Kubeflow) -> None:
    with pytest.raises(SettingsError, match="no run is named"):
        find_run(kubeflow, name)


@pytest.mark.parametrize("name", ["100% + more", 'quo"te', "ü & co", "a+b", "a%20b"])
def test_odd_names_reach_the_server_as_they_are(
    name: str, double: KubeflowDouble, kubeflow: Kubeflow, submitted: Submitted
) -> None:
    double.store.runs[submitted.run_id]["display_name"] = name
    assert find_run(kubeflow, name).run_id == submitted.run_id


@pytest.mark.usefixtures("submitted")
def test_an_id_that_no_run_has(kubeflow: Kubeflow) -> None:
    with pytest.raises(KubeflowError, match="not found") as caught:
        find_run(kubeflow, UNKNOWN)
    assert caught.value.exit_status == 2


@pytest.mark.usefixtures("submitted")
def test_an_ambiguous_name_lists_the_ids(double: KubeflowDouble, kubeflow: Kubeflow) -> None:
    copies(double, 2, display_name="digits-1")
    with pytest.raises(SettingsError, match="3 runs are named") as caught:
        find_run(kubeflow, "digits-1")
    for run_id in double.store.runs:
        assert run_id in str(caught.value)


def test_stop(double: KubeflowDouble, kubeflow: Kubeflow, submitted: Submitted) -> None:
    double.store.scripts[submitted.run_id] = [Look("RUNNING", 1)]
    assert stop_run(kubeflow, find_run(kubeflow, "digits-1")) == "is being stopped"
    assert double.written[-1].endswith(":terminate")
    assert stop_run(kubeflow, find_run(kubeflow, "digits-1")) == "is already being stopped"
    assert stop_run(kubeflow, find_run(kubeflow, "digits-1")) == "has already ended: stopped"
    assert sum("terminate" in written for written in double.written) == 1


def test_stop_when_the_run_ends_at_that_moment(
    double: KubeflowDouble, kubeflow: Kubeflow, submitted: Submitted
) -> None:
    double.store.scripts[submitted.run_id] = [Look("RUNNING", 1), Look("SUCCEEDED", 99)]

    def before(request: Request) -> None:
        if request.path.endswith(":terminate"):
            double.store.look_at(submitted.run_id)

    run = find_run(kubeflow, "digits-1")
    double.before = before
    assert stop_run(kubeflow, run) == "has ended meanwhile: succeeded"


def test_stop_that_fails(double: KubeflowDouble, kubeflow: Kubeflow, submitted: Submitted) -> None:
    double.store.scripts[submitted.run_id] = [Look("RUNNING", 1)] * 3
    double.fail("POST", ":terminate", 403)
    with pytest.raises(KubeflowError, match="may not terminate runs") as caught:
        stop_run(kubeflow, find_run(kubeflow, "digits-1"))
    assert caught.value.exit_status == 2


def test_a_run_that_failed_is_retried_by_kubeflow(
    double: KubeflowDouble, kubeflow: Kubeflow, submitted: Submitted
) -> None:
    double.store.scripts[submitted.run_id] = [Look("FAILED", 3)]
    failed = find_run(kubeflow, "digits-1")
    assert retry_run(kubeflow, failed) is failed
    assert double.written[-1].endswith(":retry")


@pytest.mark.parametrize("state", ["SUCCEEDED", "RUNNING", "CANCELING", "PENDING", None])
def test_retry_of_what_did_not_fail(
    state: str | None, double: KubeflowDouble, kubeflow: Kubeflow, submitted: Submitted
) -> None:
    double.store.scripts[submitted.run_id] = [Look(state, 3)]
    with pytest.raises(RunFailedError, match=r"expected one that failed or was stopped; nothing was retried"):
        retry_run(kubeflow, find_run(kubeflow, "digits-1"))
    assert not any("retry" in written for written in double.written)


def test_show_says_steps_parameters_and_the_reason(
    double: KubeflowDouble, kubeflow: Kubeflow, submitted: Submitted
) -> None:
    double.store.scripts[submitted.run_id] = [Look("FAILED", 2, "sanity", error={"code": 2, "message": "no quota"})]
    found = find_run(kubeflow, "digits-1")
    known = details(look_into(kubeflow, found, RunRecord()))
    assert known["state"] == "failed"
    assert known["parameters"]["storage"] == "s3://bucket/sanefit"
    assert known["error"] == "sanity: no quota"
    assert {step["name"]: step["state"] for step in known["steps"]} == {
        "prepare": "SUCCEEDED",
        "stats": "SUCCEEDED",
        "sanity": "FAILED",
    }
    lines = details_lines(look_into(kubeflow, found, RunRecord()))
    assert f"{'storage':<14} s3://bucket/sanefit" in lines
    assert f"{'sanity':<14} failed in 7 s" in lines
    assert lines[-1] == f"{'failed':<14} sanity: no quota"
    assert submitted.link in "\n".join(lines)


def test_a_run_in_progress_has_no_end(double: KubeflowDouble, kubeflow: Kubeflow, submitted: Submitted) -> None:
    double.store.scripts[submitted.run_id] = [Look("RUNNING", 1)]
    found = find_run(kubeflow, "digits-1")
    known = details(look_into(kubeflow, found, RunRecord()))
    assert known["finished"] is None
    assert "error" not in known
    assert known["steps"][-1]["ended"] is None
    [line] = columns([found])
    assert line.startswith("digits-1  running")
    assert line.endswith(submitted.run_id)
