"""The modules that a module imports, and all that these import: found by reading, without running anything."""

import ast
import functools
import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from sanefit.components.foundation.identity.module_files import ModuleFile, ModuleFiles, with_packages
from sanefit.components.foundation.identity.source_digest import UNPARSABLE

IsOwn = Callable[[str, Path], bool]
DOTTED_NAME = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)+")


def source_closure(entries: Iterable[str], is_own: IsOwn) -> dict[str, bytes]:
    """The files of some modules and of all that they import, by module name.

    Imports count wherever they stand, in a function or under a condition, too; so does what ``import_module`` names,
    and any text that is the dotted name of a module. The packages around a module are imported with it. What cannot be
    found is no module of the user's, and is left out; what cannot be parsed is taken, and imports nothing.

    Args:
        entries: full names of modules.
        is_own: says, by a module's name and file, whether it counts; the imports of one that does not are not followed.

    Raises:
        ModuleNotFoundError: when there is no such entry.
    """
    files = ModuleFiles()
    waiting = list(entries)
    for entry in waiting:
        if files.find(entry) is None:
            raise ModuleNotFoundError(f"No module named {entry!r}", name=entry)
    seen: set[str] = set()
    sources: dict[str, bytes] = {}
    while waiting:
        for name in with_packages(waiting.pop()):
            found = None if name in seen else files.find(name)
            seen.add(name)
            if found is not None and found.path is not None and is_own(name, found.path):
                sources[name] = found.content
                waiting += _imported(name, found, files)
    return sources


@functools.cache
def _naming_modules(content: bytes) -> tuple[ast.AST, ...]:
    """What in a file may name a module; files are read for several entries, and parsed once."""
    try:
        tree = ast.parse(content)
    except UNPARSABLE:
        return ()
    return tuple(node for node in ast.walk(tree) if _may_name_a_module(node))


def _may_name_a_module(node: ast.AST) -> bool:
    match node:
        case ast.Import() | ast.ImportFrom():
            return True
        case ast.Call(func=ast.Name(id="__import__" | "import_module") | ast.Attribute(attr="import_module")):
            return True
        case ast.Constant(value=str(text)):
            return DOTTED_NAME.fullmatch(text) is not None
    return False


def _imported(name: str, module: ModuleFile, files: ModuleFiles) -> Iterator[str]:
    package = name.rpartition(".")[0] if module.folders is None else name
    for node in _naming_modules(module.content):
        match node:
            case ast.Import(names=names):
                yield from (alias.name for alias in names)
            case ast.ImportFrom(module=base, names=names, level=level):
                yield from _imported_from(_absolute(base, level, package), [alias.name for alias in names], files)
            case ast.Call():
                yield from _imported_by_name(node, package, files)
            case ast.Constant(value=str(text)) if files.find(text) is not None:
                yield text


def _imported_by_name(call: ast.Call, package: str, files: ModuleFiles) -> Iterator[str]:
    """What ``import_module(…)`` names; when that is known at run time only, it may be any module of the package."""
    match call.args:
        case [ast.Constant(value=str(text)), *_]:
            base = text.lstrip(".")
            yield _absolute(base, len(text) - len(base), package)
        case [_, *_]:
            yield from files.below(package)


def _imported_from(base: str, names: list[str], files: ModuleFiles) -> Iterator[str]:
    """The module itself, and those inside it that its names may be; a star may be any of them."""
    if base:
        yield base
        yield from files.inside(base) if names == ["*"] else (f"{base}.{name}" for name in names)


def _absolute(base: str | None, level: int, package: str) -> str:
    """The full name of what a ``from`` import names; empty when it leads out of the outermost package."""
    if level == 0:
        return base or ""
    above = package.split(".")[: len(package.split(".")) - (level - 1)] if package else []
    return ".".join([*above, *([base] if base else [])]) if above else ""
