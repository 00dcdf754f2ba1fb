"""Whether each kind of step finds a node, and what GPU nodes say of their driver."""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal

from kubernetes import client
from kubernetes.utils.quantity import parse_quantity

from sanefit.pipeline.doctor.cluster_findings import reason
from sanefit.pipeline.doctor.findings import Finding
from sanefit.pipeline.doctor.node_fit import Demand, Node, Taint, obstacle, pods_that_fit
from sanefit.pipeline.kubeflow.client.kubernetes_api import call
from sanefit.pipeline.placement import GPU_TAINT
from sanefit.pipeline.settings.cluster_settings import ClusterSettings, StepSettings

NODES_SHOWN = 3
ENDED = ("Succeeded", "Failed")
NVIDIA_GPU = "nvidia.com/gpu"
DRIVER_LABELS = ("nvidia.com/cuda.driver-version.full", "nvidia.com/cuda.driver.major")  # of GPU feature discovery
CARD_LABELS = ("nvidia.com/gpu.present", "feature.node.kubernetes.io/pci-10de.present")
Used = dict[str, dict[str, Decimal]]  # by node, by resource


def node_findings(api: client.ApiClient, cluster: ClusterSettings) -> Iterator[Finding]:
    """Whether each kind of step finds a node, how many at once, and how many beside what runs now; then of the GPUs."""
    try:
        nodes = _nodes(api)
    except client.ApiException as error:
        yield Finding("nodes", "unknown", f"cannot be listed: {reason(error)}", "ask for `list` on nodes to check them")
        return
    used = _used(api)
    for what, step, gpus in (
        ("data steps", cluster.data_steps, "0"),
        ("trainer steps", cluster.trainer_steps, "0"),
        ("search packs", cluster.search_packs, cluster.gpus),
        ("final training", cluster.final_training, cluster.final_training_gpus),
    ):
        yield _fit(what, nodes, used, _demand(step, {} if gpus == "0" else {cluster.gpu_resource: gpus}))
    if cluster.gpu_resource == NVIDIA_GPU and {cluster.gpus, cluster.final_training_gpus} != {"0"}:
        yield from _gpu_findings(nodes)


def _gpu_findings(nodes: list[Node]) -> Iterator[Finding]:
    """Nodes whose cards offer no GPU, or whose driver cannot be told; nothing where all is well."""
    offering = [node for node in nodes if _offers(node, NVIDIA_GPU)]
    if silent := [node for node in offering if not any(label in node.labels for label in DRIVER_LABELS)]:
        yield Finding(
            "GPU driver",
            "warning",
            f"{_names(silent)}: no label tells the driver, so whether it is new enough for the CUDA of torch shows in "
            "the first pack",
            "run NVIDIA's GPU feature discovery, or compare `nvidia-smi` there with torch.version.cuda",
        )
    with_cards = [node for node in nodes if any(node.labels.get(label) == "true" for label in CARD_LABELS)]
    if idle := [node for node in with_cards if not any(_offers(node, name) for name in _of_nvidia(node))]:
        yield Finding(
            "GPU driver",
            "warning",
            f"{_names(idle)}: a card of NVIDIA, and no {NVIDIA_GPU} is offered",
            "install the driver and NVIDIA's device plugin, or its GPU operator",
        )


def _of_nvidia(node: Node) -> list[str]:
    """Whole cards, or slices of them."""
    return [name for name in node.allocatable if name.startswith("nvidia.com/")]


def _offers(node: Node, resource: str) -> bool:
    return bool(parse_quantity(node.allocatable.get(resource, "0")))


def _names(nodes: list[Node]) -> str:
    return ", ".join(node.name for node in nodes[:NODES_SHOWN]) + (", …" if len(nodes) > NODES_SHOWN else "")


def _nodes(api: client.ApiClient) -> list[Node]:
    return [_node(item) for item in call(client.CoreV1Api(api).list_node).items]


def _node(item: client.V1Node) -> Node:
    ready = any(c.type == "Ready" and c.status == "True" for c in item.status.conditions or ())
    taints = [Taint(taint.key, taint.value or "", taint.effect) for taint in item.spec.taints or ()]
    return Node(
        name=item.metadata.name,
        ready=ready and not item.spec.unschedulable,
        labels=item.metadata.labels or {},
        taints=taints,
        allocatable=item.status.allocatable or {},
    )


def _used(api: client.ApiClient) -> Used | None:
    """What the pods of each node ask for; None where they may not be listed."""
    try:
        pods = call(client.CoreV1Api(api).list_pod_for_all_namespaces).items
    except client.ApiException:
        return None
    used: Used = defaultdict(lambda: defaultdict(Decimal))
    for pod in pods:
        if pod.spec.node_name and pod.status.phase not in ENDED:
            for name, wanted in _requests(pod).items():
                used[pod.spec.node_name][name] += wanted
    return used


def _requests(pod: client.V1Pod) -> dict[str, Decimal]:
    """Of its containers; an init container that asks for more counts in their place, as for the scheduler."""
    together: dict[str, Decimal] = defaultdict(Decimal)
    for container in pod.spec.containers:
        for name, text in _of(container).items():
            together[name] += parse_quantity(text)
    for container in pod.spec.init_containers or ():
        for name, text in _of(container).items():
            together[name] = max(together[name], parse_quantity(text))
    return together


def _of(container: client.V1Container) -> dict[str, str]:
    return (container.resources.requests if container.resources else None) or {}


def _demand(step: StepSettings, accelerators: dict[str, str]) -> Demand:
    tolerations = [*step.tolerations]
    if any(name.startswith("nvidia.com/") for name in accelerators):
        tolerations.append(GPU_TAINT)
    return Demand(step, accelerators, tolerations)


def _fit(what: str, nodes: list[Node], used: Used | None, demand: Demand) -> Finding:
    takers = [node for node in nodes if pods_that_fit(node, demand)]
    if takers:
        pods = sum(pods_that_fit(node, demand) for node in takers)
        now = "" if used is None else f", {sum(pods_that_fit(_left(node, used), demand) for node in takers)} now"
        return Finding(
            what,
            "ok",
            f"{len(takers)} of {len(nodes)} nodes take one ({_names(takers)}), {pods} at once when empty{now}",
        )
    reasons = [f"{node.name} {obstacle(node, demand)}" for node in nodes[:NODES_SHOWN]]
    section = what.replace(" ", "_")
    return Finding(
        what,
        "failed",
        f"none of {len(nodes)} nodes takes one: {', '.join(reasons) or 'the cluster has no nodes'}",
        f"correct cluster.{section}, cluster.gpu_resource or cluster.gpus, or add such a node",
    )


def _left(node: Node, used: Used) -> Node:
    """The same node with what its pods leave."""
    taken = used.get(node.name, {})
    left = {name: str(max(parse_quantity(text) - taken.get(name, 0), 0)) for name, text in node.allocatable.items()}
    return replace(node, allocatable=left)
