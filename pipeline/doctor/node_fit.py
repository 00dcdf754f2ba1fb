"""Which nodes of a cluster can take a step, and why the others cannot.

A node counts as if it were empty: what other pods use now is the scheduler's business.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import TypeGuard

from kubernetes.utils.quantity import parse_quantity

from sanefit.pipeline.settings.cluster_settings import NodeRequirement, StepSettings, Toleration


@dataclass(frozen=True)
class Taint:
    """As in a node's specification."""

    key: str
    value: str
    effect: str


@dataclass(frozen=True)
class Node:
    """What the scheduler looks at. ``allocatable`` holds Kubernetes quantities by resource name."""

    name: str
    ready: bool
    labels: Mapping[str, str]
    taints: Sequence[Taint]
    allocatable: Mapping[str, str]


@dataclass(frozen=True)
class Demand:
    """What one pod asks for; ``accelerators`` by resource name."""

    step: StepSettings
    accelerators: Mapping[str, str]
    tolerations: Sequence[Toleration]


def pods_that_fit(node: Node, demand: Demand) -> int:
    """How many such pods the node holds when it is empty; 0 when it takes none."""
    if obstacle(node, demand) is not None:
        return 0
    return min(int(_allocatable(node, name) // wanted) for name, wanted in _wanted(demand).items())


def obstacle(node: Node, demand: Demand) -> str | None:
    """The first reason why the node never takes such a pod; None when it does."""
    if not node.ready:
        return "not ready, or closed to new pods"
    for key, value in demand.step.node_selector.items():
        if node.labels.get(key) != value:
            return f"label {key} is {node.labels.get(key)!r}, node_selector wants {value!r}"
    for requirement in demand.step.node_affinity:
        if requirement.weight is None and not _holds(requirement, node.labels):
            return f"label {requirement.key} is {node.labels.get(requirement.key)!r}, against node_affinity"
    for taint in node.taints:
        if taint.effect != "PreferNoSchedule" and not any(_tolerates(t, taint) for t in demand.tolerations):
            return f"taint {taint.key}={taint.value}:{taint.effect} is not tolerated"
    for name, wanted in _wanted(demand).items():
        if _allocatable(node, name) < wanted:
            return f"offers {name} {node.allocatable.get(name, '0')}, a pod wants {wanted:f}"
    return None


def _wanted(demand: Demand) -> dict[str, Decimal]:
    quantities = {"cpu": demand.step.cpu, "memory": demand.step.memory, **demand.accelerators}
    return {name: wanted for name, text in quantities.items() if (wanted := parse_quantity(text)) > 0}


def _allocatable(node: Node, name: str) -> Decimal:
    return Decimal(parse_quantity(node.allocatable.get(name, "0")))


def _tolerates(toleration: Toleration, taint: Taint) -> bool:
    """The rule of the Kubernetes documentation, "Taints and Tolerations"."""
    if toleration.effect and toleration.effect != taint.effect:
        return False
    if not toleration.key:
        return toleration.operator == "Exists"
    return toleration.key == taint.key and (toleration.operator == "Exists" or toleration.value == taint.value)


def _holds(requirement: NodeRequirement, labels: Mapping[str, str]) -> bool:
    value = labels.get(requirement.key)
    match requirement.operator:
        case "In":
            return value in requirement.values
        case "NotIn":
            return value not in requirement.values
        case "Exists":
            return value is not None
        case "DoesNotExist":
            return value is None
        case "Gt":
            return _is_integer(value) and int(value) > int(requirement.values[0])
        case "Lt":
            return _is_integer(value) and int(value) < int(requirement.values[0])


def _is_integer(value: str | None) -> TypeGuard[str]:
    return value is not None and value.removeprefix("-").isdigit()
