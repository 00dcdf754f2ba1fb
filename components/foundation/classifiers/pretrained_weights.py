"""Weights to start from, for fine-tuning."""

import torch
from torch import Tensor, nn

from sanefit.components.foundation.errors import SettingsError
from sanefit.components.foundation.storage.content import current_copy


def load_pretrained(network: nn.Module, uri: str) -> frozenset[str]:
    """Copy every weight whose name and shape fit, in place.

    Args:
        network: takes the weights.
        uri: a file with a state dict, as ``torch.save`` writes it; as ``current_copy`` takes it.

    Returns:
        The names of the weights that were copied.

    Raises:
        SettingsError: when the file holds no state dict, or nothing in it fits.
        StorageError: when it cannot be read.
    """
    given = _read(uri)
    own = network.state_dict()
    fitting = {name: value for name, value in given.items() if name in own and own[name].shape == value.shape}
    if not any(name in fitting for name, _ in network.named_parameters()):
        raise SettingsError(
            f"network.weights={uri!r}: none of its {len(given)} tensors fits this network by name and shape; "
            f"expected names as {next(iter(own))!r}; choose the weights of the same network"
        )
    network.load_state_dict(fitting, strict=False)
    return frozenset(fitting)


def _read(uri: str) -> dict[str, Tensor]:
    path = current_copy(uri)
    try:
        loaded = torch.load(path, map_location="cpu", weights_only=True)  # no code from a pickle is run
    except Exception as error:
        # torch raises whatever a broken file makes it stumble over.
        reason = " ".join(str(error).split())[:200]
        raise SettingsError(
            f"network.weights={uri!r}: {reason}; expected a state dict written by torch.save; correct it"
        ) from None
    if not (isinstance(loaded, dict) and loaded and all(isinstance(value, Tensor) for value in loaded.values())):
        raise SettingsError(
            f"network.weights={uri!r}: holds {type(loaded).__name__}; expected a state dict of tensors; "
            "save network.state_dict()"
        )
    return loaded
