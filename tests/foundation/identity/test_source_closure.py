"""Which modules a module imports: what Python itself imports is the oracle, on real files."""

import json
import subprocess
import sys
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sanefit.components.foundation.identity.source_closure import source_closure

Closure = Callable[..., set[str]]


def write(root: Path, files: Mapping[str, str]) -> None:
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)


def imported_by_python(root: Path, entry: str) -> set[str]:
    """The modules of a tree that have a file, after a process has imported one."""
    program = (
        f"import sys, json, {entry}; print(json.dumps([name for name, module in sys.modules.items()"
        f" if (getattr(module, '__file__', None) or '').startswith({str(root)!r})]))"
    )
    command = [sys.executable, "-c", program]
    printed = subprocess.run(command, env={"PYTHONPATH": str(root)}, check=True, capture_output=True, text=True).stdout
    return set(json.loads(printed))


@pytest.fixture
def closure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Closure:
    """Write a tree, and read what its entry imports of it."""
    monkeypatch.syspath_prepend(str(tmp_path))

    def read(files: Mapping[str, str], entry: str = "entry") -> set[str]:
        write(tmp_path, files)
        return set(source_closure([entry], lambda _, path: path.is_relative_to(tmp_path)))

    return read


TREE = {
    "entry.py": "import a.b.c as c\nfrom d import *\nfrom e.f import g\nfrom e.f.h import VALUE\nimport ns.inner.leaf",
    "a/__init__.py": "",
    "a/b/__init__.py": "from . import sibling",
    "a/b/c.py": "from .. import beside\nfrom ..deep.er import NAME\nfrom .other import (x,\n  y)",
    "a/b/other.py": "x = y = 1",
    "a/b/sibling.py": "import a.b.c",  # in a circle
    "a/beside.py": "def later():\n    pass",
    "a/deep/er.py": "NAME = 'no __init__ above me'",
    "a/unused.py": "",
    "d.py": "from ns import other",
    "e/__init__.py": "",
    "e/f/__init__.py": "",
    "e/f/g.py": "import e.f.h",
    "e/f/h.py": "VALUE = 1",
    "ns/inner/leaf.py": "from . import beside_leaf",
    "ns/inner/beside_leaf.py": "",
    "ns/other.py": "",
    "ns/unused.py": "",
}


def test_it_is_what_python_imports(closure: Closure, tmp_path: Path) -> None:
    found = closure(TREE)
    assert found == imported_by_python(tmp_path, "entry")
    assert {"a.deep.er", "ns.inner.beside_leaf", "a.b.sibling"} <= found


@settings(max_examples=30)
@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), max_size=20))
def test_any_graph_of_imports(tmp_path_factory: pytest.TempPathFactory, edges: list[tuple[int, int]]) -> None:
    """Modules 5 to 9 lie in a package, and import each other relatively."""
    root = tmp_path_factory.mktemp("tree")
    names = [f"m{number}" if number < 5 else f"package.m{number}" for number in range(10)]
    statements: dict[int, list[str]] = {number: [] for number in range(10)}
    for one, other in edges:
        relative = one >= 5 and other >= 5
        statements[one].append(f"from . import m{other}" if relative else f"import {names[other]}")
    write(root, {f"{name.replace('.', '/')}.py": "\n".join(statements[n]) for n, name in enumerate(names)})
    write(root, {"package/__init__.py": ""})
    reached, waiting = set(), [0]
    while waiting:
        reached.add(number := waiting.pop())
        waiting += [other for one, other in edges if one == number and other not in reached]
    expected = {names[number] for number in reached} | ({"package"} if max(reached) >= 5 else set())
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(root))
        assert set(source_closure(["m0"], lambda _, path: path.is_relative_to(root))) == expected


@pytest.mark.parametrize(
    "statement",
    [
        "def build():\n    import found",
        "if False:\n    import found",
        "try:\n    import no_such_module_anywhere\nexcept ImportError:\n    from found import x",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import found",
        "class A:\n    import found as x",
    ],
)
def test_imports_count_wherever_they_stand(closure: Closure, statement: str) -> None:
    assert closure({"entry.py": statement, "found.py": "x = 1"}) == {"entry", "found"}


def test_the_dotted_name_of_a_module_counts_as_an_import(closure: Closure) -> None:
    text = "import importlib\nimportlib.import_module('models.late')\nPATH = 'models.gone'\nDOC = 'see models.late.'"
    files = {"entry.py": text, "models/__init__.py": "", "models/late.py": "", "models/other.py": ""}
    assert closure(files) == {"entry", "models", "models.late"}


@pytest.mark.parametrize(
    "call",
    [
        "import_module('net.layers')",
        "importlib.import_module('net.layers')",
        "__import__('net.layers')",
        "import_module('.layers', __package__)",
        "import_module('.layers', package='net')",
    ],
)
def test_what_is_imported_by_name_counts(closure: Closure, call: str) -> None:
    files = {"net/__init__.py": "", "net/layers.py": "", "net/other.py": ""}
    assert closure({**files, "net/entry.py": call}, "net.entry") == {"net", "net.entry", "net.layers"}


def test_a_module_at_the_top_is_imported_by_name_too(closure: Closure) -> None:
    assert closure({"entry.py": "__import__('layers')", "layers.py": ""}) == {"entry", "layers"}


@pytest.mark.parametrize("call", ["import_module(f'net.{name}')", "import_module(name)"])
def test_a_name_known_at_run_time_only_may_be_any_module_of_the_package(closure: Closure, call: str) -> None:
    files = {"net/__init__.py": "", "net/one.py": "", "net/deep/__init__.py": "", "net/deep/two.py": "", "far.py": ""}
    found = closure({**files, "net/entry.py": call}, "net.entry")
    assert found == {"net", "net.entry", "net.one", "net.deep", "net.deep.two"}


def test_a_star_may_be_any_module_of_a_package(closure: Closure) -> None:
    files = {"entry.py": "from parts import *", "parts/__init__.py": "__all__ = ['one']", "parts/one.py": ""}
    assert closure(files) == {"entry", "parts", "parts.one"}


def test_what_is_broken_is_taken_and_imports_nothing(closure: Closure) -> None:
    files = {"entry.py": "import broken", "broken.py": "import other\nthis is no Python", "other.py": ""}
    assert closure(files) == {"entry", "broken"}


@pytest.mark.parametrize(
    "statement", ["from ... import x", "from .... import x", "from .no_such import x", "import no.such"]
)
def test_what_cannot_be_found_is_left_out(closure: Closure, statement: str) -> None:
    assert closure({"p/__init__.py": "", "p/entry.py": statement}, "p.entry") == {"p", "p.entry"}


def test_imports_of_what_is_not_own_are_not_followed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    write(tmp_path, {"entry.py": "import foreign", "foreign.py": "import behind", "behind.py": ""})
    assert set(source_closure(["entry"], lambda name, _: name != "foreign")) == {"entry"}


def test_nothing_is_run(closure: Closure) -> None:
    raising = "raise RuntimeError('it ran')"
    closure({"entry.py": f"import p.q\n{raising}", "p/__init__.py": raising, "p/q.py": raising})
    assert {"entry", "p", "p.q"}.isdisjoint(sys.modules)


def test_a_module_in_a_zip_archive_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with zipfile.ZipFile(tmp_path / "code.zip", "w") as archive:
        archive.writestr("zipped/__init__.py", "from . import inside")
        archive.writestr("zipped/inside.py", "x = 1")
    monkeypatch.syspath_prepend(str(tmp_path / "code.zip"))
    assert source_closure(["zipped"], lambda *_: True) == {"zipped": b"from . import inside", "zipped.inside": b"x = 1"}


def test_an_editable_install_is_found_by_its_own_finder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As setuptools makes them: a finder in ``sys.meta_path`` knows the one name."""
    from importlib.util import spec_from_file_location

    write(tmp_path, {"elsewhere/__init__.py": "from . import inside", "elsewhere/inside.py": ""})

    class Finder:
        @staticmethod
        def find_spec(name: str, *_: object) -> object:
            folder = tmp_path / "elsewhere"
            if name != "editable":
                return None
            return spec_from_file_location(name, folder / "__init__.py", submodule_search_locations=[str(folder)])

    monkeypatch.setattr(sys, "meta_path", [*sys.meta_path, Finder])
    assert set(source_closure(["editable"], lambda *_: True)) == {"editable", "editable.inside"}


def test_without_its_entry_there_is_no_closure() -> None:
    with pytest.raises(ModuleNotFoundError, match="No module named 'no_such_entry'"):
        source_closure(["no_such_entry"], lambda *_: True)


def test_a_file_that_has_just_been_written_is_seen(closure: Closure) -> None:
    assert closure({"entry.py": "import fresh"}) == {"entry"}
    assert closure({"fresh.py": ""}) == {"entry", "fresh"}
