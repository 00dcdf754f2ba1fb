"""Schemas of the configuration sections that pass from the pipeline to the steps."""

import math
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, JsonValue, PositiveInt, TypeAdapter


def increasing(bounds: tuple[float, float]) -> tuple[float, float]:
    """The bounds, or ValueError unless the first is below the second."""
    if not bounds[0] < bounds[1]:
        raise ValueError(f"expected [low, high] with low < high, got [{bounds[0]:g}, {bounds[1]:g}]")
    return bounds


PositiveFinite = Annotated[float, Field(gt=0, allow_inf_nan=False)]
LogRange = Annotated[tuple[PositiveFinite, PositiveFinite], AfterValidator(increasing)]


class Settings(BaseModel):
    """A section of the configuration: unknown keys are errors, values never change."""

    model_config = ConfigDict(extra="forbid", frozen=True)


Level = Annotated[int, Field(ge=0, le=255)]


class DataSettings(Settings):
    """Where the images come from, how they are split, and what is done with those that are not as they should be.

    ``image_size``: every image is scaled, keeping its proportions, and cropped around its centre to this many pixels
    on both sides. ``background``: what transparent images lie over. ``max_bad_fraction``: share of files that may be
    broken; more of them stop the run. ``splits``: ``by_content``, a hash of each image, or ``own``, those of the
    source: folders ``train``, ``val`` and ``test`` above the classes, or a table's column ``split``.
    """

    source: Annotated[
        str, Field(pattern=r"^(digits|(folder|tar|zip|csv|parquet):.+|torchvision:\w+|s3://[^/]+/.+)$")
    ] = "digits"
    image_size: Annotated[int, Field(ge=1, le=4096)] | None = None
    splits: Literal["by_content", "own"] = "by_content"
    validation_fraction: Annotated[float, Field(gt=0, lt=0.5)] = 0.15
    test_fraction: Annotated[float, Field(gt=0, lt=0.5)] = 0.15
    background: tuple[Level, Level, Level] = (255, 255, 255)
    max_bad_fraction: Annotated[float, Field(ge=0, le=1)] = 0.01


Normalization = Literal["none", "channel_mean", "channel_mean_std", "mean_image", "pca_whitening", "zca_whitening"]


class StatsSettings(Settings):
    """How pixels are normalised, with the training split's statistics.

    ``mode``: ``exact`` reads every training image; ``sampled`` draws images at random until the interval around every
    channel's mean is no wider than ``tolerance`` to either side, in pixel units 0-255, with this ``confidence``.
    ``mean_image`` and the whitenings need every image, so they go with ``exact``; whitening takes images of at most
    4,096 values.
    """

    mode: Literal["exact", "sampled"] = "exact"
    tolerance: PositiveFinite = 1.0
    confidence: Annotated[float, Field(gt=0.5, lt=1)] = 0.95
    normalization: Normalization = "channel_mean_std"


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


CheckName = Literal[
    "labels",
    "splits_apart",
    "splits_alike",
    "inputs_normalised",
    "raw_scores",
    "neurons_differ",
    "activations_between",
    "signals",
    "modes",
    "first_loss",
    "regularisation",
    "gradient_step",
    "overfit",
    "learning_rates",
    "weight_decays",
    "carries_over",
]
Share = Annotated[float, Field(gt=0, le=1)]


class CheckSettings(Settings):
    """Thresholds of the checks before the search, and which to skip; a skipped check is said and shown.

    ``first_loss_warn``, ``first_loss_fail``: largest distance from the expected first loss, as a share of it.
    ``overfit_loss``, ``overfit_epochs``: what 20 samples must reach, and in how many full-batch steps.
    ``saturated_share``, ``dead_share``: of a layer's values or neurons, from which on it is called so.
    """

    skip: tuple[CheckName, ...] = ()
    first_loss_warn: PositiveFinite = 0.2  # torch's own initial weights reach 0.11 in a sound ResNet-18
    first_loss_fail: PositiveFinite = 0.5
    overfit_loss: PositiveFinite = 0.01  # the lecture's
    overfit_epochs: PositiveInt = 200  # the lecture's
    saturated_share: Share = 0.5
    dead_share: Share = 0.5
