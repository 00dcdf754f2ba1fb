"""Every overlay keeps every policy, and has what an operator expects of it."""

import os
import re
from pathlib import Path

import pytest
from overlays import ROOT, SETS, Object, name_of, of_kind, pods, render
from policies import POLICIES, Policy

from sanefit.pipeline.container_images import ContainerImages
from sanefit.pipeline.doctor.cluster_findings import API_VERBS
from sanefit.pipeline.placement import GPU_TAINT, IMAGE_USER, MLFLOW_SECRET_KEYS, S3_SECRET_KEYS
from sanefit.pipeline.settings.cluster_settings import ClusterSettings

Rendered = dict[str, list[Object]]
MODEL_SERVER = "sanefit-serving/model-server"


def find(objects: list[Object], path: str) -> Object:
    """The object ``Kind/namespace/name``."""
    [found] = [item for item in objects if name_of(item) == path]
    return found


@pytest.mark.parametrize("policy", POLICIES, ids=lambda policy: policy.__name__)
@pytest.mark.parametrize("overlay", SETS)
def test_an_overlay_keeps_the_policies(rendered: Rendered, overlay: str, policy: Policy) -> None:
    assert list(policy(rendered[overlay])) == []


@pytest.mark.parametrize("overlay", SETS)
def test_names_are_the_defaults_of_a_configuration(rendered: Rendered, overlay: str) -> None:
    cluster = ClusterSettings()
    names = {name_of(item) for item in rendered[overlay]}
    assert f"ServiceAccount/sanefit/{cluster.service_account}" in names
    if overlay != "prod+workload-identity":
        assert {f"{kind}/sanefit/{cluster.s3_secret}" for kind in ("Secret", "ExternalSecret")} & names


@pytest.mark.parametrize("overlay", SETS)
def test_s3_secrets_have_the_keys_that_steps_read(rendered: Rendered, overlay: str) -> None:
    keys = {}
    for item in of_kind(rendered[overlay], "Secret", "ExternalSecret"):
        if item["metadata"]["name"].endswith("-s3"):
            entries = item.get("stringData") or [entry["secretKey"] for entry in item["spec"]["data"]]
            keys[name_of(item)] = tuple(sorted(entries))
    expected = 0 if overlay == "prod+workload-identity" else 2
    assert list(keys.values()) == [tuple(sorted(S3_SECRET_KEYS))] * expected
    assert set(S3_SECRET_KEYS).isdisjoint(MLFLOW_SECRET_KEYS)


def test_submitters_may_what_the_commands_ask_for_and_nothing_else(rendered: Rendered) -> None:
    role = find(rendered["dev"], "Role/sanefit/sanefit-submitter")
    assert {rule["apiGroups"][0] for rule in role["rules"]} == {"pipelines.kubeflow.org"}
    granted = {rule["resources"][0]: set(rule["verbs"]) for rule in role["rules"]}
    assert granted == {resource: set(verbs) for resource, verbs in API_VERBS.items()}


@pytest.mark.parametrize("service", ["mlflow/mlflow", MODEL_SERVER])
def test_services_run_as_the_user_of_the_images(rendered: Rendered, service: str) -> None:
    pod = find(rendered["prod+serving"], f"Deployment/{service}")["spec"]["template"]["spec"]
    assert pod["securityContext"]["runAsUser"] == IMAGE_USER


@pytest.mark.parametrize("service", ["mlflow/mlflow", MODEL_SERVER])
def test_services_keep_answering_while_they_are_updated_and_nodes_are_drained(rendered: Rendered, service: str) -> None:
    deployment = find(rendered["prod+serving"], f"Deployment/{service}")["spec"]
    assert deployment["replicas"] == 2
    assert deployment["strategy"]["rollingUpdate"] == {"maxSurge": 1, "maxUnavailable": 0}
    assert find(rendered["prod+serving"], f"PodDisruptionBudget/{service}")["spec"]["maxUnavailable"] == 1


def test_models_are_served_by_the_trainer_image_of_this_version(rendered: Rendered) -> None:
    [server] = find(rendered["prod+serving"], f"Deployment/{MODEL_SERVER}")["spec"]["template"]["spec"]["containers"]
    assert server["image"] == ContainerImages().trainer


def test_the_documented_lines_choose_the_model_and_the_image(tmp_path: Path) -> None:
    text = (ROOT / "docs" / "kubernetes.md").read_text()
    [lines] = [
        block for block in re.findall(r"^```yaml\n(.*?)^```$", text, re.DOTALL | re.MULTILINE) if "serving" in block
    ]
    k8s = os.path.relpath(ROOT / "k8s", tmp_path.resolve())
    documented = f"resources: [{k8s}/overlays/prod]\n{lines.replace('../../', f'{k8s}/')}"
    (tmp_path / "kustomization.yaml").write_text(documented)
    objects = render(tmp_path)
    [server] = find(objects, f"Deployment/{MODEL_SERVER}")["spec"]["template"]["spec"]["containers"]
    assert server["args"][0] == "photos-files"
    assert server["image"] == "registry.example.com/team/sanefit-trainer@sha256:…"


def test_a_service_of_models_reaches_mlflow_and_names_and_nothing_else(rendered: Rendered) -> None:
    [pod] = [spec for where, _, spec in pods(rendered["prod+serving"]) if where == "sanefit-serving"]
    policies = of_kind(rendered["prod+serving"], "NetworkPolicy")
    ways = [
        (peer["namespaceSelector"]["matchLabels"]["kubernetes.io/metadata.name"], port["port"])
        for policy in policies
        if policy["metadata"]["namespace"] == "sanefit-serving"
        for way in policy["spec"].get("egress", [])
        for peer in way["to"]
        for port in way["ports"]
    ]
    assert sorted(ways) == [("kube-system", 53), ("kube-system", 53), ("mlflow", 5000)]
    assert pod["automountServiceAccountToken"] is False
    mlflow = next(item for item in policies if name_of(item) == "NetworkPolicy/mlflow/from-clients")
    [[client]] = [way["from"] for way in mlflow["spec"]["ingress"]]
    labels = find(rendered["prod+serving"], "Namespace//sanefit-serving")["metadata"]["labels"]
    assert client["namespaceSelector"]["matchLabels"].items() <= labels.items()


def test_with_an_identity_of_the_cloud_no_s3_key_is_read(rendered: Rendered) -> None:
    objects = rendered["prod+workload-identity"]
    [server] = find(objects, "Deployment/mlflow/mlflow")["spec"]["template"]["spec"]["containers"]
    assert [next(iter(source)) for source in server["envFrom"]] == ["configMapRef"]
    for account in ("ServiceAccount/sanefit/sanefit-runner", "ServiceAccount/mlflow/mlflow"):
        assert "eks.amazonaws.com/role-arn" in find(objects, account)["metadata"]["annotations"]


def test_the_queue_covers_all_that_a_pack_requests(rendered: Rendered) -> None:
    queue = find(rendered["prod"], "ClusterQueue//sanefit")["spec"]
    [group] = queue["resourceGroups"]
    assert group["coveredResources"] == ["cpu", "memory", "ephemeral-storage", ClusterSettings().gpu_resource]
    for flavor in group["flavors"]:
        assert [resource["name"] for resource in flavor["resources"]] == group["coveredResources"]
    flavor = find(rendered["prod"], "ResourceFlavor//sanefit-gpu")["spec"]
    taint = GPU_TAINT.model_dump(exclude_defaults=True)
    assert flavor["tolerations"] == [{"operator": "Exists", **taint}]


def test_quota_and_queue_agree_on_gpus(rendered: Rendered) -> None:
    quota = find(rendered["prod"], "ResourceQuota/sanefit/sanefit")["spec"]["hard"]
    [group] = find(rendered["prod"], "ClusterQueue//sanefit")["spec"]["resourceGroups"]
    queued = {resource["name"]: resource["nominalQuota"] for resource in group["flavors"][0]["resources"]}
    assert quota["requests.nvidia.com/gpu"] == queued["nvidia.com/gpu"]


def test_only_dev_has_secrets_with_values(rendered: Rendered) -> None:
    assert of_kind(rendered["dev"], "Secret") != []
    assert of_kind(rendered["prod"], "Secret") == []
