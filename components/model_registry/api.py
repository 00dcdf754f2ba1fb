"""What a command or a notebook may call: versions and changes of a model, its answers for image files, and runs."""

from sanefit.components.foundation.tracking.run_record import tracked_run_record
from sanefit.components.model_registry.changes import (
    list_changes,
    list_versions,
    open_registry,
    promote,
    roll_back,
)
from sanefit.components.model_registry.predicted_files import Answers, Predictor, find_images, load_predictor

__all__ = [
    "Answers",
    "Predictor",
    "find_images",
    "list_changes",
    "list_versions",
    "load_predictor",
    "open_registry",
    "promote",
    "roll_back",
    "tracked_run_record",
]
