"""The estimated size of Argo's workflow, beside that of a real one: Kubeflow 2.17, two packs in each of two stages."""

import hashlib
import json
import random
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml
from recordings import FOLDER
from workflow_tasks import ROUNDS
from workflow_tasks import nodes_of as nodes_of_the_double

from sanefit.components.foundation.errors import SettingsError
from sanefit.pipeline.compile import compile_pipeline
from sanefit.pipeline.container_images import container_images
from sanefit.pipeline.kubeflow.runs.workflow_size import (
    LIMIT,
    CompiledPipeline,
    WorkflowNode,
    compressed_bytes,
    nodes_of,
    require_fit,
    specification_bytes,
    workflow_bytes,
)
from sanefit.pipeline.settings.run_config import RunConfig

pytestmark = pytest.mark.slow

RECORDED = json.loads((FOLDER / "kubeflow-2.17-workflow-size.json").read_text())
OF_16_PACKS = 435_000  # bytes of the nodes of the same pipeline with 16 packs in each stage, seen on the same cluster
BY_VALUE = 2_500  # characters: more than that beside container and component were a result, which was handed on whole


def with_packs(config: RunConfig, packs: int, folder: Path) -> Path:
    search = config.search.model_copy(
        update={
            "packs": packs,
            "coarse": config.search.coarse.model_copy(update={"trials": 512}),
            "fine": config.search.fine.model_copy(update={"trials": 512}),
        }
    )
    path = folder / f"{packs}.yaml"
    compile_pipeline(config.model_copy(update={"search": search}), container_images(), path)
    return path


def read(path: Path) -> CompiledPipeline:
    """As ``with_packs`` wrote it."""
    return CompiledPipeline(*yaml.safe_load_all(path.read_text()), rounds=int(path.stem))


def recorded_nodes(packs: int, corpus: str) -> Iterator[WorkflowNode]:
    """The nodes of the recording, which holds lengths alone, with texts of that length; its packs as often as asked."""

    def text(key: str, length: int) -> str:
        start = int(hashlib.sha256(key.encode()).hexdigest()[:6], 16) % len(corpus)
        return (corpus * 3)[start : start + length]

    for node in RECORDED["nodes"]:
        of_pack = re.search(r"iterations\((\d):\d\)", node["name"])
        if of_pack and of_pack[1] == "1":
            continue
        task = re.sub(r"\(\d+(:\d+)?\)|-driver|\.executor", "", node["name"])
        sizes = node["parameters"]
        given = {name: text(task + name, size) for name, size in sizes.items() if name != "pod-spec-patch"}
        if "pod-spec-patch" in sizes:
            given["pod-spec-patch"] = patch(task, sizes["pod-spec-patch"], text)
        for number in range(packs if of_pack else 1):
            name = node["name"].replace("iterations(0:0)", f"iterations({number}:{number})")
            yield WorkflowNode(name.partition(".")[2] or name, node["type"], given)


def patch(task: str, length: int, text: Any) -> str:
    """Container, component, what every pod has, and what the task was given: numbers, where that is long."""
    known = text(f"{task}container", min(length, 2_000)) + text(f"{task}component", min(length, 300))
    known += text("every pod", 1_700)
    left = length - len(known)
    if left < BY_VALUE:
        return str((known + text(f"{task}values", max(0, left)))[:length])
    numbers = random.Random(task)
    return known + "".join(f'"validation_accuracy":{numbers.random():.6f},' for _ in range(left // 29))


def test_the_nodes_of_the_recorded_workflow_are_as_large_as_they_were(compiled: Path) -> None:
    """Nothing here is fitted to the recording."""
    corpus = json.dumps([*yaml.safe_load_all(compiled.read_text())], separators=(",", ":"))
    two, sixteen = (compressed_bytes([*recorded_nodes(packs, corpus)]) for packs in (2, 16))
    assert 0.75 <= two / RECORDED["nodes_compressed_base64_bytes"] <= 1.1
    assert 0.9 <= sixteen / OF_16_PACKS <= 1.1


@pytest.mark.parametrize("packs", [2, ROUNDS])
def test_the_nodes_are_those_that_kubeflow_makes(packs: int, config: RunConfig, tmp_path: Path) -> None:
    compiled = read(with_packs(config, packs, tmp_path))
    known = [f"w(0).{node.path}" for node in nodes_of(compiled)]
    made = [node.path for node in nodes_of_the_double(dict(compiled.pipeline), "w")]
    missing = {path for path in {*made} - {*known} if ".onExit" not in path and "close-run" not in path}
    assert missing <= {"w", "w(0)", *(path for path in made if path.endswith("iteration-iterations"))}
    assert len(known) == len({*known})
    assert 0.9 <= len(known) / len(made) <= 1


def test_hundreds_of_packs_fit_and_more_are_refused_with_the_largest_number(config: RunConfig, tmp_path: Path) -> None:
    for packs in (2, 32, 200):
        require_fit(with_packs(config, packs, tmp_path), packs)
    with pytest.raises(SettingsError, match=r"search\.packs=300: .* for which (\d+) packs") as refused:
        require_fit(with_packs(config, 300, tmp_path), 300)
    most = int(re.search(r"set search\.packs=(\d+)", str(refused.value))[1])  # type: ignore[index]
    assert 200 <= most < 300
    sizes = [workflow_bytes(read(with_packs(config, packs, tmp_path))) for packs in (most, most + 1)]
    assert sizes[0] <= LIMIT < sizes[1]


def test_a_few_packs_leave_most_of_the_room(config: RunConfig, tmp_path: Path) -> None:
    small, large = (read(with_packs(config, packs, tmp_path)) for packs in (2, 32))
    assert workflow_bytes(small) < 0.2 * LIMIT
    assert workflow_bytes(large) < 0.5 * LIMIT
    assert specification_bytes(small) < RECORDED["spec_bytes"]


def test_nothing_in_a_node_is_large(config: RunConfig, tmp_path: Path) -> None:
    """Each text is kept six times."""
    largest = max(nodes_of(read(with_packs(config, 2, tmp_path))), key=lambda node: sum(map(len, node.given.values())))
    assert sum(map(len, largest.given.values())) < 24_000
    assert largest_given(nodes_of(read(with_packs(config, 2, tmp_path)))) < 16_384


def largest_given(nodes: Iterator[WorkflowNode] | Sequence[WorkflowNode]) -> int:
    return max(len(text) for node in nodes for name, text in node.given.items() if name == "pod-spec-patch")
