"""Settings whose spelling changed: the old one is accepted, and the user is told the new one."""

from collections.abc import Mapping
from typing import Any

# The key, then the values that it once took and what they are called now.
RENAMED: Mapping[str, Mapping[str, str]] = {
    "checks.skip": {"inputs_normalised": "inputs_normalized", "regularisation": "regularization"},
}


def with_new_spellings(values: dict[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """A configuration with every renamed value under its new name, and a line for each that was.

    Args:
        values: as read, not yet validated; they stay as they are.
    """
    lines: list[str] = []
    for key, names in RENAMED.items():
        values = _renamed(values, key.split("."), key, names, lines)
    return values, lines


def _renamed(given: Any, path: list[str], key: str, names: Mapping[str, str], lines: list[str]) -> Any:
    """``given`` with the values renamed that lie at ``path`` below it; what is of another form is left to pydantic."""
    if path:
        if not isinstance(given, dict) or path[0] not in given:
            return given
        return {**given, path[0]: _renamed(given[path[0]], path[1:], key, names, lines)}
    if isinstance(given, list):
        return [_renamed(item, path, key, names, lines) for item in given]
    if not isinstance(given, str) or given not in names:
        return given
    lines.append(f"{key}: {given!r} is an old spelling; write {names[given]!r}")
    return names[given]
