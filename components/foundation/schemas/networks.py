"""The section ``network`` of a configuration: a schema for each kind."""

import math
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, JsonValue, PositiveInt, TypeAdapter

from sanefit.components.foundation.schemas.bases import Settings


def _known_init(init: str) -> str:
    kind, colon, std = init.partition(":")
    if init in ("he", "xavier", "orthogonal", "zeros") or (kind == "gaussian" and colon and _positive_finite(std)):
        return init
    raise ValueError("expected he, xavier, orthogonal, zeros or gaussian:STD with STD above 0, as in gaussian:1e-4")


def _positive_finite(text: str) -> bool:
    try:
        return 0 < float(text) < math.inf
    except ValueError:
        return False


Activation = Literal["sigmoid", "tanh", "relu", "leaky_relu", "elu", "maxout"]
Init = Annotated[str, AfterValidator(_known_init)]
Dropout = Annotated[float, Field(ge=0, lt=1)]


class BuiltNetwork(Settings):
    """What every network of sanefit's own has.

    Without ``init`` the weights start as the activation asks for: ``xavier`` for sigmoid and tanh, else ``he``.
    """

    activation: Activation = "relu"
    init: Init | None = None
    dropout: Dropout = 0.0


class TwoLayerSettings(BuiltNetwork):
    """The lecture's network: linear, activation, linear."""

    kind: Literal["two_layer"]
    hidden: PositiveInt = 50
    batch_norm: bool = False


class MlpSettings(BuiltNetwork):
    """``depth`` hidden layers of ``width`` neurons, then a linear layer."""

    kind: Literal["mlp"]
    depth: Annotated[int, Field(ge=1, le=100)] = 3
    width: PositiveInt = 256
    batch_norm: bool = False


class ConvNetSettings(BuiltNetwork):
    """Blocks of convolution, batch norm, 2x2 max pooling and activation, then a linear layer."""

    kind: Literal["convnet"]
    channels: Annotated[tuple[PositiveInt, ...], Field(min_length=1, max_length=8)] = (16, 32, 64)
    batch_norm: bool = True


class ResNetSettings(BuiltNetwork):
    """A residual network for small images: a stage of ``blocks`` blocks for each entry of ``channels``."""

    kind: Literal["resnet"]
    channels: Annotated[tuple[PositiveInt, ...], Field(min_length=1, max_length=5)] = (16, 32, 64)
    blocks: Annotated[int, Field(ge=1, le=50)] = 3


class TorchvisionSettings(Settings):
    """Any classifier of torchvision by its name there.

    ``weights``: a local or ``s3://`` file with a state dict to start from, as ``torch.save``
    writes it; layers whose shape differs, as the output layer, start anew.
    """

    kind: Literal["torchvision"]
    name: Annotated[str, Field(min_length=1)]
    weights: str = ""
    init: Init | None = None


class ModuleSettings(Settings):
    """A network of the user's: ``package.module:NAME`` makes an ``nn.Module``.

    It is called with ``image_shape`` (height, width, channels), ``classes`` and ``arguments``, takes
    float (images, channels, height, width) and gives scores (images, classes).
    """

    kind: Literal["module"]
    path: Annotated[str, Field(pattern=r"^[A-Za-z_][\w.]*:[A-Za-z_]\w*$")]
    arguments: dict[str, JsonValue] = Field(default={})
    weights: str = ""
    init: Init | None = None


NetworkSettings = Annotated[
    TwoLayerSettings | MlpSettings | ConvNetSettings | ResNetSettings | TorchvisionSettings | ModuleSettings,
    Field(discriminator="kind"),
]
network_settings: TypeAdapter[NetworkSettings] = TypeAdapter(NetworkSettings)


def has_stack(network: NetworkSettings) -> bool:
    """Whether there is a stack of our own, which trains many networks of this kind as one."""
    return isinstance(network, TwoLayerSettings | MlpSettings | ConvNetSettings)


def has_setting(network: NetworkSettings, name: str) -> bool:
    """Whether this kind of network has a ``dropout``, ``width`` or ``depth`` to search."""
    if isinstance(network, TorchvisionSettings | ModuleSettings):
        return False
    return name != "depth" or not isinstance(network, TwoLayerSettings)
