"""What every overlay must keep; each policy yields what violates it, one line each."""

import re
from collections.abc import Callable, Iterable, Iterator

from overlays import Object, containers, name_of, of_kind, pods

Policy = Callable[[list[Object]], Iterator[str]]

RESTRICTED_VOLUMES = {
    *("configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim", "projected", "secret")
}
EXAMPLE = "replace-me"


def pod_security_is_restricted(objects: list[Object]) -> Iterator[str]:
    """The level "restricted" of Kubernetes' Pod Security Standards, rule by rule."""
    for _, _, pod in pods(objects):
        security = pod.get("securityContext", {})
        yield from (f"{key}: {pod[key]}" for key in ("hostNetwork", "hostPID", "hostIPC") if pod.get(key))
        if security.get("sysctls"):
            yield "sysctls"
        for volume in pod.get("volumes", []):
            if forbidden := set(volume) - {"name"} - RESTRICTED_VOLUMES:
                yield f"volume {volume['name']}: {forbidden}"
        for container in containers(pod):
            yield from (f"{container['name']}: {wrong}" for wrong in _not_restricted(container, security))


def _not_restricted(container: Object, pod: Object) -> Iterator[str]:
    own = container.get("securityContext", {})
    both = {**pod, **own}
    if both.get("runAsNonRoot") is not True:
        yield "may run as root"
    if both.get("runAsUser", 1) == 0:
        yield "runs as root"
    if both.get("seccompProfile", {}).get("type") not in ("RuntimeDefault", "Localhost"):
        yield "no seccomp profile"
    if own.get("allowPrivilegeEscalation") is not False:
        yield "privilege escalation"
    if own.get("privileged"):
        yield "privileged"
    capabilities = own.get("capabilities", {})
    if capabilities.get("drop") != ["ALL"] or set(capabilities.get("add", [])) - {"NET_BIND_SERVICE"}:
        yield f"capabilities {capabilities}"
    if own.get("procMount", "Default") != "Default":
        yield "procMount"
    if any(port.get("hostPort") for port in container.get("ports", [])):
        yield "a port of the host"


def root_is_read_only(objects: list[Object]) -> Iterator[str]:
    """No container writes to its image."""
    for _, _, pod in pods(objects):
        for container in containers(pod):
            if container.get("securityContext", {}).get("readOnlyRootFilesystem") is not True:
                yield container["name"]


def resources_are_stated(objects: list[Object]) -> Iterator[str]:
    """Every container has requests and limits, and no folder in memory or on disk is without bounds."""
    for _, _, pod in pods(objects):
        for container in containers(pod):
            stated = container.get("resources", {})
            for kind in ("requests", "limits"):
                if missing := {"cpu", "memory", "ephemeral-storage"} - set(stated.get(kind, {})):
                    yield f"{container['name']}: {kind} without {sorted(missing)}"
        for volume in pod.get("volumes", []):
            if "emptyDir" in volume and "sizeLimit" not in volume["emptyDir"]:
                yield f"volume {volume['name']} without a sizeLimit"


def permissions_are_least(objects: list[Object]) -> Iterator[str]:
    """No wildcards, no rights in the whole cluster, secrets and configuration only by name."""
    yield from (name_of(item) for item in of_kind(objects, "ClusterRole", "ClusterRoleBinding"))
    for role in of_kind(objects, "Role"):
        for rule in role["rules"]:
            if "*" in [*rule["apiGroups"], *rule["resources"], *rule["verbs"]]:
                yield f"{name_of(role)}: wildcard"
            if {"secrets", "configmaps"} & set(rule["resources"]) and not rule.get("resourceNames"):
                yield f"{name_of(role)}: {rule['resources']} without names"
            if {"escalate", "bind", "impersonate"} & set(rule["verbs"]):
                yield f"{name_of(role)}: {rule['verbs']}"
    for binding in of_kind(objects, "RoleBinding"):
        for subject in binding["subjects"]:
            if subject["kind"] != "ServiceAccount" or subject["name"] == "default":
                yield f"{name_of(binding)}: bound to {subject['kind']} {subject['name']}"


def tokens_are_needed(objects: list[Object]) -> Iterator[str]:
    """Only the account of a run's pods has its token mounted; no pod uses the account "default"."""
    for account in of_kind(objects, "ServiceAccount"):
        mounted = account.get("automountServiceAccountToken", True)
        if mounted and account["metadata"]["name"] != "sanefit-runner":
            yield name_of(account)
    for _, _, pod in pods(objects):
        if pod.get("serviceAccountName", "default") == "default":
            yield "a pod with the account default"


def images_are_pinned(objects: list[Object]) -> Iterator[str]:
    """By a version of at least two numbers, or by digest."""
    for _, _, pod in pods(objects):
        for container in containers(pod):
            if not re.search(r"(:v?\d+\.\d+[\w.-]*|@sha256:[0-9a-f]{64})$", container["image"]):
                yield container["image"]


def references_exist(objects: list[Object]) -> Iterator[str]:
    """Every secret, key, configuration, account and class that is named is there."""
    there = _offered(objects)
    for namespace, _, pod in pods(objects):
        for wanted in _wanted(pod):
            scope = "" if wanted[0] == "PriorityClass" else namespace
            if (scope, *wanted) not in there:
                yield f"{namespace}: {' '.join(filter(None, wanted))}"
    for item in of_kind(objects, "RoleBinding"):
        namespace = item["metadata"]["namespace"]
        if (namespace, "Role", item["roleRef"]["name"], "") not in there:
            yield name_of(item)
        for subject in item["subjects"]:
            if (subject["namespace"], "ServiceAccount", subject["name"], "") not in there:
                yield name_of(item)
    for item in of_kind(objects, "ExternalSecret"):
        store = item["spec"]["secretStoreRef"]
        if (item["metadata"]["namespace"], store["kind"], store["name"], "") not in there:
            yield name_of(item)
    for item in of_kind(objects, "LocalQueue"):
        if ("", "ClusterQueue", item["spec"]["clusterQueue"], "") not in there:
            yield name_of(item)
    for item in of_kind(objects, "ClusterQueue"):
        for group in item["spec"]["resourceGroups"]:
            for flavor in group["flavors"]:
                if ("", "ResourceFlavor", flavor["name"], "") not in there:
                    yield name_of(item)


Reference = tuple[str, str, str]


def _offered(objects: list[Object]) -> set[tuple[str, str, str, str]]:
    """Namespace, kind, name and, where it has any, key of everything."""
    found = set()
    for item in objects:
        namespace, kind, name = item["metadata"].get("namespace", ""), item["kind"], item["metadata"]["name"]
        keys = {*item.get("data", {}), *item.get("stringData", {})} if kind in ("Secret", "ConfigMap") else set()
        if kind == "ExternalSecret":
            kind, name = "Secret", item["spec"]["target"]["name"]
            keys = {entry["secretKey"] for entry in item["spec"]["data"]}
        found |= {(namespace, kind, name, key) for key in {"", *keys}}
    return found


def _wanted(pod: Object) -> Iterator[Reference]:
    """Kind, name and key of all that a pod names."""
    yield "ServiceAccount", pod.get("serviceAccountName", "default"), ""
    if "priorityClassName" in pod:
        yield "PriorityClass", pod["priorityClassName"], ""
    for secret in pod.get("imagePullSecrets", []):
        yield "Secret", secret["name"], ".dockerconfigjson"
    for volume in pod.get("volumes", []):
        if "configMap" in volume:
            yield "ConfigMap", volume["configMap"]["name"], ""
        if "secret" in volume:
            yield "Secret", volume["secret"]["secretName"], ""
    for container in containers(pod):
        yield from _wanted_in_environment(container)


def _wanted_in_environment(container: Object) -> Iterator[Reference]:
    for source in container.get("envFrom", []):
        for kind, key in (("ConfigMap", "configMapRef"), ("Secret", "secretRef")):
            if key in source:
                yield kind, source[key]["name"], ""
    for variable in container.get("env", []):
        for kind, key in (("ConfigMap", "configMapKeyRef"), ("Secret", "secretKeyRef")):
            if reference := variable.get("valueFrom", {}).get(key):
                yield kind, reference["name"], reference["key"]


def secrets_are_examples(objects: list[Object]) -> Iterator[str]:
    """No value but the one to replace, outside secrets too."""
    for secret in of_kind(objects, "Secret"):
        marked = secret["metadata"].get("labels", {}).get("sanefit.io/example") == "true"
        for key, value in {**secret.get("data", {}), **secret.get("stringData", {})}.items():
            if EXAMPLE not in value or not marked:
                yield f"{name_of(secret)}: {key}"
    for _, _, pod in pods(objects):
        for container in containers(pod):
            for variable in container.get("env", []):
                if re.search(r"(?i)password|secret|token|uri$", variable["name"]) and "value" in variable:
                    yield f"{container['name']}: {variable['name']} as text"


def namespaces_are_closed(objects: list[Object]) -> Iterator[str]:
    """Every namespace enforces restricted pods, denies all traffic by default, and everything has one of them."""
    namespaces = {item["metadata"]["name"]: item for item in of_kind(objects, "Namespace")}
    for name, namespace in namespaces.items():
        for mode in ("enforce", "audit", "warn"):
            if namespace["metadata"]["labels"].get(f"pod-security.kubernetes.io/{mode}") != "restricted":
                yield f"{name}: {mode}"
        if not any(_denies_all(item, name) for item in of_kind(objects, "NetworkPolicy")):
            yield f"{name}: no default-deny"
    for item in objects:
        if "namespace" in item["metadata"] and item["metadata"]["namespace"] not in namespaces:
            yield f"{name_of(item)}: namespace is missing"


def _denies_all(item: Object, namespace: str) -> bool:
    spec = item["spec"]
    return (
        item["metadata"]["namespace"] == namespace
        and spec["podSelector"] == {}
        and set(spec["policyTypes"]) == {"Ingress", "Egress"}
        and not spec.get("ingress")
        and not spec.get("egress")
    )


def traffic_is_narrow(objects: list[Object]) -> Iterator[str]:
    """Every way names a peer and ports; none leads everywhere."""
    for item in of_kind(objects, "NetworkPolicy"):
        for direction, peers in (("ingress", "from"), ("egress", "to")):
            for way in item["spec"].get(direction, []):
                if not way.get(peers) or not way.get("ports"):
                    yield f"{name_of(item)}: {direction} without peers or ports"
                for peer in way.get(peers, []):
                    if peer.get("ipBlock", {}).get("cidr", "").endswith("/0") or {} in peer.values():
                        yield f"{name_of(item)}: {direction} from or to everywhere"


def selectors_match(objects: list[Object]) -> Iterator[str]:
    """Services, disruption budgets and policies select pods that are here, on ports that these have."""
    for item in of_kind(objects, "Service", "PodDisruptionBudget", "NetworkPolicy"):
        spec, namespace = item["spec"], item["metadata"]["namespace"]
        selector = spec["podSelector"] if item["kind"] == "NetworkPolicy" else spec["selector"]
        selected = list(_selected(objects, namespace, selector.get("matchLabels", selector)))
        if not selected and selector != {}:
            yield f"{name_of(item)}: selects nothing"
        if item["kind"] == "Service":
            yield from _missing_ports(item, selected)
    yield from _ways_to_missing_ports(objects)


def _selected(objects: list[Object], namespace: str, labels: Object) -> Iterator[Object]:
    for where, has, pod in pods(objects):
        if where == namespace and labels.items() <= has.items():
            yield pod


def _ports(pod: Object) -> set[str | int]:
    ports = [port for container in containers(pod) for port in container.get("ports", [])]
    return {port["containerPort"] for port in ports} | {port["name"] for port in ports}


def _missing_ports(service: Object, selected: Iterable[Object]) -> Iterator[str]:
    for pod in selected:
        for port in service["spec"]["ports"]:
            if port["targetPort"] not in _ports(pod):
                yield f"{name_of(service)}: no port {port['targetPort']}"


def _ways_to_missing_ports(objects: list[Object]) -> Iterator[str]:
    """Ways between pods that are both here."""
    for item in of_kind(objects, "NetworkPolicy"):
        for way in item["spec"].get("egress", []):
            for peer in way["to"]:
                namespaces = peer.get("namespaceSelector", {}).get("matchLabels", {})
                namespace = namespaces.get("kubernetes.io/metadata.name", item["metadata"]["namespace"])
                labels = peer.get("podSelector", {}).get("matchLabels", {})
                for pod in _selected(objects, namespace, labels) if "podSelector" in peer else ():
                    if missing := {port["port"] for port in way["ports"]} - _ports(pod):
                        yield f"{name_of(item)}: no port {missing} at {labels}"


POLICIES: tuple[Policy, ...] = (
    pod_security_is_restricted,
    root_is_read_only,
    resources_are_stated,
    permissions_are_least,
    tokens_are_needed,
    images_are_pinned,
    references_exist,
    secrets_are_examples,
    namespaces_are_closed,
    traffic_is_narrow,
    selectors_match,
)
