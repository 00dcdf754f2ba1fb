"""A network of the user's, by import path."""

import importlib
from collections.abc import Mapping
from typing import Any

import torch
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


@torch.no_grad()
def layout_of(network: nn.Module, image_shape: tuple[int, int, int]) -> torch.memory_format:
    """How images and kernels may lie in memory: channels last, which is faster, where the network's operations allow.

    ``images.view(len(images), -1)`` after a convolution does not.

    Args:
        network: of the user's.
        image_shape: (height, width, channels).
    """
    height, width, channels = image_shape
    images = torch.zeros(2, height, width, channels).permute(0, 3, 1, 2)
    was_training = network.training
    try:
        network.eval().to(memory_format=torch.channels_last)(images)
    except Exception:  # whatever it raises: where it is not for this, a check will say so
        network.to(memory_format=torch.contiguous_format)
        return torch.contiguous_format
    finally:
        network.train(was_training)
    return torch.channels_last
