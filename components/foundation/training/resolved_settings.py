"""A trial's network and optimizer: the configuration's, with the values that the trial searches in their place."""

from typing import Any, TypeVar

from sanefit.components.foundation.errors import SettingsError
from sanefit.components.foundation.schemas.bases import Settings
from sanefit.components.foundation.schemas.networks import (
    ConvNetSettings,
    MlpSettings,
    NetworkSettings,
    ResNetSettings,
    TwoLayerSettings,
    has_setting,
)
from sanefit.components.foundation.schemas.search import TrialSetting
from sanefit.components.foundation.schemas.training import OptimizerSettings

SearchedSettings = TypeVar("SearchedSettings", bound=Settings)


def resolve_optimizer(optimizer: OptimizerSettings, setting: TrialSetting) -> OptimizerSettings:
    """The optimizer of a trial."""
    return _with(
        optimizer,
        kind=setting.optimizer,
        batch_size=setting.batch_size,
        momentum=setting.momentum,
        schedule=setting.schedule,
        warmup=setting.warmup,
        augmentation=setting.augmentation,
    )


def resolve_network(network: NetworkSettings, setting: TrialSetting) -> NetworkSettings:
    """The network of a trial.

    ``width``: of the first hidden layer or block, the others keep their proportion to it; ``depth``: hidden layers, or
    blocks, further blocks being twice as wide as the one before; of a ``resnet``, blocks in each stage.

    Raises:
        SettingsError: when this kind of network has no such value.
    """
    for name in ("dropout", "width", "depth"):
        if getattr(setting, name) is not None and not has_setting(network, name):
            raise SettingsError(
                f"search.coarse.{name}: a network of kind {network.kind!r} has no {name} to search; expected "
                f"{'mlp, convnet or resnet' if name == 'depth' else 'a network of our own'}; remove it"
            )
    changed = _with(network, init=setting.init, dropout=setting.dropout)
    match changed:
        case TwoLayerSettings():
            return _with(changed, hidden=setting.width)
        case MlpSettings():
            return _with(changed, width=setting.width, depth=setting.depth)
        case ConvNetSettings(channels=channels):
            return _with(changed, channels=_scaled(_deepened(channels, setting.depth), setting.width))
        case ResNetSettings(channels=channels):
            return _with(changed, channels=_scaled(channels, setting.width), blocks=setting.depth)
    return changed


def _with(settings: SearchedSettings, **values: Any) -> SearchedSettings:
    """Those that are None stay as they are."""
    changes = {key: value for key, value in values.items() if value is not None}
    return type(settings).model_validate({**settings.model_dump(), **changes}) if changes else settings


def _deepened(channels: tuple[int, ...], depth: int | None) -> tuple[int, ...]:
    if depth is None or depth <= len(channels):
        return channels[:depth]
    return (*channels, *(channels[-1] * 2**extra for extra in range(1, depth - len(channels) + 1)))


def _scaled(channels: tuple[int, ...], width: int | None) -> tuple[int, ...]:
    if width is None:
        return channels
    return tuple(max(1, round(width * count / channels[0])) for count in channels)
