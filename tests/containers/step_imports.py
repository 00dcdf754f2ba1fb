"""Runs inside an image, where it comes as text: imports all that some modules import, wherever they do so.

Arguments: modules of the project. The last line printed is JSON: which of torch's modules were loaded, and which
modules had no byte code, so that Python compiles them each time.
"""

import ast
import importlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path


def imported_by(path: str) -> Iterator[str]:
    """Every import in a file, but for those that only a type checker follows, and those that may fail."""
    yield from _imports(ast.parse(Path(path).read_text()).body)


def _imports(nodes: list[ast.AST] | list[ast.stmt]) -> Iterator[str]:
    for node in nodes:
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            continue
        if isinstance(node, ast.Try) and any("ImportError" in ast.dump(handler) for handler in node.handlers):
            continue  # it says what to do where the package is missing
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module is not None:
            yield node.module
        yield from _imports(list(ast.iter_child_nodes(node)))


def import_all(modules: list[str]) -> None:
    """Import modules and what they import, through the whole project."""
    waiting, seen = list(modules), set(modules)
    while waiting:
        module = importlib.import_module(waiting.pop())
        if module.__name__.split(".")[0] == "sanefit" and module.__file__ is not None:
            new = set(imported_by(module.__file__)) - seen
            seen |= new
            waiting += new


import_all(sys.argv[1:])
cached = {name: getattr(module, "__cached__", None) for name, module in sys.modules.items()}
print(
    json.dumps(
        {
            "torch": "torch" in sys.modules,
            "not_compiled": [
                name for name, cache in cached.items() if isinstance(cache, str) and not Path(cache).exists()
            ],
        }
    )
)
