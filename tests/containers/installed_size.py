"""Runs inside an image, where it comes as text: how much some packages and all that they require take.

Arguments: packages. Prints JSON: their names, and the bytes of their files with their byte code.
"""

import importlib.metadata
import json
import sys
from importlib.util import cache_from_source
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name


def required_by(name: str, extras: frozenset[str]) -> list[tuple[str, frozenset[str]]]:
    """Packages that one package requires here, each with its extras."""
    found = []
    for text in importlib.metadata.requires(name) or []:
        requirement = Requirement(text)
        environments = [{"extra": extra} for extra in ("", *extras)]
        if requirement.marker is None or any(requirement.marker.evaluate(each) for each in environments):
            found.append((canonicalize_name(requirement.name), frozenset(requirement.extras)))
    return found


def closure(names: list[str]) -> set[str]:
    """Packages and all that they require."""
    waiting: list[tuple[str, frozenset[str]]] = [(name, frozenset()) for name in names]
    seen = set(waiting)
    while waiting:
        new = set(required_by(*waiting.pop())) - seen
        seen |= new
        waiting += new
    return {name for name, _ in seen}


def size(name: str) -> int:
    """Bytes of a package's files and their byte code."""
    paths = {Path(str(file.locate())).resolve() for file in importlib.metadata.files(name) or []}
    paths |= {Path(cache_from_source(path)) for path in paths if path.suffix == ".py"}
    return sum(path.stat().st_size for path in paths if path.exists())


packages = sorted(closure(sys.argv[1:]))
print(json.dumps({"packages": packages, "bytes": sum(map(size, packages))}))
