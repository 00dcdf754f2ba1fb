"""What all schemas have in common, and the bounds that several share."""

from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field


class Settings(BaseModel):
    """A section of the configuration: unknown keys are errors, values never change."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Artifact(BaseModel):
    """A value that one step writes and another reads."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


OneLine = Annotated[str, AfterValidator(lambda text: " ".join(text.split()))]


def increasing(bounds: tuple[float, float]) -> tuple[float, float]:
    """The bounds, or ValueError unless the first is below the second."""
    if not bounds[0] < bounds[1]:
        raise ValueError(f"expected [low, high] with low < high, got [{bounds[0]:g}, {bounds[1]:g}]")
    return bounds


PositiveFinite = Annotated[float, Field(gt=0, allow_inf_nan=False)]
LogRange = Annotated[tuple[PositiveFinite, PositiveFinite], AfterValidator(increasing)]
Share = Annotated[float, Field(gt=0, le=1)]
Level = Annotated[int, Field(ge=0, le=255)]
