"""The names that the watchers of a run know are those that its definition gives."""

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sanefit.pipeline.placement import ON_THIS_MACHINE
from sanefit.pipeline.task_names import COMPARISON, SANITY, STAGES, STEPS, TRAINING_PIPELINE
from sanefit.pipeline.training_pipeline import training_pipeline

COMPONENTS = Path(__file__).parents[2] / "components"


@pytest.fixture(scope="module")
def compiled() -> Any:
    return training_pipeline(ON_THIS_MACHINE, skip_unchanged=True).pipeline_spec


def component_names(spec: Any, *, with_executor: bool) -> set[str]:
    return {
        name.removeprefix("comp-")
        for name, component in spec.components.items()
        if bool(component.executor_label) == with_executor
    }


def test_every_task_has_its_step(compiled: Any) -> None:
    tasks = component_names(compiled, with_executor=True)
    assert STEPS.keys() <= tasks
    assert {component_of(name) for name in tasks} == {component_of(name) for name in STEPS}
    assert {COMPARISON, SANITY} < tasks


def test_the_pipelines_are_named_as_their_watchers_know_them(compiled: Any) -> None:
    assert compiled.pipeline_info.name == TRAINING_PIPELINE
    assert STAGES.keys() <= component_names(compiled, with_executor=False)


def test_each_component_prints_under_the_name_of_its_step() -> None:
    printed = dict(step for path in COMPONENTS.glob("*/component.py") for step in printed_names(path))
    known: dict[str, set[str]] = {}
    for task, step in STEPS.items():
        known.setdefault(component_of(task), set()).add(step)
    assert printed == known


def component_of(task: str) -> str:
    """The component of a task, which may be there twice."""
    return task.rstrip("0123456789").rstrip("-")


def printed_names(path: Path) -> Iterator[tuple[str, set[str]]]:
    """Each component and what it may give to ``running_step``; of ``f"{stage} pack {number}"`` the word ``pack``."""
    for function in ast.parse(path.read_text()).body:
        if isinstance(function, ast.FunctionDef):
            values = {
                target.id: node.value
                for node in ast.walk(function)
                if isinstance(node, ast.Assign)
                for target in node.targets
                if isinstance(target, ast.Name)
            }
            [name] = [
                node.args[0]
                for node in ast.walk(function)
                if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "running_step"
            ]
            given = values[name.id] if isinstance(name, ast.Name) else name
            each = [given.body, given.orelse] if isinstance(given, ast.IfExp) else [given]
            yield function.name.replace("_", "-"), {words_of(one) for one in each}


def words_of(name: ast.AST) -> str:
    parts = [node.value for node in ast.walk(name) if isinstance(node, ast.Constant) and isinstance(node.value, str)]
    return " ".join(parts).strip()
