"""One run on the cluster: what is sent, and that it is sent once."""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import replace

import pytest
from kubeflow_api_double import KubeflowDouble, Request
from on_a_cluster import ON_A_CLUSTER
from stopped_clock import Clock

from sanefit import __version__
from sanefit.components.foundation.errors import SettingsError
from sanefit.pipeline.kubeflow.client.api import Kubeflow
from sanefit.pipeline.kubeflow.client.errors import KubeflowError
from sanefit.pipeline.kubeflow.runs.submit import keyed_name, submit
from sanefit.pipeline.settings.cluster_settings import ClusterSettings
from sanefit.pipeline.settings.run_config import DEFAULT_CONFIG, RunConfig, load_config

pytestmark = pytest.mark.slow

VOLUME = "cluster.volumes=[{claim: photos, path: /mnt/photos}]"


def changed(config: RunConfig, **values: object) -> RunConfig:
    return config.model_copy(update={"cluster": config.cluster.model_copy(update=values)})


def test_a_first_submit_creates_all_that_is_missing(
    double: KubeflowDouble, kubeflow: Kubeflow, config: RunConfig
) -> None:
    submitted = submit(config, kubeflow, "digits-1")
    [run] = double.store.runs.values()
    [version] = double.store.versions.values()
    [experiment] = double.store.experiments.values()
    assert submitted.run_id == run["run_id"]
    assert submitted.link == f"{double.url}/#/runs/details/{run['run_id']}"
    assert not submitted.already
    assert run["display_name"] == "digits-1"
    assert run["service_account"] == "sanefit-runner"
    assert run["experiment_id"] == experiment["experiment_id"]
    assert experiment["display_name"] == "digits"
    assert run["pipeline_version_reference"]["pipeline_version_id"] == version["pipeline_version_id"]
    assert run["runtime_config"]["parameters"] == {
        "storage": "s3://bucket/sanefit",
        "tracking_uri": "http://mlflow.mlflow.svc:5000",
        "run_name": "digits-1",
    }
    assert version["name"] == submitted.version_name
    assert version["name"].startswith(f"sanefit-{__version__}-")
    assert len(version["name"]) == len(f"sanefit-{__version__}-") + 12


def test_a_second_submit_uploads_nothing(double: KubeflowDouble, kubeflow: Kubeflow, config: RunConfig) -> None:
    submit(config, kubeflow, "digits-1")
    before = len(double.written)
    submit(config, kubeflow, "digits-2")
    assert double.written[before:] == ["POST /apis/v2beta1/runs"]


def test_another_configuration_is_another_version_of_the_same_pipeline(
    double: KubeflowDouble, kubeflow: Kubeflow, config: RunConfig
) -> None:
    submit(config, kubeflow, "digits-1")
    submit(config.model_copy(update={"seed": 1}), kubeflow, "digits-2")
    assert len(double.store.versions) == 2
    assert len(double.store.pipelines) == 1


@pytest.mark.parametrize("key", ["storage", "tracking_uri"])
def test_a_cluster_without_a_place_is_refused_before_anything_is_sent(
    key: str, double: KubeflowDouble, kubeflow: Kubeflow, config: RunConfig
) -> None:
    with pytest.raises(SettingsError, match=rf"cluster\.{key} is empty.*--set cluster\.{key}="):
        submit(changed(config, **{key: ""}), kubeflow, "digits-1")
    assert double.requests == []


@pytest.mark.parametrize("what", ["pipelines$", "upload_version", "experiments"])
@pytest.mark.parametrize("how", ["lose", "conflict"])
def test_creating_what_another_has_created_meanwhile_finds_it(
    what: str, how: str, double: KubeflowDouble, kubeflow: Kubeflow, config: RunConfig
) -> None:
    if how == "lose":
        double.fail("POST", what, "lose")
    else:
        double.before = another_is_faster(double, what)
    submit(config, kubeflow, "digits-1")
    assert [len(known) for known in (double.store.pipelines, double.store.versions, double.store.experiments)] == [
        1,
        1,
        1,
    ]


def another_is_faster(double: KubeflowDouble, what: str) -> Callable[[Request], None]:
    """The same request arrives just before ours, from someone else."""

    def before(request: Request) -> None:
        if request.writes and request.path.endswith(what.rstrip("$")):
            double.before = None
            assert double.answer(request)[0] == 200

    return before


def test_a_lost_answer_to_the_run_itself_starts_no_second_one(
    double: KubeflowDouble, kubeflow: Kubeflow, config: RunConfig
) -> None:
    double.fail("POST", "/runs$", "lose")
    submitted = submit(config, kubeflow, "digits-1")
    assert [*double.store.runs] == [submitted.run_id]


@pytest.mark.parametrize("how", [500, 503, "drop"])
def test_a_run_that_cannot_be_created_is_not_tried_blindly_again(
    how: str | int, double: KubeflowDouble, kubeflow: Kubeflow, config: RunConfig
) -> None:
    double.fail("POST", "/runs$", how, times=99)
    with pytest.raises(KubeflowError) as caught:
        submit(config, kubeflow, "digits-1")
    assert caught.value.exit_status == 1
    assert double.written.count("POST /apis/v2beta1/runs") == 1


def test_a_key_finds_the_run_again(double: KubeflowDouble, kubeflow: Kubeflow, config: RunConfig, clock: Clock) -> None:
    first = submit(config, kubeflow, "unused", "nightly-1", clock.sleep)
    written = len(double.written)
    second = submit(config, kubeflow, "unused", "nightly-1", clock.sleep)
    assert clock.slept == [2.0]  # before it looked for others of the same second
    assert first.run_name == "digits-nightly-1"
    assert not first.already
    assert second == replace(first, already=True)
    assert len(double.written) == written


@pytest.mark.slow
@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"storage": "s3://other"}, ["storage 's3://bucket/sanefit', now 's3://other'"]),
        ({"service_account": "other"}, ["service account 'sanefit-runner', now 'other'"]),
        ({"gpus": "4"}, ["pipeline version sanefit-", ", now sanefit-"]),
    ],
)
def test_a_key_used_for_something_else_says_what_differs(
    change: dict[str, str],
    words: list[str],
    double: KubeflowDouble,
    kubeflow: Kubeflow,
    config: RunConfig,
    clock: Clock,
) -> None:
    submit(config, kubeflow, "unused", "nightly-1", clock.sleep)
    other = changed(config, **ClusterSettings(**change).model_dump(include=set(change)))
    with pytest.raises(SettingsError) as caught:
        submit(other, kubeflow, "unused", "nightly-1", clock.sleep)
    for word in words:
        assert word in str(caught.value)
    assert len(double.store.runs) == 1


def test_a_run_of_another_pipeline_with_the_same_name_is_not_ours(
    double: KubeflowDouble, kubeflow: Kubeflow, config: RunConfig, clock: Clock
) -> None:
    submit(config, kubeflow, "digits-nightly-1")
    [theirs] = double.store.runs.values()
    theirs["pipeline_version_reference"] = {"pipeline_id": "theirs", "pipeline_version_id": "theirs"}
    assert not submit(config, kubeflow, "unused", "nightly-1", clock.sleep).already


def test_of_several_runs_of_one_key_all_choose_the_earliest(
    double: KubeflowDouble, kubeflow: Kubeflow, config: RunConfig, clock: Clock
) -> None:
    first = submit(config, kubeflow, "unused", "k", clock.sleep)
    one = double.store.runs.pop(first.run_id)
    for run_id, second in (("b", 1), ("c", 0), ("a", 1), ("d", 0)):
        double.store.runs[run_id] = {**one, "run_id": run_id, "created_at": f"2026-11-23T12:00:0{second}Z"}
    assert submit(config, kubeflow, "unused", "k", clock.sleep).run_id == "c"


@pytest.mark.slow
def test_two_submits_at_once_with_one_key_leave_one_run(
    double: KubeflowDouble, kubeflow: Kubeflow, config: RunConfig
) -> None:
    submit(config, kubeflow, "first")  # so that both have only the run to create
    double.store.runs.clear()
    both_looked = threading.Barrier(2)

    def before(request: Request) -> None:
        if request.method == "POST" and request.path.endswith("/runs"):
            both_looked.wait(60)

    double.before = before
    sets = [part for value in ON_A_CLUSTER for part in ("--set", value)]
    command = [sys.executable, "-m", "sanefit", "submit", "--json", "--idempotency-key", "k", *sets]
    environment = {**os.environ, "KFP_ENDPOINT": double.url}
    started = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) for _ in range(2)]
    answers = [json.loads(one.communicate(timeout=120)[0].splitlines()[-1]) for one in started]
    assert [one.returncode for one in started] == [0, 0]
    assert len({answer["run_id"] for answer in answers}) == 1
    assert sorted(answer["already_submitted"] for answer in answers) == [False, True]
    assert [*double.store.runs] == [answers[0]["run_id"]]
    assert double.written.count("POST /apis/v2beta1/runs") == 3


@pytest.mark.parametrize("key", ["", "Nightly", "-a", "a-", "a b", "a/b", "a" * 64, "ä"])
def test_a_key_that_is_no_dns_label(key: str, double: KubeflowDouble, kubeflow: Kubeflow, config: RunConfig) -> None:
    with pytest.raises(SettingsError, match="--idempotency-key"):
        submit(config, kubeflow, "unused", key)
    assert double.requests == []


def test_a_good_key() -> None:
    assert keyed_name("digits", "a" * 63) == "digits-" + "a" * 63
    assert keyed_name("digits", "7") == "digits-7"


def test_an_upload_that_is_not_allowed_looks_like_a_bad_one(
    double: KubeflowDouble, kubeflow: Kubeflow, config: RunConfig
) -> None:
    double.fail("POST", "upload_version", 400)
    with pytest.raises(KubeflowError, match="may this account create pipelines"):
        submit(config, kubeflow, "digits-1")


def test_on_a_kubeflow_with_several_users_all_is_in_the_namespace(
    double: KubeflowDouble, kubeflow: Kubeflow, config: RunConfig, clock: Clock
) -> None:
    double.store.namespaces = True
    ours = replace(kubeflow, namespace="team")
    submit(config, ours, "unused", "k", clock.sleep)
    [pipeline] = double.store.pipelines.values()
    [experiment] = double.store.experiments.values()
    assert pipeline["namespace"] == experiment["namespace"] == "team"


def test_a_namespace_that_is_missing_is_asked_for(
    double: KubeflowDouble, kubeflow: Kubeflow, config: RunConfig
) -> None:
    double.store.namespaces = True
    with pytest.raises(KubeflowError, match="--namespace") as caught:
        submit(config, kubeflow, "digits-1")
    assert caught.value.exit_status == 2


def test_files_of_a_volume_are_taken(double: KubeflowDouble, kubeflow: Kubeflow) -> None:
    config = load_config(
        DEFAULT_CONFIG,
        [
            *ON_A_CLUSTER,
            VOLUME,
            "cluster.storage=file:///mnt/photos/runs",
            "data.source=tar:/mnt/photos/all.tar.gz",
            "data.image_size=32",
            "network={kind: torchvision, name: resnet18, weights: /mnt/photos/resnet18.pt}",
        ],
    )
    submit(config, kubeflow, "run-1")
    [run] = double.store.runs.values()
    assert run["runtime_config"]["parameters"]["storage"] == "/mnt/photos/runs"


@pytest.mark.parametrize(
    "overrides",
    [
        ["data.source=folder:photos", "data.image_size=32"],
        ["data.source=tar:photos.tar.gz", "data.image_size=32"],
        ["data.source=zip:photos.zip", "data.image_size=32"],
        ["data.source=csv:photos.csv", "data.image_size=32"],
        ["data.source=parquet:photos.parquet", "data.image_size=32"],
        ["data.source=folder:/mnt/photos2", "data.image_size=32", VOLUME],
        ["network={kind: torchvision, name: resnet18, weights: resnet18.pt}"],
        ["data.source=s3://bucket/photos", "data.image_size=32", "data.exclude=suspected-labels.csv"],
    ],
)
def test_files_of_this_machine_are_refused(double: KubeflowDouble, kubeflow: Kubeflow, overrides: list[str]) -> None:
    config = load_config(DEFAULT_CONFIG, [*ON_A_CLUSTER, *overrides])
    with pytest.raises(SettingsError, match="pods cannot read"):
        submit(config, kubeflow, "photos-1")
    assert double.requests == []
