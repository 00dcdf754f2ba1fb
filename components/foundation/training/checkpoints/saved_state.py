"""A training's state as plain values, for files that are read without running code."""

from collections.abc import Mapping
from typing import Any

from sanefit.components.foundation.training.loop.training_state import BegunEpoch, TrainingState


def plain_state(state: TrainingState) -> dict[str, Any]:
    """Numbers, and dicts of tensors."""
    slots = {slot: dict(values) for slot, values in state.slots.items()}
    begun = state.begun
    return {
        "epochs": state.epochs,
        "steps": state.steps,
        "weights": dict(state.weights),
        "slots": slots,
        "averaged": dict(state.averaged),
        "begun": begun and {"batches": begun.batches, "counted": begun.counted, "scales": dict(begun.scales)},
        "taken": state.taken,
        "scaling": dict(state.scaling),
    }


def state_from(plain: Mapping[str, Any]) -> TrainingState:
    """What ``plain_state`` gave.

    Raises:
        KeyError, TypeError: when it is something else.
    """
    begun = plain["begun"] and BegunEpoch(**plain["begun"])
    return TrainingState(**{**plain, "begun": begun})
