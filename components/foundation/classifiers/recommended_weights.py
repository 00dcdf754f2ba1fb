"""``network.weights=default``: the weights that a library recommends, downloaded into the storage once."""

import io
import tempfile

import torch
from torch import Tensor

from sanefit.components.foundation.classifiers.own_pixels import own_pixels, recommended_weights
from sanefit.components.foundation.classifiers.timm_network import installed_timm
from sanefit.components.foundation.errors import SettingsError, first_line
from sanefit.components.foundation.schemas.network_kind import DEFAULT_WEIGHTS
from sanefit.components.foundation.schemas.networks import NetworkSettings, TimmSettings, TorchvisionSettings
from sanefit.components.foundation.storage import object_store
from sanefit.components.foundation.storage.layout import Storage


def with_weights_at_hand(settings: NetworkSettings, storage: str) -> NetworkSettings:
    """The same network with a file in place of ``default``, and what that asks of the images where nothing else is set.

    Args:
        settings: of a network; all but those with ``weights: default`` are returned as they are.
        storage: where the file is kept; a later step, or run, takes it from there.

    Raises:
        SettingsError: when the library has no weights for it, or they cannot be downloaded.
        StorageError: when the storage cannot be used.
    """
    if not isinstance(settings, TorchvisionSettings | TimmSettings) or settings.weights != DEFAULT_WEIGHTS:
        return settings
    uri = Storage(storage).recommended_weights(settings.kind, settings.name)
    if not object_store.exists(uri):
        object_store.write_bytes(uri, _as_file(_downloaded(settings)))
    changes: dict[str, object] = {"weights": uri, "normalization": settings.normalization or "own"}
    if settings.input_size is None:
        changes["input_size"] = _size(settings)
    return settings.model_copy(update=changes)


def _size(settings: TorchvisionSettings | TimmSettings) -> int:
    if isinstance(settings, TorchvisionSettings):
        return own_pixels(settings, torch.nn.Identity()).size
    size: int = installed_timm(settings.name).get_pretrained_cfg(settings.name).input_size[-1]
    return size


def _downloaded(settings: TorchvisionSettings | TimmSettings) -> dict[str, Tensor]:
    """Through the library, which knows the place and the checksum."""
    try:
        if isinstance(settings, TorchvisionSettings):
            url = recommended_weights(settings.name).url
            with tempfile.TemporaryDirectory() as folder:
                loaded: dict[str, Tensor] = torch.hub.load_state_dict_from_url(
                    url, folder, map_location="cpu", progress=False, check_hash=True, weights_only=True
                )
            return loaded
        return dict(installed_timm(settings.name).create_model(settings.name, pretrained=True).state_dict())
    except SettingsError:
        raise
    except Exception as error:  # whatever the library and its network code raise
        raise SettingsError(
            f"network.weights='default': those of {settings.kind}'s {settings.name!r} cannot be downloaded: "
            f"{first_line(error)}; expected to reach the library's server; where there is no internet, set "
            "network.weights to a file with them"
        ) from None


def _as_file(weights: dict[str, Tensor]) -> bytes:
    content = io.BytesIO()
    torch.save(weights, content)
    return content.getvalue()
