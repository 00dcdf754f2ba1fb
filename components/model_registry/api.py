"""What a command or a notebook may call: versions, changes, differences, certificates, answers for files, and runs."""

from sanefit.components.foundation.tracking.attached_files import read_attached_of_job
from sanefit.components.foundation.tracking.run_record import tracked_run_record
from sanefit.components.model_registry.certificate_check import CheckedCertificate, check_certificate
from sanefit.components.model_registry.changes import (
    list_changes,
    list_versions,
    open_registry,
    promote,
    roll_back,
)
from sanefit.components.model_registry.checked_items import CheckedItem
from sanefit.components.model_registry.drift.drift import Difference, p_value_in_words, verdict_of
from sanefit.components.model_registry.drift.version_drift import VersionDrift, find_drift
from sanefit.components.model_registry.needed_snapshots import needed_snapshots_of
from sanefit.components.model_registry.notifications import tell_missed_schedule
from sanefit.components.model_registry.predicted_files import Answers, Predictor, find_images, load_predictor
from sanefit.components.model_registry.signature import read_public_key
from sanefit.components.model_registry.version_comparison import ComparedVersion, VersionComparison, compare_versions

__all__ = [
    "Answers",
    "CheckedCertificate",
    "CheckedItem",
    "ComparedVersion",
    "Difference",
    "Predictor",
    "VersionComparison",
    "VersionDrift",
    "check_certificate",
    "compare_versions",
    "find_drift",
    "find_images",
    "list_changes",
    "list_versions",
    "load_predictor",
    "needed_snapshots_of",
    "open_registry",
    "p_value_in_words",
    "promote",
    "read_attached_of_job",
    "read_public_key",
    "roll_back",
    "tell_missed_schedule",
    "tracked_run_record",
    "verdict_of",
]
