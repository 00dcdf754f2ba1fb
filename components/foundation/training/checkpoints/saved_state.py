"""A training's state as plain values, for files that are read without running code."""

from collections.abc import Mapping
from typing import Any

from sanefit.components.foundation.training.loop.training_state import TrainingState


def plain_state(state: TrainingState) -> dict[str, Any]:
    """Numbers, and dicts of tensors."""
    slots = {slot: dict(values) for slot, values in state.slots.items()}
    return {
        "epochs": state.epochs,
        "steps": state.steps,
        "weights": dict(state.weights),
        "slots": slots,
        "averaged": dict(state.averaged),
    }


def state_from(plain: Mapping[str, Any]) -> TrainingState:
    """What ``plain_state`` gave.

    Raises:
        TypeError: when it is something else.
    """
    return TrainingState(**plain)
