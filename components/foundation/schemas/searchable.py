"""What a search may vary beside learning rate and weight decay, which it always varies: a line for each value."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, Literal, TypeVar

from pydantic import AfterValidator, BaseModel, Field, PositiveInt, create_model

from sanefit.components.foundation.schemas.bases import increasing
from sanefit.components.foundation.schemas.network_kind import Dropout, Init
from sanefit.components.foundation.schemas.training import (
    Augmentation,
    BackboneRate,
    BatchSize,
    Erasing,
    GradientClip,
    MixingAlpha,
    Momentum,
    OptimizerKind,
    Schedule,
    Warmup,
)

Value = bool | int | float | str
Section = Literal["network", "optimizer"]
Model = TypeVar("Model", bound=BaseModel)


@dataclass(frozen=True)
class Searchable:
    """A value of the configuration that a search may vary.

    ``name``: its key in ``search.coarse``. ``section``, ``field``: where the configuration has it; without ``field``
    under the same name. ``scale``: a ``choice`` is one of those listed, the others lie between two bounds, ``log`` ones
    above 0. ``legal``: type of one value. ``in_stack``: what trials need to be trained as one stack: ``equal`` values,
    0 in all or in none (``on_or_off``), or nothing (``free``). ``farthest``: where the fine stage's ranges end.
    """

    name: str
    section: Section
    scale: Literal["log", "linear", "choice"]
    legal: Any
    in_stack: Literal["equal", "on_or_off", "free"]
    farthest: tuple[float, float] = (-math.inf, math.inf)
    field: str = ""

    @property
    def replaces(self) -> str:
        """The field of the section."""
        return self.field or self.name


Depth = Annotated[int, Field(ge=1, le=100)]
# Ranges end below 1 with room for the network to learn: an average over 1,000 steps, 1 unit in 20. Random draws of a
# seed depend on the order: ranges first, then choices, each as they stand here.
VALUES = (
    Searchable("momentum", "optimizer", "linear", Momentum, "free", farthest=(0, 0.999)),
    Searchable("dropout", "network", "linear", Dropout, "on_or_off", farthest=(0, 0.95)),
    Searchable("warmup", "optimizer", "linear", Warmup, "free", farthest=(0, 0.5)),
    Searchable("backbone_rate", "optimizer", "log", BackboneRate, "free", farthest=(1e-4, 1)),
    Searchable("erasing", "optimizer", "linear", Erasing, "on_or_off", farthest=(0, 1)),
    Searchable("mixup", "optimizer", "linear", MixingAlpha, "on_or_off", farthest=(0, 2)),
    Searchable("cutmix", "optimizer", "linear", MixingAlpha, "on_or_off", farthest=(0, 2)),
    Searchable("gradient_clip", "optimizer", "log", GradientClip, "on_or_off", farthest=(1e-3, 1e3)),
    Searchable("batch_size", "optimizer", "choice", BatchSize, "equal"),
    Searchable("optimizer", "optimizer", "choice", OptimizerKind, "equal", field="kind"),
    Searchable("schedule", "optimizer", "choice", Schedule, "free"),
    Searchable("augmentation", "optimizer", "choice", Augmentation, "equal"),
    Searchable("init", "network", "choice", Init, "free"),
    Searchable("width", "network", "choice", PositiveInt, "equal"),
    Searchable("depth", "network", "choice", Depth, "equal"),
)
SEARCHABLE = {value.name: value for value in VALUES}


def with_values(field: Callable[[Searchable], tuple[Any, Any]]) -> Callable[[type[Model]], type[Model]]:
    """Decorates a schema: it gets a field for each searchable value, after its own.

    Args:
        field: type and default of a value's field.
    """

    def extended(schema: type[Model]) -> type[Model]:
        fields: dict[str, Any] = {value.name: field(value) for value in VALUES}
        return create_model(
            schema.__name__, __base__=schema, __module__=schema.__module__, __doc__=schema.__doc__, **fields
        )

    return extended


def range_or_choices(value: Searchable) -> tuple[Any, Any]:
    """Type and default of the field that says where a value is searched: nowhere by default."""
    legal = Annotated[value.legal, Field(gt=0)] if value.scale == "log" else value.legal
    if value.scale == "choice":
        return Annotated[tuple[legal, ...], AfterValidator(_each_once)], ()  # type: ignore[valid-type]
    return Annotated[tuple[legal, legal], AfterValidator(increasing)] | None, None  # type: ignore[valid-type]


def one_or_none(value: Searchable) -> tuple[Any, Any]:
    """Type and default of the field that holds a trial's value: None for the configuration's."""
    return value.legal | None, None


def _each_once(choices: tuple[Value, ...]) -> tuple[Value, ...]:
    twice = [choice for choice in choices if choices.count(choice) > 1]
    if twice:
        raise ValueError(f"expected each choice once, {twice[0]} is there {choices.count(twice[0])} times")
    return choices
