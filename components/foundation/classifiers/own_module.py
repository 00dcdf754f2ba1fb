"""A network of the user's, by import path."""

import importlib
from collections.abc import Mapping
from typing import Any

from torch import nn

from sanefit.components.foundation.errors import SettingsError


def own_module(path: str, arguments: Mapping[str, Any], image_shape: tuple[int, int, int], classes: int) -> nn.Module:
    """Import and call ``package.module:NAME``.

    Args:
        path: where; it must be importable where the steps run.
        arguments: further keyword arguments.
        image_shape: (height, width, channels).
        classes: number of scores.

    Raises:
        SettingsError: when it cannot be imported or called, or gives no ``nn.Module``.
    """
    module, _, name = path.partition(":")
    try:
        make = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError) as error:
        raise SettingsError(
            f"network.path={path!r}: {error}; expected package.module:NAME that can be imported where the steps run; "
            "put it on PYTHONPATH, or install it in the trainer image"
        ) from None
    try:
        network = make(image_shape=image_shape, classes=classes, **arguments)
    except TypeError as error:
        raise SettingsError(
            f"network.path={path!r}: {error}; expected to call it with image_shape=, classes= and network.arguments; "
            "correct its parameters or network.arguments"
        ) from None
    if not isinstance(network, nn.Module):
        raise SettingsError(f"network.path={path!r}: gave {type(network).__name__}; expected an nn.Module; correct it")
    return network
