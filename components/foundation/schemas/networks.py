"""The section ``network`` of a configuration: a schema for each kind, which says what the kind can."""

from typing import Annotated, Any, ClassVar, Literal, get_args

from pydantic import Field, JsonValue, PositiveInt, TypeAdapter

from sanefit.components.foundation.schemas.network_kind import (
    BuiltNetwork,
    GivenNetwork,
    LibraryNetwork,
    Network,
    NormableNetwork,
)


class TwoLayerSettings(NormableNetwork):
    """The lecture's network: linear, activation, linear."""

    also_searched: ClassVar[frozenset[str]] = frozenset({"width"})
    is_stacked: ClassVar[bool] = True
    is_dense: ClassVar[bool] = True

    kind: Literal["two_layer"]
    hidden: PositiveInt = 50

    def fields_for(self, *, width: int | None = None, **searched: Any) -> dict[str, Any]:
        """As ``Network``; ``width`` is ``hidden``."""
        return {**searched, "hidden": width or self.hidden}


class MlpSettings(NormableNetwork):
    """``depth`` hidden layers of ``width`` neurons, then a linear layer."""

    is_stacked: ClassVar[bool] = True
    is_dense: ClassVar[bool] = True

    kind: Literal["mlp"]
    depth: Annotated[int, Field(ge=1, le=100)] = 3
    width: PositiveInt = 256


class ConvNetSettings(NormableNetwork):
    """Blocks of convolution, batch norm, 2x2 max pooling and activation, then a linear layer."""

    also_searched: ClassVar[frozenset[str]] = frozenset({"width", "depth"})
    deepest: ClassVar[tuple[int, str]] = (8, "blocks")
    is_stacked: ClassVar[bool] = True

    kind: Literal["convnet"]
    channels: Annotated[tuple[PositiveInt, ...], Field(min_length=1, max_length=8)] = (16, 32, 64)
    batch_norm: bool = True

    def fields_for(self, *, width: int | None = None, depth: int | None = None, **searched: Any) -> dict[str, Any]:
        """As ``Network``; ``depth``: blocks, further ones twice as wide as the one before; ``width``: of the first."""
        return {**searched, "channels": _scaled(_deepened(self.channels, depth), width)}


class ResNetSettings(BuiltNetwork):
    """A residual network for small images: a stage of ``blocks`` blocks for each entry of ``channels``."""

    also_searched: ClassVar[frozenset[str]] = frozenset({"width", "depth"})
    deepest: ClassVar[tuple[int, str]] = (50, "blocks in each stage")

    kind: Literal["resnet"]
    channels: Annotated[tuple[PositiveInt, ...], Field(min_length=1, max_length=5)] = (16, 32, 64)
    blocks: Annotated[int, Field(ge=1, le=50)] = 3

    @property
    def is_normed(self) -> bool:
        """As ``Network``."""
        return True

    def fields_for(self, *, width: int | None = None, depth: int | None = None, **searched: Any) -> dict[str, Any]:
        """As ``Network``; ``depth``: blocks in each stage; ``width``: of the first stage."""
        return {**searched, "channels": _scaled(self.channels, width), "blocks": depth or self.blocks}


class TorchvisionSettings(LibraryNetwork):
    """Any classifier of torchvision by its name there."""

    kind: Literal["torchvision"]


class TimmSettings(LibraryNetwork):
    """Any classifier of timm by its name there, as in ``efficientnet_b0`` or ``vit_tiny_patch16_224.augreg_in21k``."""

    kind: Literal["timm"]


class ModuleSettings(GivenNetwork):
    """A network of the user's: ``package.module:NAME`` makes an ``nn.Module``.

    It is called with ``image_shape`` (height, width, channels), ``classes`` and ``arguments``, takes
    float (images, channels, height, width) and gives scores (images, classes).
    """

    kind: Literal["module"]
    path: Annotated[str, Field(pattern=r"^[A-Za-z_][\w.]*:[A-Za-z_]\w*$")]
    arguments: dict[str, JsonValue] = Field(default={})

    @property
    def named(self) -> str:
        """The setting that names it, with its value."""
        return f"network.path={self.path!r}"


NetworkSettings = Annotated[
    TwoLayerSettings
    | MlpSettings
    | ConvNetSettings
    | ResNetSettings
    | TorchvisionSettings
    | TimmSettings
    | ModuleSettings,
    Field(discriminator="kind"),
]
network_settings: TypeAdapter[NetworkSettings] = TypeAdapter(NetworkSettings)
NETWORKS: tuple[type[Network], ...] = get_args(get_args(NetworkSettings)[0])


def _deepened(channels: tuple[int, ...], depth: int | None) -> tuple[int, ...]:
    if depth is None or depth <= len(channels):
        return channels[:depth]
    return (*channels, *(channels[-1] * 2**extra for extra in range(1, depth - len(channels) + 1)))


def _scaled(channels: tuple[int, ...], width: int | None) -> tuple[int, ...]:
    if width is None:
        return channels
    return tuple(max(1, round(width * count / channels[0])) for count in channels)
