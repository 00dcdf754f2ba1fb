"""Where a module's file lies, found as Python finds it, but without running anything.

``importlib.util.find_spec`` imports the packages above a module. Here each is looked up in those of the one above it.
"""

import importlib
import pkgutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path


@dataclass(frozen=True)
class ModuleFile:
    """A module as it lies on disk.

    ``path``: below a zip archive's own path where it lies in one; None for a namespace package, which has no file.
    ``content``: of the file. ``folders``: where a package's modules lie; None when it is no package.
    """

    path: Path | None
    content: bytes
    folders: list[str] | None


@dataclass(frozen=True)
class ModuleFiles:
    """Looks modules up by name, each once; what is on disk when it is made is what it finds."""

    known: dict[str, ModuleFile | None] = field(default_factory=dict)

    def __post_init__(self) -> None:
        importlib.invalidate_caches()  # a file may be younger than Python's memory of its folder

    def find(self, name: str) -> ModuleFile | None:
        """A module by its full name; None when there is none, or it is built into Python."""
        if name not in self.known:
            self.known[name] = self._look_up(name)
        return self.known[name]

    def inside(self, package: str) -> list[str]:
        """The full names of the modules right inside a package."""
        found = self.find(package)
        folders = (found.folders if found else None) or []
        return [f"{package}.{module.name}" for module in pkgutil.iter_modules(folders)]

    def below(self, package: str) -> Iterator[str]:
        """The full names of all modules of a package, however deep."""
        for name in self.inside(package):
            yield name
            yield from self.below(name)

    def _look_up(self, name: str) -> ModuleFile | None:
        package, _, last = name.rpartition(".")
        if not package:
            return _file_of(_top_level(name))
        above = self.find(package)
        # The last part alone: with its full name, a namespace package would ask for the imported one above it.
        return _file_of(PathFinder.find_spec(last, above.folders)) if above and above.folders else None


def with_packages(name: str) -> Iterator[str]:
    """The packages that Python imports before a module, outermost first, and the module."""
    parts = name.split(".")
    yield from (".".join(parts[: count + 1]) for count in range(len(parts)))


def _top_level(name: str) -> ModuleSpec | None:
    """Every finder is asked, as on import: an editable install may have one of its own."""
    found = (finder.find_spec(name, None) for finder in sys.meta_path)
    return next((spec for spec in found if spec is not None), None)


def _file_of(spec: ModuleSpec | None) -> ModuleFile | None:
    if spec is None:
        return None
    folders = None if spec.submodule_search_locations is None else list(spec.submodule_search_locations)
    read = getattr(spec.loader, "get_data", None)
    if not spec.has_location or spec.origin is None or read is None:
        return ModuleFile(None, b"", folders) if folders else None
    return ModuleFile(Path(spec.origin), read(spec.origin), folders)
