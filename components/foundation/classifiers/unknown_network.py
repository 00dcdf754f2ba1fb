"""A name that a library of networks does not have."""

import difflib
from collections.abc import Collection

from sanefit.components.foundation.errors import SettingsError


def unknown_network(name: str, library: str, known: Collection[str]) -> SettingsError:
    """The error, with the name that may be meant; what follows a dot in a name, which weights, does not count.

    Args:
        name: ``network.name``.
        library: whose networks these are.
        known: their names.
    """
    close = difflib.get_close_matches(name.partition(".")[0], known, n=1)
    fix = f"did you mean {close[0]!r}?" if close else "correct network.name"
    return SettingsError(f"network.name={name!r}: expected a classifier of {library}, as resnet18; {fix}")
