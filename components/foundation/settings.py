"""Schemas of the configuration sections that pass from the pipeline to the steps."""

import math
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, PositiveInt, TypeAdapter


def _increasing(bounds: tuple[float, float]) -> tuple[float, float]:
    if not bounds[0] < bounds[1]:
        raise ValueError(f"expected [low, high] with low < high, got [{bounds[0]:g}, {bounds[1]:g}]")
    return bounds


PositiveFinite = Annotated[float, Field(gt=0, allow_inf_nan=False)]
LogRange = Annotated[tuple[PositiveFinite, PositiveFinite], AfterValidator(_increasing)]


class Settings(BaseModel):
    """A section of the configuration: unknown keys are errors, values never change."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class DataSettings(Settings):
    """Where the images come from and how they are split."""

    source: Annotated[str, Field(pattern=r"^(digits|folder:.+|tar:.+)$")] = "digits"
    image_size: Annotated[int, Field(ge=1, le=4096)] | None = None
    validation_fraction: Annotated[float, Field(gt=0, lt=0.5)] = 0.15
    test_fraction: Annotated[float, Field(gt=0, lt=0.5)] = 0.15


class StatsSettings(Settings):
    """How pixels are normalised, with the training split's statistics."""

    normalization: Literal["none", "channel_mean", "channel_mean_std"] = "channel_mean_std"


def _known_init(init: str) -> str:
    kind, colon, std = init.partition(":")
    if init in ("he", "xavier", "zeros") or (kind == "gaussian" and colon and _positive_finite(std)):
        return init
    raise ValueError("expected he, xavier, zeros or gaussian:STD with STD above 0, as in gaussian:1e-4")


def _positive_finite(text: str) -> bool:
    try:
        return 0 < float(text) < math.inf
    except ValueError:
        return False


Init = Annotated[str, AfterValidator(_known_init)]


class TwoLayerSettings(Settings):
    """The lecture's network: linear, ReLU, linear."""

    kind: Literal["two_layer"]
    init: Init = "he"
    hidden: PositiveInt = 50


class ConvNetSettings(Settings):
    """Blocks of convolution, batch norm, ReLU and 2x2 max pooling, then a linear layer."""

    kind: Literal["convnet"]
    init: Init = "he"
    channels: Annotated[tuple[PositiveInt, ...], Field(min_length=1, max_length=8)] = (16, 32, 64)
    batch_norm: bool = True


NetworkSettings = Annotated[TwoLayerSettings | ConvNetSettings, Field(discriminator="kind")]
network_settings: TypeAdapter[TwoLayerSettings | ConvNetSettings] = TypeAdapter(NetworkSettings)


class OptimizerSettings(Settings):
    """Mini-batch SGD, shared by the checks, the search and the final training.

    The search trains under the final training's schedule, so that it ranks settings under the
    conditions that they will meet.
    """

    batch_size: Annotated[int, Field(ge=4)] = 128
    momentum: Annotated[float, Field(ge=0, lt=1)] = 0.9
    schedule: Literal["constant", "cosine"] = "cosine"


class CoarseSettings(Settings):
    """The coarse stage; without a learning-rate range the probe's band is searched."""

    trials: PositiveInt = 100
    epochs: PositiveInt = 5
    learning_rate: LogRange | None = None
    weight_decay: LogRange = (1e-6, 1e-1)


class FineSettings(Settings):
    """The fine stage; its ranges come from the coarse results."""

    trials: PositiveInt = 50
    epochs: PositiveInt = 10


class SearchSettings(Settings):
    """Both stages, and into how many packs each is dealt."""

    packs: PositiveInt = 2
    coarse: CoarseSettings = CoarseSettings()
    fine: FineSettings = FineSettings()


class FinalTrainingSettings(Settings):
    """Training of the best setting."""

    epochs: PositiveInt = 50
