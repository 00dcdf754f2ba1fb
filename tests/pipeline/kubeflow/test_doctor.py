"""What the doctor finds, against a Kubeflow and a Kubernetes that are not there."""

import http.server
import json
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from kubeflow_api_double import KubeflowDouble
from kubernetes_double import KubernetesDouble, running_kubernetes_double

from sanefit.components.foundation.errors import RunFailedError
from sanefit.components.foundation.storage import object_store
from sanefit.components.foundation.tracking.attached_files import read_attached_of_job
from sanefit.components.foundation.tracking.connection import connect
from sanefit.components.foundation.tracking.runs import close_run, open_run
from sanefit.pipeline.doctor.cluster_findings import API_VERBS
from sanefit.pipeline.doctor.doctor import examine
from sanefit.pipeline.doctor.findings import Finding
from sanefit.pipeline.doctor.service_findings import image_findings, split_reference
from sanefit.pipeline.kubeflow.client.api import Kubeflow
from sanefit.pipeline.kubeflow.runs.cluster_report import fetch_report
from sanefit.pipeline.kubeflow.runs.submit import submit
from sanefit.pipeline.settings.run_config import DEFAULT_CONFIG, RunConfig, load_config

SECRET = "/api/v1/namespaces/kubeflow/secrets/sanefit-s3"
ACCOUNT = "/api/v1/namespaces/kubeflow/serviceaccounts/sanefit-runner"
MLFLOW = "/apis/discovery.k8s.io/v1/namespaces/mlflow/endpointslices"
KEYS = {"AWS_ACCESS_KEY_ID": "c2VjcmV0", "AWS_SECRET_ACCESS_KEY": "c2VjcmV0"}


def cluster_node(name: str, **changes: Any) -> dict[str, Any]:
    allocatable = {"cpu": "16", "memory": "64Gi"} | changes.pop("allocatable", {})
    return {
        "metadata": {"name": name, "labels": changes.get("labels", {})},
        "spec": {"taints": changes.get("taints", []), "unschedulable": changes.get("unschedulable", False)},
        "status": {"allocatable": allocatable, "conditions": [{"type": "Ready", "status": "True"}]},
    }


GPU_NODE = cluster_node(
    "gpu-1",
    allocatable={"nvidia.com/gpu": "2"},
    taints=[{"key": "nvidia.com/gpu", "value": "present", "effect": "NoSchedule"}],
)


@pytest.fixture
def kubernetes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[KubernetesDouble]:
    """A cluster where everything is as it should be."""
    with running_kubernetes_double() as double:
        monkeypatch.setenv("KUBECONFIG", str(double.kubeconfig(tmp_path / "kubeconfig")))
        double.objects = {
            "/api/v1/nodes": {"items": [cluster_node("cpu-1"), GPU_NODE]},
            ACCOUNT: {"metadata": {"name": "sanefit-runner"}},
            SECRET: {"metadata": {"name": "sanefit-s3"}, "data": KEYS},
            MLFLOW: {
                "items": [
                    {
                        "addressType": "IPv4",
                        "metadata": {},
                        "endpoints": [{"addresses": ["10.0.0.1"], "conditions": {"ready": True}}],
                    }
                ]
            },
        }
        yield double


@pytest.fixture
def findings(double: KubeflowDouble, request: pytest.FixtureRequest) -> Callable[..., dict[str, Finding]]:
    """Examine; what was found, by its name."""
    request.getfixturevalue("kubernetes")

    def run(*overrides: str, namespace: str = "") -> dict[str, Finding]:
        settings = ["cluster.storage=s3://bucket/x", "cluster.s3_endpoint=http://s3.storage.svc:8333"]
        settings += ["cluster.tracking_uri=http://mlflow.mlflow.svc:5000", *overrides]
        config = load_config(DEFAULT_CONFIG, settings)
        return {finding.what: finding for finding in examine(config, double.url, namespace, None)}

    return run


def test_what_is_well_is_said_to_be(findings: Callable[..., dict[str, Finding]]) -> None:
    found = findings()
    assert found["Kubeflow"].state == "ok"
    assert found["MLflow"] == Finding("MLflow", "ok", "service 'mlflow' in 'mlflow' has pods that are ready")
    assert found["search packs"].seen == "1 of 2 nodes take one (gpu-1), 2 at once when empty"
    assert found["data steps"].seen == "1 of 2 nodes take one (cpu-1), 8 at once when empty"
    assert (found["service account"].state, found["secret"].state) == ("ok", "ok")
    assert "permissions" not in found  # a Kubeflow for one user does not ask


def test_packs_that_no_node_takes(findings: Callable[..., dict[str, Finding]]) -> None:
    packs = findings("cluster.gpu_resource=nvidia.com/mig-1g.10gb")["search packs"]
    assert packs.state == "failed"
    assert "gpu-1 offers nvidia.com/mig-1g.10gb 0, a pod wants 1" in packs.seen
    assert "cluster.gpu_resource" in packs.fix
    assert findings("cluster.gpus=0")["search packs"].state == "ok"


def test_nodes_that_may_not_be_listed_are_unknown(
    findings: Callable[..., dict[str, Finding]], kubernetes: KubernetesDouble
) -> None:
    kubernetes.objects["/api/v1/nodes"] = 403
    assert findings()["nodes"].state == "unknown"


def test_a_secret_is_missing_lacks_a_key_or_cannot_be_read(
    findings: Callable[..., dict[str, Finding]], kubernetes: KubernetesDouble
) -> None:
    kubernetes.objects[SECRET]["data"] = {"AWS_ACCESS_KEY_ID": "c2VjcmV0"}
    assert findings()["secret"].seen == "'sanefit-s3' has no key AWS_SECRET_ACCESS_KEY"
    kubernetes.objects[SECRET] = 403
    assert findings()["secret"].state == "unknown"
    del kubernetes.objects[SECRET]
    assert findings()["secret"].state == "failed"


def test_the_secret_that_says_who_is_told_must_hold_its_address(
    findings: Callable[..., dict[str, Finding]], kubernetes: KubernetesDouble
) -> None:
    told = ["registry.notify_url=env:SHOP_HOOK"]
    assert findings(*told)["notify"].seen == "no secret gives SHOP_HOOK to the steps"
    told.append("cluster.notify_secret=sanefit-s3")  # the other keys are looked for all the same
    assert findings(*told)["secret"].seen == "'sanefit-s3' has no key SHOP_HOOK"
    kubernetes.objects[SECRET]["data"] = {"SHOP_HOOK": "c2VjcmV0"}
    found = findings(*told)
    assert "notify" not in found
    assert found["secret"].seen == "'sanefit-s3' has no key AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY"


def test_a_service_without_pods_and_one_that_cannot_be_asked_for(
    findings: Callable[..., dict[str, Finding]], kubernetes: KubernetesDouble
) -> None:
    assert findings()["S3"].state == "unknown"  # its slices are 404
    kubernetes.objects[MLFLOW] = {"items": []}
    assert findings()["MLflow"].state == "failed"


def test_on_a_kubeflow_of_several_users_permissions_count(
    findings: Callable[..., dict[str, Finding]], kubernetes: KubernetesDouble, double: KubeflowDouble
) -> None:
    double.store.namespaces = True
    assert findings()["Kubeflow"].fix == "set --namespace"
    refused = findings(namespace="sanefit")["permissions"]
    assert (refused.state, "create runs" in refused.seen) == ("failed", True)
    assert "sanefit-submitter" in refused.fix
    kubernetes.allowed = {(verb, resource) for resource, verbs in API_VERBS.items() for verb in verbs}
    assert findings(namespace="sanefit")["permissions"].state == "ok"


def test_a_kubernetes_that_does_not_answer(
    findings: Callable[..., dict[str, Finding]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    KubernetesDouble("http://127.0.0.1:9").kubeconfig(tmp_path / "elsewhere")
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "elsewhere"))
    assert "cannot be reached" in findings()["nodes"].seen


@pytest.mark.parametrize(
    ("image", "parts"),
    [
        ("sanefit-data:0.1.0", ("", "sanefit-data", "0.1.0")),
        ("team/sanefit-data:1", ("", "team/sanefit-data", "1")),
        ("example.com/team/data:1", ("example.com", "team/data", "1")),
        ("localhost:5000/data@sha256:ab", ("localhost:5000", "data", "sha256:ab")),
        ("example.com/data:1@sha256:ab", ("example.com", "data", "sha256:ab")),
    ],
)
def test_image_references(image: str, parts: tuple[str, str, str]) -> None:
    assert split_reference(image) == parts


@pytest.mark.parametrize(
    ("status", "pull_secrets", "state"),
    [(200, "[]", "ok"), (404, "[]", "failed"), (401, "[]", "warning"), (401, "[sanefit-registry]", "unknown")],
)
def test_the_registry_is_asked_for_the_manifest(status: int, pull_secrets: str, state: str) -> None:
    asked = []

    class Registry(http.server.BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            asked.append(self.path)
            self.send_response(status)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            """Quiet."""

    server = http.server.HTTPServer(("127.0.0.1", 0), Registry)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        config = load_config(DEFAULT_CONFIG, [f"cluster.image_pull_secrets={pull_secrets}"])
        [found] = image_findings([f"127.0.0.1:{server.server_port}/team/data@sha256:ab"], config.cluster)
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
    assert found.state == state
    assert asked == ["/v2/team/data/manifests/sha256:ab"]


@pytest.mark.slow
def test_the_command_says_a_line_each_and_exits_with_1() -> None:
    command = [sys.executable, "-m", "sanefit", "doctor", "--endpoint", "http://127.0.0.1:9", "--json"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 1
    result = json.loads(done.stdout)
    states = {finding["what"]: finding["state"] for finding in result["findings"]}
    assert (states["Kubeflow"], states["MLflow"], states["S3"], states["image"]) == ("failed",) * 4
    assert len(done.stderr.splitlines()) == len(result["findings"])
    assert "Traceback" not in done.stderr


@pytest.mark.slow
def test_a_page_is_fetched_from_the_runs_storage(
    kubeflow: Kubeflow, double: KubeflowDouble, config: RunConfig, tmp_path: Path
) -> None:
    storage = tmp_path / "storage"
    submit(config, kubeflow, "digits-7")
    [run] = double.store.runs.values()
    run["runtime_config"]["parameters"]["storage"] = str(storage)

    def nothing(*_: str) -> None:
        return None

    with pytest.raises(RunFailedError, match="no page"):
        fetch_report(kubeflow, "digits-7", tmp_path / "work", nothing)
    object_store.write_bytes(str(storage / "runs" / "digits-7" / "report.html"), b"the page")
    page = fetch_report(kubeflow, "digits-7", tmp_path / "work", nothing)
    assert page.read_bytes() == b"the page"
    assert page.is_relative_to(tmp_path / "work")


@pytest.mark.slow
def test_a_page_comes_from_mlflow_where_the_storage_cannot_be_read(
    kubeflow: Kubeflow, config: RunConfig, tmp_path: Path
) -> None:
    submitted = submit(config, kubeflow, "digits-7")  # its storage is in S3, which does not answer here
    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    (tmp_path / "report.html").write_text("the page")
    tracking = connect(uri)
    run_id = open_run(
        tracking,
        experiment="digits",
        artifact_location=str(tmp_path / "files"),
        run_name="digits-7",
        tags={},
        params={},
        job_id=submitted.run_id,
    )
    known = {"MLFLOW_TRACKING_URI": uri}
    with pytest.raises(RunFailedError, match=r"s3://bucket/sanefit: .*MLflow at sqlite: no page yet"):
        fetch_report(kubeflow, "digits-7", tmp_path / "work", read_attached_of_job, known)
    close_run(tracking, run_id, succeeded=True, failure="", attach=tmp_path / "report.html")
    page = fetch_report(kubeflow, "digits-7", tmp_path / "work", read_attached_of_job, known)
    assert page == tmp_path / "work" / "runs" / "digits-7" / "report.html"
    assert page.read_text() == "the page"
