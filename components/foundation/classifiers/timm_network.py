"""Classifiers of timm, for any number of channels and classes."""

from types import ModuleType

from torch import nn

from sanefit.components.foundation.classifiers.unknown_network import unknown_network
from sanefit.components.foundation.errors import SettingsError


def timm_network(name: str, image_shape: tuple[int, int, int], classes: int) -> nn.Module:
    """A network of timm, freshly initialized by it.

    Args:
        name: as in ``timm.list_models()``; what follows a dot names weights.
        image_shape: (height, width, channels).
        classes: number of scores.

    Returns:
        A module from float (images, channels, height, width) to scores (images, classes).

    Raises:
        SettingsError: when timm is not installed, has no such classifier, or has it for other images alone.
    """
    height, width, channels = image_shape
    made = {"num_classes": classes, "in_chans": channels}
    timm = installed_timm(name)
    try:
        network: nn.Module = timm.create_model(name, **made, img_size=(height, width))
    except TypeError:  # most take images of any size, and no such argument
        network = timm.create_model(name, **made)
    except (AssertionError, ValueError) as error:
        raise SettingsError(
            f"network.name={name!r}: timm cannot make it for {height}x{width} images: {error}; expected a network that "
            "takes this size; set network.input_size or data.image_size to one that it takes"
        ) from None
    return network


def installed_timm(name: str) -> ModuleType:
    """The package, with this network in it.

    Raises:
        SettingsError: when it is not installed, or has no such network.
    """
    try:
        import timm
    except ImportError:
        raise SettingsError(
            f"network.name={name!r}: timm is not installed; expected it where the steps run; install sanefit[timm]"
        ) from None
    architecture = name.partition(".")[0]
    if not timm.is_model(architecture):
        raise unknown_network(name, "timm", timm.list_models())
    module: ModuleType = timm
    return module
