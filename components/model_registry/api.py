"""What a command or a notebook may call: versions and changes of a model, certificates, and answers for image files."""

from sanefit.components.model_registry.certificate_check import CheckedCertificate, check_certificate
from sanefit.components.model_registry.changes import (
    list_changes,
    list_versions,
    open_registry,
    promote,
    roll_back,
)
from sanefit.components.model_registry.checked_items import CheckedItem
from sanefit.components.model_registry.predicted_files import Answers, Predictor, find_images, load_predictor
from sanefit.components.model_registry.signature import read_public_key

__all__ = [
    "Answers",
    "CheckedCertificate",
    "CheckedItem",
    "Predictor",
    "check_certificate",
    "find_images",
    "list_changes",
    "list_versions",
    "load_predictor",
    "open_registry",
    "promote",
    "read_public_key",
    "roll_back",
]
