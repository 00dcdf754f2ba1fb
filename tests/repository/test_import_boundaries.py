"""The walls of the house: who may import whom."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ROOMS = sorted(path.parent.name for path in ROOT.glob("components/*/component.py"))
FILES = sorted([*ROOT.glob("components/**/*.py"), *ROOT.glob("pipeline/**/*.py")])
SCHEMAS = {  # what pipeline may use of the foundation
    *("artifacts", "settings", "training_artifacts", "training_settings"),
    *("errors", "run_folder", "object_store", "parallel_work"),
}
ONLY_USER = {
    "boto3": "components/foundation/object_store.py",
    "botocore": "components/foundation/object_store.py",
    "mlflow": "components/foundation/tracking.py",
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
        target = name.split(".")
        top = target[0]
        if top in ONLY_USER:
            assert relative(path) == ONLY_USER[top], f"only {ONLY_USER[top]} uses {top}"
        if top == "kfp" and parts[0] == "components":
            assert path.name == "component.py", "kfp belongs in component.py and pipeline/"
        if parts[0] == "components":
            assert top != "pipeline", "the rooms do not know the pipeline"
        if top == "components" and len(target) > 1 and target[1] in ROOMS:
            if parts[0] == "components":
                assert parts[1] == target[1], f"{relative(path)} reaches into {target[1]}"
            elif parts[1] != "stats_cli.py":
                assert target[2] == "component", "the pipeline uses a room's component.py alone"
            else:
                assert target[1:3] == ["channel_stats", "source_statistics"], "a command measures a source"
        if top == "components" and len(target) > 1 and target[1] == "lecture":
            assert parts[1] in ("lecture", "lecture_cli.py"), "only its command runs the lecture"
        if parts[:2] == ("components", "lecture") and top == "components":
            assert target[1] in ("lecture", "foundation"), f"the lecture reaches into {target[1]}"
        if parts[0] == "pipeline" and top == "components" and len(target) > 1 and target[1] == "foundation":
            assert target[2] in SCHEMAS, f"the pipeline uses the foundation's schemas and its storage, not {name}"


@pytest.mark.parametrize("path", sorted(ROOT.glob("components/*/component.py")), ids=relative)
def test_a_component_imports_inside_its_body(path: Path) -> None:
    assert {name.split(".")[0] for name in imports(path, top_level_only=True)} == {"kfp"}


@pytest.mark.parametrize("module", [*sorted(SCHEMAS), "step_log"])
def test_the_schemas_do_not_load_torch(module: str) -> None:
    source = ROOT / "components" / "foundation" / f"{module}.py"
    heavy = {"torch", "mlflow", "matplotlib", "optuna", "boto3", "sklearn"}
    assert heavy.isdisjoint(name.split(".")[0] for name in imports(source, top_level_only=True))
