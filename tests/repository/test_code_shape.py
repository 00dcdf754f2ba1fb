"""How long functions and files may be, and how many parameters a function may take."""

import ast
import statistics
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FILES = sorted([*ROOT.glob("components/**/*.py"), *ROOT.glob("pipeline/**/*.py")])
MEDIAN_LINES, NINTH_DECILE_LINES, FILE_LINES, PARAMETERS = 9, 25, 250, 8
Function = ast.FunctionDef | ast.AsyncFunctionDef


def functions(path: Path) -> Iterator[Function]:
    yield from (node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, Function))


def length(function: Function) -> int:
    """In lines, signature included, docstring not."""
    first = function.body[0]
    documented = isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant)
    last_line = function.end_lineno or 0
    of_docstring = (first.end_lineno or 0) - first.lineno + 1 if documented else 0
    return last_line - function.lineno + 1 - of_docstring


def parameters(function: Function) -> int:
    given = function.args
    named = [*given.posonlyargs, *given.args, *given.kwonlyargs, given.vararg, given.kwarg]
    return sum(argument is not None and argument.arg not in ("self", "cls") for argument in named)


def relative(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def declares_parameters_of_users(path: Path) -> bool:
    """A task's, a pipeline's and a command's parameters are what users give."""
    of_tasks = ("component.py", "steps.py", "shared_tasks.py", "training_pipeline.py")
    return path.name in of_tasks or "commands" in path.parts


def test_functions_are_short() -> None:
    lengths = [length(function) for path in FILES for function in functions(path)]
    assert statistics.median(lengths) <= MEDIAN_LINES
    assert statistics.quantiles(lengths, n=10)[-1] <= NINTH_DECILE_LINES


@pytest.mark.parametrize("path", FILES, ids=relative)
def test_a_file_fits_into_a_few_screens(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= FILE_LINES


@pytest.mark.parametrize("path", [path for path in FILES if not declares_parameters_of_users(path)], ids=relative)
def test_a_function_takes_few_parameters(path: Path) -> None:
    assert not [function.name for function in functions(path) if parameters(function) > PARAMETERS]
