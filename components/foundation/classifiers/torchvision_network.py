"""Classifiers of torchvision, for any number of channels and classes."""

from typing import Any

from torch import nn

from sanefit.components.foundation.classifiers.unknown_network import unknown_network
from sanefit.components.foundation.errors import SettingsError

# Two of them train a second output beside the scores, unless told not to.
WITHOUT_SECOND_OUTPUT = {"aux_logits": False, "init_weights": True}
OPTIONS: dict[str, dict[str, Any]] = {"googlenet": WITHOUT_SECOND_OUTPUT, "inception_v3": WITHOUT_SECOND_OUTPUT}


def torchvision_network(name: str, image_shape: tuple[int, int, int], classes: int) -> nn.Module:
    """A network of torchvision, freshly initialized by it.

    Args:
        name: as in ``torchvision.models.list_models()``, as in resnet18.
        image_shape: (height, width, channels); the first convolution is replaced when there are not 3 channels.
        classes: number of scores.

    Returns:
        A module from float (images, channels, height, width) to scores (images, classes).

    Raises:
        SettingsError: when torchvision has no such classifier, or it does not take images of this shape.
    """
    from torchvision import models

    known = models.list_models(module=models)
    if name not in known:
        raise unknown_network(name, "torchvision", known)
    options = dict(OPTIONS.get(name, {}))
    if name.startswith("vit_"):
        options["image_size"] = _side_of_square(name, image_shape)
    network: nn.Module = models.get_model(name, weights=None, num_classes=classes, **options)
    if image_shape[2] != 3:
        _take_channels(network, image_shape[2])
    return network


def _side_of_square(name: str, image_shape: tuple[int, int, int]) -> int:
    height, width, _ = image_shape
    if height != width:
        raise SettingsError(
            f"network.name={name!r}: it takes square images only, these are {height}x{width}; expected one side for "
            f"both; set data.image_size={max(height, width)}, or choose a network of convolutions"
        )
    return height


def _take_channels(network: nn.Module, channels: int) -> None:
    name, first = next((n, m) for n, m in network.named_modules() if isinstance(m, nn.Conv2d))
    replacement = nn.Conv2d(
        channels,
        first.out_channels,
        first.kernel_size,  # type: ignore[arg-type]
        first.stride,  # type: ignore[arg-type]
        first.padding,  # type: ignore[arg-type]
        bias=first.bias is not None,
    )
    parent, _, attribute = name.rpartition(".")
    setattr(network.get_submodule(parent), attribute, replacement)
