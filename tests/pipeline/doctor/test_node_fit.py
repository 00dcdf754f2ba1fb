"""Which nodes can take a step. The oracle is the table of the Kubernetes documentation, case by case."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sanefit.pipeline.doctor.node_fit import Demand, Node, Taint, obstacle, pods_that_fit
from sanefit.pipeline.settings.cluster_settings import NodeRequirement, SearchPacks, Toleration

GPU = "nvidia.com/gpu"
ROOMY = {"cpu": "64", "memory": "512Gi", GPU: "8"}


def node(**changes: object) -> Node:
    return Node(**({"name": "n", "ready": True, "labels": {}, "taints": (), "allocatable": ROOMY} | changes))  # type: ignore[arg-type]


def demand(gpus: str = "1", tolerations: tuple[Toleration, ...] = (), **step: object) -> Demand:
    return Demand(SearchPacks.model_validate(step), {GPU: gpus}, tolerations)


@pytest.mark.parametrize(
    ("allocatable", "pods"),
    [
        ({"cpu": "64", "memory": "512Gi", GPU: "8"}, 8),  # GPUs end first
        ({"cpu": "7910m", "memory": "512Gi", GPU: "8"}, 1),  # 4 of 7.91 cores
        ({"cpu": "3999m", "memory": "512Gi", GPU: "8"}, 0),
        ({"cpu": "64", "memory": "33554432Ki", GPU: "8"}, 2),  # 32Gi
        ({"cpu": "64", "memory": "16777215Ki", GPU: "8"}, 0),  # one Ki short of 16Gi
        ({"cpu": "64", "memory": "512Gi"}, 0),
        ({"cpu": "64", "memory": "512Gi", "nvidia.com/mig-1g.10gb": "7"}, 0),
    ],
)
def test_how_many_packs_a_node_holds(allocatable: dict[str, str], pods: int) -> None:
    assert pods_that_fit(node(allocatable=allocatable), demand()) == pods


def test_the_reason_names_what_the_node_offers() -> None:
    reason = obstacle(node(allocatable={"cpu": "64", "memory": "512Gi"}), demand("2"))
    assert reason == f"offers {GPU} 0, a pod wants 2"


def test_a_node_that_is_not_ready_takes_nothing() -> None:
    assert obstacle(node(ready=False), demand()) == "not ready, or closed to new pods"


def test_without_gpus_any_node_does() -> None:
    assert pods_that_fit(node(allocatable={"cpu": "4", "memory": "16Gi"}), demand("0")) == 1


TAINT = Taint("team", "vision", "NoSchedule")


@pytest.mark.parametrize(
    ("toleration", "tolerated"),
    [
        ({"key": "team"}, True),
        ({"key": "team", "effect": "NoSchedule"}, True),
        ({"key": "team", "effect": "NoExecute"}, False),
        ({"key": "team", "operator": "Equal", "value": "vision"}, True),
        ({"key": "team", "operator": "Equal", "value": "speech"}, False),
        ({"key": "other"}, False),
        ({}, True),  # empty key and Exists: everything
        ({"effect": "NoSchedule"}, True),
        ({"operator": "Equal"}, False),
    ],
)
def test_tolerations(toleration: dict[str, str], tolerated: bool) -> None:
    wanted = demand(tolerations=(Toleration.model_validate(toleration),))
    assert (obstacle(node(taints=(TAINT,)), wanted) is None) == tolerated


def test_every_taint_must_be_tolerated_and_wishes_do_not_count() -> None:
    both = node(taints=(TAINT, Taint("spot", "", "NoExecute"), Taint("slow", "", "PreferNoSchedule")))
    assert obstacle(both, demand(tolerations=(Toleration(key="team"),))) == "taint spot=:NoExecute is not tolerated"
    assert obstacle(both, demand(tolerations=(Toleration(key="team"), Toleration(key="spot")))) is None


def test_a_node_selector_wants_every_label() -> None:
    wanted = demand(node_selector={"pool": "gpu", "zone": "a"})
    assert obstacle(node(labels={"pool": "gpu", "zone": "a"}), wanted) is None
    assert "zone is 'b'" in str(obstacle(node(labels={"pool": "gpu", "zone": "b"}), wanted))
    assert "zone is None" in str(obstacle(node(labels={"pool": "gpu"}), wanted))


@pytest.mark.parametrize(
    ("operator", "values", "label", "holds"),
    [
        ("In", ["a", "b"], "b", True),
        ("In", ["a"], "b", False),
        ("In", ["a"], None, False),
        ("NotIn", ["a"], "b", True),
        ("NotIn", ["a"], "a", False),
        ("NotIn", ["a"], None, True),
        ("Exists", [], "", True),
        ("Exists", [], None, False),
        ("DoesNotExist", [], None, True),
        ("DoesNotExist", [], "a", False),
        ("Gt", ["8"], "9", True),
        ("Gt", ["8"], "8", False),
        ("Gt", ["8"], "many", False),
        ("Gt", ["8"], None, False),
        ("Lt", ["8"], "-7", True),
        ("Lt", ["8"], "8", False),
    ],
)
def test_node_affinity(operator: str, values: list[str], label: str | None, holds: bool) -> None:
    requirement = {"key": "k", "operator": operator, "values": values}
    labels = {} if label is None else {"k": label}
    assert (obstacle(node(labels=labels), demand(node_affinity=[requirement])) is None) == holds
    assert obstacle(node(labels=labels), demand(node_affinity=[requirement | {"weight": 1}])) is None


@pytest.mark.parametrize(("operator", "values"), [("In", ()), ("Exists", ("a",)), ("Gt", ("a",)), ("Lt", ("1", "2"))])
def test_values_must_belong_to_the_operator(operator: str, values: tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match="correct values"):
        NodeRequirement(key="k", operator=operator, values=values)  # type: ignore[arg-type]


@given(cpu=st.integers(1, 200), memory=st.integers(1, 2000), gpus=st.integers(1, 16))
def test_the_pods_that_fit_do_fit_and_one_more_does_not(cpu: int, memory: int, gpus: int) -> None:
    room = {"cpu": f"{cpu}", "memory": f"{memory}Gi", GPU: f"{gpus}"}
    pods = pods_that_fit(node(allocatable=room), demand("2", cpu="3", memory="7Gi"))
    assert pods * 3 <= cpu and pods * 7 <= memory and pods * 2 <= gpus  # noqa: PT018
    more = pods + 1
    assert more * 3 > cpu or more * 7 > memory or more * 2 > gpus
