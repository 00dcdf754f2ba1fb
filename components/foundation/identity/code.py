"""Which code trains: sanefit's own, and that of a user's module."""

import sysconfig
from pathlib import Path

from sanefit.components.foundation.errors import SettingsError
from sanefit.components.foundation.identity.source_closure import source_closure
from sanefit.components.foundation.identity.source_digest import digest_of_source

OWN = "sanefit.components."
# They cannot change what a training gives, with all that is inside them, so a change of theirs throws nothing away.
LEFT_OUT = (
    "sanefit.components.foundation.diagnosis.curve_diagnosis",  # says in words what a curve shows
    "sanefit.components.foundation.errors",  # messages
    "sanefit.components.foundation.identity",  # makes the names; digests.FORMAT says when they are made otherwise
    "sanefit.components.foundation.schemas.network_refusals",  # messages
    "sanefit.components.foundation.schemas.runs",  # what pages and the registry say of a run
    "sanefit.components.foundation.schemas.sources",  # where images come from; a training has their pixels
    "sanefit.components.foundation.step_lines",  # what a step prints
    "sanefit.components.foundation.storage",  # bytes go in and come out the same
    "sanefit.components.foundation.tracking",  # is told results, gives none
    "sanefit.components.foundation.training.checkpoints.checkpoint_pace",  # when to write, not what
)
INSTALLED = frozenset({"site-packages", "dist-packages"})


def digest_of_own_code(*entries: str) -> str:
    """SHA-256, in hex, of what sanefit runs from these modules on: the same in an image and on a laptop.

    Raises:
        ModuleNotFoundError: when there is no such module.
    """
    return digest_of_source(source_closure(entries, lambda name, _: _can_change_a_result(name)))


def digest_of_module(path: str) -> str:
    """SHA-256, in hex, of the source of a user's module, and of what it imports from the user's own tree.

    What it imports counts, too: from its own top-level package wherever that is installed; from elsewhere unless it
    belongs to Python or is installed among the site packages; sanefit's own as far as it can change a result. Torch's
    modules do not count: its version says what they are.

    Args:
        path: ``package.module:NAME``; empty when there is none, and so is the digest then.

    Raises:
        SettingsError: when it cannot be found.
    """
    module = path.partition(":")[0]
    top = module.partition(".")[0]

    def is_own(name: str, file: Path) -> bool:
        if name == "sanefit" or name.startswith("sanefit."):
            return _can_change_a_result(name)
        if name == "torch" or name.startswith("torch."):
            return False
        return name.partition(".")[0] == top or lies_in_a_tree_of_the_users(file)

    try:
        return digest_of_source(source_closure([module], is_own)) if path else ""
    except ModuleNotFoundError as error:
        raise SettingsError(
            f"network.path={path!r}: {error}; expected package.module:NAME that can be imported where the steps run; "
            "put it on PYTHONPATH, or install it in the trainer image"
        ) from None


def lies_in_a_tree_of_the_users(file: Path) -> bool:
    """Whether a module's file belongs neither to Python nor to what is installed."""
    standard = {Path(sysconfig.get_path(name)).resolve() for name in ("stdlib", "platstdlib")}
    return INSTALLED.isdisjoint(file.parts) and standard.isdisjoint(file.resolve().parents)


def _can_change_a_result(name: str) -> bool:
    inside = any(f"{name}.".startswith(f"{left_out}.") for left_out in LEFT_OUT)
    return name.startswith(OWN) and not inside
