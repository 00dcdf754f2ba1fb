"""What a command or a notebook may call: versions of a model, changes, differences, and answers for image files."""

from sanefit.components.model_registry.changes import (
    list_changes,
    list_versions,
    open_registry,
    promote,
    roll_back,
)
from sanefit.components.model_registry.predicted_files import Answers, Predictor, find_images, load_predictor
from sanefit.components.model_registry.version_comparison import ComparedVersion, VersionComparison, compare_versions

__all__ = [
    "Answers",
    "ComparedVersion",
    "Predictor",
    "VersionComparison",
    "compare_versions",
    "find_images",
    "list_changes",
    "list_versions",
    "load_predictor",
    "open_registry",
    "promote",
    "roll_back",
]
