"""What the doctor finds, against a Kubeflow and a Kubernetes that are not there."""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from foundation.conftest import google_environment, gs  # noqa: F401
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


def cluster_pod(node: str, phase: str = "Running", **requests: str) -> dict[str, Any]:
    wanted = {name.replace("__", "/").replace("_", "."): text for name, text in requests.items()}
    containers = [{"name": "main", "resources": {"requests": wanted}}, {"name": "wait"}]
    starts = [{"name": "init", "resources": {"requests": {"cpu": "100m"}}}]
    return {
        "metadata": {"name": "a"},
        "spec": {"nodeName": node, "containers": containers, "initContainers": starts},
        "status": {"phase": phase},
    }


GPU_NODE = cluster_node(
    "gpu-1",
    labels={"nvidia.com/cuda.driver-version.full": "580.65"},
    allocatable={"nvidia.com/gpu": "2"},
    taints=[{"key": "nvidia.com/gpu", "value": "present", "effect": "NoSchedule"}],
)


def api_group(name: str) -> dict[str, Any]:
    return {"name": name, "versions": [{"groupVersion": f"{name}/v1", "version": "v1"}]}


@pytest.fixture
def kubernetes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[KubernetesDouble]:
    """A cluster where everything is as it should be."""
    with running_kubernetes_double() as double:
        monkeypatch.setenv("KUBECONFIG", str(double.kubeconfig(tmp_path / "kubeconfig")))
        double.objects = {
            "/api/v1/nodes": {"items": [cluster_node("cpu-1"), GPU_NODE]},
            "/api/v1/pods": {
                "items": [
                    cluster_pod("cpu-1", cpu="5", memory="1Gi"),
                    cluster_pod("cpu-1", "Succeeded", cpu="11"),
                    cluster_pod("gpu-1", cpu="1", nvidia_com__gpu="1"),
                ]
            },
            "/apis/": {"groups": [api_group("kueue.x-k8s.io"), api_group("external-secrets.io")]},
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
    assert found["search packs"].seen == "1 of 2 nodes take one (gpu-1), 2 at once when empty, 1 now"
    assert found["data steps"].seen == "1 of 2 nodes take one (cpu-1), 8 at once when empty, 5 now"
    assert found["final training"].seen == "1 of 2 nodes take one (gpu-1), 2 at once when empty, 1 now"
    assert not {"GPU driver", "kinds", "MLflow plugin", "volume"} & found.keys()
    assert (found["service account"].state, found["secret"].state) == ("ok", "ok")
    assert "permissions" not in found  # a Kubeflow for one user does not ask


@pytest.mark.slow
def test_each_kind_of_storage_is_listed_or_named(findings: Callable[..., dict[str, Finding]], gs: str) -> None:  # noqa: F811
    object_store.write_bytes(f"{gs}/photos/cat/1.jpg", b"x")
    found = findings(f"cluster.storage={gs}/sanefit", f"data.source={gs}/photos")
    assert found["Google storage"].state == found["images"].state == "ok"
    assert "S3" not in found
    gone = findings("cluster.storage=gs://no-such-bucket/x", f"data.source=webdataset:{gs}/shards/a-{{0..9}}.tar")
    assert (gone["Google storage"].state, gone["images"].state) == ("failed", "ok")
    assert "gs://no-such-bucket/x" in gone["Google storage"].seen
    assert "cluster.storage" in gone["Google storage"].fix


def test_without_a_list_of_pods_only_empty_nodes_are_counted(
    findings: Callable[..., dict[str, Finding]], kubernetes: KubernetesDouble
) -> None:
    kubernetes.objects["/api/v1/pods"] = 403
    assert findings()["search packs"].seen == "1 of 2 nodes take one (gpu-1), 2 at once when empty"


def test_what_a_gpu_node_does_not_say_is_said(
    findings: Callable[..., dict[str, Finding]], kubernetes: KubernetesDouble
) -> None:
    silent = cluster_node("gpu-2", allocatable={"nvidia.com/gpu": "4"})
    kubernetes.objects["/api/v1/nodes"]["items"].append(silent)
    driver = findings()["GPU driver"]
    assert driver.state == "warning"
    assert driver.seen.startswith("gpu-2: no label tells the driver")
    silent["status"]["allocatable"].pop("nvidia.com/gpu")
    silent["metadata"]["labels"] = {"feature.node.kubernetes.io/pci-10de.present": "true"}
    assert findings()["GPU driver"].seen == "gpu-2: a card of NVIDIA, and no nvidia.com/gpu is offered"
    assert "GPU driver" not in findings("cluster.gpus=0")
    silent["status"]["allocatable"]["nvidia.com/mig-1g.10gb"] = "7"
    assert "GPU driver" not in findings()


def test_kinds_that_an_overlay_needs_are_named_before_it_is_applied(
    findings: Callable[..., dict[str, Finding]], kubernetes: KubernetesDouble
) -> None:
    kubernetes.objects["/apis/"]["groups"] = [api_group("apps")]
    kinds = findings()["kinds"]
    assert kinds.state == "ok"
    assert "no kind of external-secrets.io or kueue.x-k8s.io" in kinds.seen
    assert kinds.fix == (
        "install External Secrets and Kueue before it, or take components/external-secrets and components/kueue out "
        "of it"
    )
    assert findings("cluster.kueue_queue=sanefit")["kinds"].state == "failed"
    kubernetes.objects["/apis/"]["groups"] = [api_group("kueue.x-k8s.io")]
    assert findings("cluster.kueue_queue=sanefit")["kinds"].state == "ok"


def test_the_version_comes_from_the_cluster_where_the_server_does_not_say_it(
    findings: Callable[..., dict[str, Finding]], kubernetes: KubernetesDouble, double: KubeflowDouble
) -> None:
    path = "/api/v1/namespaces/kubeflow/configmaps/kubeflow-pipelines-public"
    for version in ("unknown", ""):
        double.store.version = version
        kubernetes.objects.pop(path, None)
        assert findings()["Kubeflow"].seen.endswith("answers, version unknown")
        kubernetes.objects[path] = {"metadata": {}, "data": {"kubeflow_pipelines_version": "2.17.0"}}
        assert findings()["Kubeflow"].seen.endswith("answers, version 2.17.0")
    kubernetes.objects[path]["data"] = {"kubeflow_pipelines_version": "2.9.1"}
    assert findings()["Kubeflow"].state == "failed"


def test_kubeflows_own_plugin_for_mlflow_is_told(
    findings: Callable[..., dict[str, Finding]], kubernetes: KubernetesDouble
) -> None:
    path = "/api/v1/namespaces/kubeflow/configmaps/kfp-launcher"
    kubernetes.objects[path] = {"metadata": {}, "data": {"defaultPipelineRoot": "minio://x"}}
    assert "MLflow plugin" not in findings()
    kubernetes.objects[path]["data"]["plugins.mlflow"] = "{}"
    plugin = findings()["MLflow plugin"]
    assert plugin.state == "warning"
    assert "opens one for the pipeline and one for each task" in plugin.seen


def test_a_volume_must_have_its_claim(
    findings: Callable[..., dict[str, Finding]], kubernetes: KubernetesDouble
) -> None:
    settings = ["cluster.volumes=[{claim: runs, path: /mnt/runs}]", "cluster.storage=file:///mnt/runs/sanefit"]
    found = findings(*settings)
    assert (found["volume"].state, found["storage"].state) == ("failed", "unknown")
    assert "S3" not in found
    claim = "/api/v1/namespaces/kubeflow/persistentvolumeclaims/runs"
    kubernetes.objects[claim] = {"metadata": {"name": "runs"}}
    assert findings(*settings)["volume"].state == "ok"


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
    kubernetes.objects[MLFLOW] = {"items": [{"addressType": "IPv4", "metadata": {}, "endpoints": None}]}
    assert findings()["MLflow"].state == "failed"
    kubernetes.objects[MLFLOW]["items"][0]["endpoints"] = [{"addresses": ["10.0.0.1"]}]
    assert findings()["MLflow"].state == "ok"


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


@pytest.mark.slow
def test_the_command_says_a_line_each_and_exits_with_1() -> None:
    command = [sys.executable, "-m", "sanefit", "doctor", "--endpoint", "http://127.0.0.1:9", "--json"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 1
    result = json.loads(done.stdout)
    states = {finding["what"]: finding["state"] for finding in result["findings"]}
    assert (states["Kubeflow"], states["MLflow"], states["storage"], states["image"]) == ("failed",) * 4
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
