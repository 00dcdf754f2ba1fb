"""Every policy refuses what violates it: one change to a set that keeps all of them."""

import copy
from collections.abc import Callable
from typing import Any

import policies
import pytest
from overlays import Object, name_of

MLFLOW = "Deployment/mlflow/mlflow"
POD = "spec.template.spec"
SERVER = f"{POD}.containers.0"
GONE = object()

CASES = [
    (policies.pod_security_is_restricted, MLFLOW, f"{POD}.hostNetwork", True, "hostNetwork"),
    (policies.pod_security_is_restricted, MLFLOW, f"{POD}.hostPID", True, "hostPID"),
    (policies.pod_security_is_restricted, MLFLOW, f"{POD}.securityContext.sysctls", [{"name": "x"}], "sysctls"),
    (policies.pod_security_is_restricted, MLFLOW, f"{POD}.securityContext.runAsNonRoot", GONE, "may run as root"),
    (policies.pod_security_is_restricted, MLFLOW, f"{POD}.securityContext.runAsUser", 0, "runs as root"),
    (policies.pod_security_is_restricted, MLFLOW, f"{POD}.securityContext.seccompProfile", GONE, "seccomp"),
    (policies.pod_security_is_restricted, MLFLOW, f"{SERVER}.securityContext.capabilities", GONE, "capabilities"),
    (
        policies.pod_security_is_restricted,
        MLFLOW,
        f"{SERVER}.securityContext.capabilities.add",
        ["SYS_ADMIN"],
        "SYS_AD",
    ),
    (policies.pod_security_is_restricted, MLFLOW, f"{SERVER}.securityContext.privileged", True, "privileged"),
    (policies.pod_security_is_restricted, MLFLOW, f"{SERVER}.securityContext.procMount", "Unmasked", "procMount"),
    (
        policies.pod_security_is_restricted,
        MLFLOW,
        f"{SERVER}.securityContext.allowPrivilegeEscalation",
        GONE,
        "escalat",
    ),
    (policies.pod_security_is_restricted, MLFLOW, f"{SERVER}.ports.0.hostPort", 5000, "port of the host"),
    (policies.pod_security_is_restricted, MLFLOW, f"{POD}.volumes.1", {"name": "x", "hostPath": {}}, "hostPath"),
    (policies.pod_security_is_restricted, MLFLOW, f"{POD}.initContainers.0.securityContext", GONE, "migrations"),
    (policies.root_is_read_only, MLFLOW, f"{SERVER}.securityContext.readOnlyRootFilesystem", False, "mlflow"),
    (policies.resources_are_stated, MLFLOW, f"{SERVER}.resources.limits.memory", GONE, "limits without"),
    (policies.resources_are_stated, MLFLOW, f"{POD}.initContainers.0.resources", GONE, "migrations: requests"),
    (policies.resources_are_stated, MLFLOW, f"{POD}.volumes.1.emptyDir.sizeLimit", GONE, "sizeLimit"),
    (policies.permissions_are_least, "Role/sanefit/sanefit-runner", "rules.0.verbs", ["*"], "wildcard"),
    (policies.permissions_are_least, "Role/sanefit/sanefit-runner", "rules.0.resources", ["*"], "wildcard"),
    (policies.permissions_are_least, "Role/sanefit/sanefit-runner", "rules.0.apiGroups", ["*"], "wildcard"),
    (policies.permissions_are_least, "Role/sanefit/sanefit-runner", "rules.0.verbs", ["bind"], "bind"),
    (policies.permissions_are_least, "Role/sanefit/sanefit-runner", "rules.4.resourceNames", GONE, "without names"),
    (policies.permissions_are_least, "Role/sanefit/sanefit-runner", "kind", "ClusterRole", "ClusterRole"),
    (policies.permissions_are_least, "RoleBinding/sanefit/sanefit-runner", "subjects.0.name", "default", "default"),
    (policies.permissions_are_least, "RoleBinding/sanefit/sanefit-runner", "subjects.0.kind", "Group", "Group"),
    (policies.tokens_are_needed, "ServiceAccount/mlflow/mlflow", "automountServiceAccountToken", GONE, "mlflow"),
    (policies.tokens_are_needed, MLFLOW, f"{POD}.serviceAccountName", GONE, "default"),
    (policies.images_are_pinned, MLFLOW, f"{SERVER}.image", "mlflow:latest", "latest"),
    (policies.images_are_pinned, MLFLOW, f"{SERVER}.image", "mlflow", "mlflow"),
    (policies.images_are_pinned, MLFLOW, f"{SERVER}.image", "mlflow:v3", "v3"),
    (policies.references_exist, MLFLOW, f"{POD}.priorityClassName", "gone", "PriorityClass gone"),
    (policies.references_exist, MLFLOW, f"{POD}.serviceAccountName", "gone", "ServiceAccount gone"),
    (policies.references_exist, MLFLOW, f"{POD}.imagePullSecrets", [{"name": "gone"}], "Secret gone"),
    (policies.references_exist, MLFLOW, f"{POD}.volumes.0.configMap.name", "gone", "ConfigMap gone"),
    (policies.references_exist, MLFLOW, f"{POD}.volumes.0.secret", {"secretName": "gone"}, "Secret gone"),
    (policies.references_exist, MLFLOW, f"{SERVER}.envFrom.0.configMapRef.name", "gone", "ConfigMap gone"),
    (policies.references_exist, MLFLOW, f"{SERVER}.envFrom.1.secretRef.name", "gone", "Secret gone"),
    (policies.references_exist, MLFLOW, f"{SERVER}.env.0.valueFrom.secretKeyRef.key", "gone", "mlflow-database gone"),
    (policies.references_exist, "RoleBinding/sanefit/sanefit-runner", "roleRef.name", "gone", "RoleBinding"),
    (policies.references_exist, "RoleBinding/sanefit/sanefit-runner", "subjects.0.name", "gone", "RoleBinding"),
    (policies.references_exist, "ExternalSecret/mlflow/mlflow-s3", "spec.secretStoreRef.name", "gone", "ExternalSec"),
    (policies.references_exist, "ExternalSecret/mlflow/mlflow-s3", "spec.target.name", "gone", "mlflow-s3"),
    (policies.references_exist, "LocalQueue/sanefit/sanefit", "spec.clusterQueue", "gone", "LocalQueue"),
    (
        policies.references_exist,
        "ClusterQueue//sanefit",
        "spec.resourceGroups.0.flavors.0.name",
        "gone",
        "ClusterQueue",
    ),
    (policies.secrets_are_examples, "Secret/sanefit/sanefit-s3", "stringData.AWS_ACCESS_KEY_ID", "AKIA", "ACCESS_KEY"),
    (policies.secrets_are_examples, "Secret/sanefit/sanefit-s3", "metadata.labels", GONE, "sanefit-s3"),
    (policies.secrets_are_examples, MLFLOW, f"{SERVER}.env.0", {"name": "A_PASSWORD", "value": "x"}, "A_PASSWORD"),
    (policies.namespaces_are_closed, "Namespace//mlflow", "metadata.labels", {}, "mlflow: enforce"),
    (policies.namespaces_are_closed, "NetworkPolicy/mlflow/default-deny", "spec.policyTypes", ["Ingress"], "default-d"),
    (policies.namespaces_are_closed, "NetworkPolicy/mlflow/default-deny", "spec.egress", [{}], "no default-deny"),
    (policies.namespaces_are_closed, "Service/mlflow/mlflow", "metadata.namespace", "gone", "namespace is missing"),
    (policies.traffic_is_narrow, "NetworkPolicy/mlflow/to-dns", "spec.egress.0.ports", GONE, "without peers or ports"),
    (policies.traffic_is_narrow, "NetworkPolicy/mlflow/to-dns", "spec.egress.0.to", GONE, "without peers or ports"),
    (policies.traffic_is_narrow, "NetworkPolicy/mlflow/to-s3", "spec.egress.0.to.0.ipBlock.cidr", "::/0", "everywhere"),
    (
        policies.traffic_is_narrow,
        "NetworkPolicy/mlflow/to-dns",
        "spec.egress.0.to.0",
        {"podSelector": {}},
        "everywhere",
    ),
    (policies.selectors_match, "Service/mlflow/mlflow", "spec.selector", {"app": "gone"}, "selects nothing"),
    (policies.selectors_match, "Service/mlflow/mlflow", "spec.ports.0.targetPort", 1, "no port 1"),
    (policies.selectors_match, "PodDisruptionBudget/mlflow/mlflow", "spec.selector", {"a": "b"}, "selects nothing"),
    (policies.selectors_match, "NetworkPolicy/sanefit/to-mlflow", "spec.egress.0.ports.0.port", 1, "no port"),
]


def changed(objects: list[Object], name: str, path: str, value: object) -> list[Object]:
    """A copy with one value set, or gone."""
    objects = copy.deepcopy(objects)
    [target] = [item for item in objects if name_of(item) == name]
    *parents, last = [int(part) if part.isdigit() else part for part in path.split(".")]
    place: Any = target
    for part in parents:
        place = place[part]
    if value is GONE:
        del place[last]
    else:
        place[last] = value
    return objects


@pytest.mark.parametrize(("policy", "name", "path", "value", "violation"), CASES)
def test_a_policy_refuses_what_violates_it(
    rendered: dict[str, list[Object]],
    policy: Callable[[list[Object]], Any],
    name: str,
    path: str,
    value: object,
    violation: str,
) -> None:
    overlay = "dev" if name.startswith("Secret/") else "prod"
    found = list(policy(changed(rendered[overlay], name, path, value)))
    assert any(violation in line for line in found), found


def test_every_policy_is_shown_to_refuse_something() -> None:
    assert {case[0] for case in CASES} == set(policies.POLICIES)
