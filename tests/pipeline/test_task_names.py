"""The names that the watchers of a run know are those that its definition gives."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sanefit.components.foundation.schemas.search import SearchSettings
from sanefit.pipeline.placement import ON_THIS_MACHINE
from sanefit.pipeline.task_names import TASKS, TRAINING_PIPELINE, Task, task_named
from sanefit.pipeline.training_pipeline import training_pipeline

ROOT = Path(__file__).parents[2]
PACK = re.compile("(coarse|fine) pack")


@pytest.fixture(scope="module")
def compiled() -> Any:
    return training_pipeline(ON_THIS_MACHINE, SearchSettings(packs=3), skip_unchanged=True).pipeline_spec


def test_the_pipeline_is_named_as_its_watchers_know_it(compiled: Any) -> None:
    assert compiled.pipeline_info.name == TRAINING_PIPELINE


def test_every_task_is_known_by_its_name(compiled: Any) -> None:
    components = {name.removeprefix("comp-") for name, one in compiled.components.items() if one.executor_label}
    packs = {f"{stage}-pack-{number}" for stage in ("coarse", "fine") for number in (2, 3)}
    assert components == {*TASKS, *packs}
    dags = [compiled.root, *compiled.components.values()]
    tasks = {
        name: task.component_ref.name.removeprefix("comp-") for dag in dags for name, task in dag.dag.tasks.items()
    }
    for name, component in tasks.items():
        if component in components:
            known = task_named(name)
            assert known is not None
            task = TASKS[component] if component in TASKS else TASKS[component.rpartition("-")[0]]
            assert known.name.startswith(task.name)
            assert known.steps == task.steps
    assert task_named("coarse-pack") == Task("coarse pack 1")
    assert task_named("fine-pack-3") == Task("fine pack 3")
    assert tasks.keys() >= {"coarse-pack", "fine-pack-3"}


@pytest.mark.parametrize("name", ["executor", "root", "exit-handler-1", "coarse-pack-x", ""])
def test_what_is_no_task_of_ours_is_not_known(name: str) -> None:
    assert task_named(name) is None


def test_a_task_prints_under_the_names_of_its_steps() -> None:
    """In the order in which its source calls them."""
    printed = {name: steps for path in ROOT.glob("components/*/steps.py") for name, steps in printed_names(path)}
    for path in (*ROOT.glob("components/*/component.py"), ROOT / "pipeline" / "shared_tasks.py"):
        for function in functions(path):
            if (task := TASKS.get(function.name.replace("_", "-"))) is not None:
                called = [printed[name] for name in calls(function) if name in printed]
                steps = task.steps or (task.name,)
                assert len(called) == len(steps), function.name
                for step, names in zip(steps, called, strict=True):
                    assert PACK.sub("pack", step) in names or step.partition(" ")[2] in names, (function.name, step)


def functions(path: Path) -> Iterator[ast.FunctionDef]:
    yield from (node for node in ast.parse(path.read_text()).body if isinstance(node, ast.FunctionDef))


def calls(function: ast.FunctionDef) -> list[str]:
    found = [node for node in ast.walk(function) if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)]
    return [str(call.func.id) for call in sorted(found, key=lambda call: call.lineno)]  # type: ignore[attr-defined]


def printed_names(path: Path) -> Iterator[tuple[str, set[str]]]:
    """Each step and what it may give to ``running_step``; of ``f"{stage} pack {number}"`` the word ``pack``."""
    for function in functions(path):
        [name] = [
            node.args[0]
            for node in ast.walk(function)
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "running_step"
        ]
        each = [name.body, name.orelse] if isinstance(name, ast.IfExp) else [name]
        yield function.name, {words_of(one) for one in each}


def words_of(name: ast.AST) -> str:
    parts = [node.value for node in ast.walk(name) if isinstance(node, ast.Constant) and isinstance(node.value, str)]
    return " ".join(parts).strip()
