"""The recipes of CONTRIBUTING.md: each is applied to a copy of the tree, and what it promises is run there."""

import os
import re
import subprocess
import sys
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

import pytest
from source_tree import ROOT, copy_tree

pytestmark = pytest.mark.slow

BLOCK = re.compile(r"^<!-- recipe: ([\w -]+); ([^\n]+) -->\n```\w+\n(.*?)^```$", re.DOTALL | re.MULTILINE)
PLACE = re.compile(
    r'(?P<how>new|append) (?P<path>\S+)|(?P<line_how>before|after|replace) "(?P<line>.+)" in (?P<in_path>\S+)'
)
MOST_FILES = 2  # that exist already, a row in a document apart
MOST_LINES = 30  # outside the recipe's own new files


@dataclass(frozen=True)
class Edit:
    """A block of a recipe.

    ``how``: a ``new`` file, ``append``, or ``before``, ``after`` or in place of (``replace``) the one line that holds
    ``line``.
    """

    how: str
    path: str
    line: str
    text: str


@dataclass
class Recipe:
    edits: list[Edit]
    commands: str = ""


def recipes() -> dict[str, Recipe]:
    found: dict[str, Recipe] = defaultdict(lambda: Recipe([]))
    for name, place, text in BLOCK.findall((ROOT / "CONTRIBUTING.md").read_text()):
        if place == "run":
            found[name].commands += text
            continue
        match = PLACE.fullmatch(place)
        assert match, f"{name}: cannot read {place!r}"
        how, path = match["how"] or match["line_how"], match["path"] or match["in_path"]
        found[name].edits.append(Edit(how, path, match["line"] or "", text))
    return dict(found)


RECIPES = recipes()


def apply(edit: Edit, root: Path) -> None:
    path = root / edit.path
    assert path.exists() == (edit.how != "new"), edit
    if edit.how in ("new", "append"):
        path.write_text(f"{path.read_text()}\n\n{edit.text}" if edit.how == "append" else edit.text)
        return
    lines = path.read_text().splitlines(keepends=True)
    [found] = [number for number, line in enumerate(lines) if edit.line in line]
    put = {"before": [edit.text, lines[found]], "after": [lines[found], edit.text], "replace": [edit.text]}
    lines[found : found + 1] = put[edit.how]
    path.write_text("".join(lines))


def run(command: list[str], folder: Path, root: Path) -> None:
    """Run with the sources of ``root`` before every installed one."""
    environment = {
        **os.environ,
        "PYTHONPATH": str(root / "src"),
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "OMP_NUM_THREADS": "1",
    }
    environment.pop("MLFLOW_TRACKING_URI", None)  # mlflow, used by another test in this process, writes it
    finished = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=600, check=False
    )
    assert finished.returncode == 0, finished.stdout + finished.stderr


def test_every_block_with_a_place_is_a_recipe_with_a_command() -> None:
    assert (ROOT / "CONTRIBUTING.md").read_text().count("<!-- recipe:") == sum(
        len(recipe.edits) + 1 for recipe in RECIPES.values()
    )
    assert [name for name, recipe in RECIPES.items() if not recipe.edits or not recipe.commands] == []


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_is_small(name: str) -> None:
    others = [edit for edit in RECIPES[name].edits if edit.how != "new"]
    assert len({edit.path for edit in others if not edit.path.startswith("docs/")}) <= MOST_FILES
    assert sum(edit.text.count("\n") for edit in others) <= MOST_LINES


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_works_and_is_in_the_house_s_style(name: str, tmp_path: Path) -> None:
    recipe = RECIPES[name]
    (tmp_path / "tree").mkdir()
    tree = copy_tree(tmp_path / "tree")
    for edit in recipe.edits:
        apply(edit, tree)
    written = [edit.path for edit in recipe.edits if edit.path.endswith(".py")]
    run(["ruff", "check", "--no-cache", *written], tree, tree)
    run(["ruff", "format", "--no-cache", "--check", *written], tree, tree)
    (tmp_path / "work").mkdir()
    run(["bash", "-euo", "pipefail", "-c", recipe.commands], tmp_path / "work", tree)
