"""What a network that others have trained wants its images to be like."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch import nn

from sanefit.components.foundation.errors import SettingsError
from sanefit.components.foundation.schemas.networks import NetworkSettings, TorchvisionSettings


@dataclass(frozen=True)
class OwnPixels:
    """``mean``, ``std``: of each channel, pixel units 0-255. ``size``: of the images, pixels on both sides."""

    mean: Sequence[float]
    std: Sequence[float]
    size: int


def own_pixels(settings: NetworkSettings, network: nn.Module) -> OwnPixels:
    """As the weights ask for that torchvision recommends, or as a network's ``pretrained_cfg`` says.

    That is what timm calls it, and networks of users may have it: a mapping with ``mean`` and ``std`` of each channel,
    in units of 0 to 1, and ``input_size``, (channels, height, width).

    Raises:
        SettingsError: when the network does not say it.
    """
    if isinstance(settings, TorchvisionSettings):
        transform = recommended_weights(settings.name).transforms()
        return _of(transform.mean, transform.std, transform.crop_size[0])
    said = getattr(network, "pretrained_cfg", None)
    if not isinstance(said, Mapping) or not {"mean", "std", "input_size"} <= set(said):
        raise SettingsError(
            f"network.normalization='own': the network ({type(network).__name__}) has no pretrained_cfg; expected one "
            "with mean, std and input_size, as networks of timm have; add it, or set network.normalization=data"
        )
    return _of(said["mean"], said["std"], said["input_size"][-1])


def recommended_weights(name: str) -> Any:  # torchvision has no types
    """The weights that torchvision recommends for a network, with ``url`` and ``transforms``.

    Raises:
        SettingsError: when it has none.
    """
    from torchvision import models

    weights = getattr(models.get_model_weights(name), "DEFAULT", None)
    if weights is None:
        raise SettingsError(
            f"network.name={name!r}: torchvision has no weights for it; expected a network with weights, as resnet18; "
            "choose another, or set network.weights to a file"
        )
    return weights


def _of(mean: Sequence[float], std: Sequence[float], size: int) -> OwnPixels:
    return OwnPixels([255 * value for value in mean], [255 * value for value in std], size)
