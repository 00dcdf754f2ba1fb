"""One value of a certificate beside what it is now."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from sanefit.components.foundation.errors import DataError, StorageError

NOTHING = "nothing"


@dataclass(frozen=True)
class CheckedItem:
    """``found``: empty where it is not available; ``why``: it is not, or why it counts as the same."""

    name: str
    state: Literal["same", "differs", "not available"]
    certified: str
    found: str = ""
    why: str = ""


def compared(name: str, certified: str, found: str) -> CheckedItem:
    """Of two values that are at hand."""
    return CheckedItem(name, "same" if certified == found else "differs", certified, found)


def recomputed(name: str, certified: str, find: Callable[[], str]) -> CheckedItem:
    """Of a value that may be out of reach (StorageError); one that is damaged (DataError) differs."""
    try:
        return compared(name, certified, find())
    except (StorageError, DataError) as error:
        return failed(name, certified, error)


def failed(name: str, certified: str, error: StorageError | DataError) -> CheckedItem:
    """Of a value that is out of reach, or damaged; without what the message expects, and its fix."""
    what = str(error).split(";")[0]
    if isinstance(error, DataError):
        return CheckedItem(name, "differs", certified, what)
    return CheckedItem(name, "not available", certified, why=what)
