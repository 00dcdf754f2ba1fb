"""The walls of the house: who may import whom."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ROOMS = sorted(path.parent.name for path in ROOT.glob("components/*/steps.py"))
ROOM_LIKE = [*ROOMS, "lecture"]  # a room without a step
FILES = sorted([*ROOT.glob("components/**/*.py"), *ROOT.glob("pipeline/**/*.py")])
OF_A_ROOM = {"component", "steps", "api"}  # what the pipeline may import of it
# What the pipeline may import of the foundation: no training, no MLflow.
OF_THE_FOUNDATION = {"clock", "errors", "machine", "schemas", "step_lines", "storage"}
ONLY_USER = {
    "boto3": "components/foundation/storage/",
    "botocore": "components/foundation/storage/",
    "mlflow": "components/foundation/tracking/",
}


def imports(path: Path, *, top_level_only: bool = False) -> Iterator[str]:
    tree = ast.parse(path.read_text())
    for node in tree.body if top_level_only else ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def relative(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def test_the_rooms_are_the_steps_of_the_design() -> None:
    assert ROOMS == [
        "channel_stats",
        "dataset_snapshot",
        "final_training",
        "hyperparameter_search",
        "model_registry",
        "run_report",
        "sanity_checks",
    ]


@pytest.mark.parametrize("path", FILES, ids=relative)
def test_walls_hold(path: Path) -> None:
    parts = path.relative_to(ROOT).parts
    for name in imports(path):
        top = name.split(".")[0]
        assert top not in ("components", "pipeline"), f"{name}: a user's own, perhaps; ours are sanefit.{top}"
        if top in ONLY_USER:
            assert relative(path).startswith(ONLY_USER[top]), f"only {ONLY_USER[top]} uses {top}"
        if top == "kfp" and parts[0] == "components":
            assert path.name == "component.py", "kfp belongs in component.py and pipeline/"
        if top == "sanefit":
            _require_open(parts, name.split(".")[1:], name)


def _require_open(parts: tuple[str, ...], target: list[str], name: str) -> None:
    """One wall for one import of sanefit's own: ``target`` is what follows ``sanefit``."""
    if parts[0] == "components":
        assert target[0] != "pipeline", "the rooms do not know the pipeline"
        if parts[1] == "foundation":
            assert target[1] == "foundation", f"the foundation knows no room, not {name}"
        elif target[0] == "components":
            assert target[1] in (parts[1], "foundation"), f"{'/'.join(parts)} reaches into {target[1]}"
    elif target[0] == "components" and target[1] in ROOM_LIKE:
        assert target[2] in OF_A_ROOM, f"the pipeline uses a room's component.py, steps.py and api.py, not {name}"
        assert target[2] != "api" or parts[1] == "commands", f"an api.py is for commands, not {'/'.join(parts)}"
        assert target[2] != "steps" or parts[1] == "shared_tasks.py", f"steps.py is for tasks, not {'/'.join(parts)}"
    elif target[0] == "components":
        assert target[2] in OF_THE_FOUNDATION, f"the pipeline uses the foundation's schemas and storage, not {name}"


@pytest.mark.parametrize("path", sorted(ROOT.glob("components/*/component.py")), ids=relative)
def test_a_component_imports_inside_its_body(path: Path) -> None:
    assert {name.split(".")[0] for name in imports(path, top_level_only=True)} == {"kfp"}


@pytest.mark.parametrize("path", sorted(ROOT.glob("components/*/steps.py")), ids=relative)
def test_a_step_imports_inside_its_body(path: Path) -> None:
    """Or a task would wait for what its other steps need."""
    assert {name.split(".")[0] for name in imports(path, top_level_only=True)} <= {"collections", "pathlib"}


@pytest.mark.parametrize("path", sorted(ROOT.glob("components/foundation/schemas/*.py")), ids=relative)
def test_the_schemas_do_not_load_torch(path: Path) -> None:
    heavy = {"torch", "mlflow", "matplotlib", "optuna", "boto3", "sklearn"}
    assert heavy.isdisjoint(name.split(".")[0] for name in imports(path, top_level_only=True))


def test_no_module_imports_in_a_circle() -> None:
    """At the top level: what is imported inside a function may come later."""
    graph = {
        module_of(path): {known for name in imports(path, top_level_only=True) for known in _known(name)}
        for path in FILES
    }
    done: set[str] = set()
    for module in graph:
        _require_no_circle(module, graph, done, [])


def module_of(path: Path) -> str:
    return "sanefit." + ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


MODULES = {module_of(path) for path in FILES}


def _known(name: str) -> Iterator[str]:
    """The module that an import names: itself, or what it takes a name from."""
    found = name if name in MODULES else name.rpartition(".")[0]
    if found in MODULES:
        yield found


def _require_no_circle(module: str, graph: dict[str, set[str]], done: set[str], above: list[str]) -> None:
    assert module not in above, " imports ".join([*above[above.index(module) :], module]) if module in above else ""
    if module in done:
        return
    for imported in graph[module]:
        _require_no_circle(imported, graph, done, [*above, module])
    done.add(module)
