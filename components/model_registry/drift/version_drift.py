"""A registered version beside the images of a source."""

import dataclasses
from dataclasses import dataclass

import numpy as np

from sanefit.components.foundation.errors import DataError, SettingsError
from sanefit.components.foundation.schemas.drift import DriftSettings
from sanefit.components.foundation.tracking.connection import Client
from sanefit.components.foundation.tracking.models import FILES_SUFFIX, version_of_run
from sanefit.components.foundation.tracking.version_files import RegisteredVersion, find_version
from sanefit.components.model_registry.drift.drift import DriftReport, compare
from sanefit.components.model_registry.drift.reference import REFERENCE_FILE, DriftReference, read_reference
from sanefit.components.model_registry.drift.source_sample import DrawnImages, Tell, draw, settings_for
from sanefit.components.model_registry.predicted_files import load_predictor
from sanefit.components.model_registry.seen_images import read_seen_images

LEAST_IMAGES = 30  # fewer tell nothing


@dataclass(frozen=True)
class VersionDrift:
    """``model_uri``: of the version itself. ``report``: None where too few images are new."""

    model_uri: str
    class_names: list[str]
    reference: DriftReference
    drawn: DrawnImages
    report: DriftReport | None


def find_drift(
    tracking: Client, model_uri: str, source: str, settings: DriftSettings, seed: int, workers: int, tell: Tell
) -> VersionDrift:
    """Compare new images of a source with what a version kept of those that it was trained and validated on.

    Args:
        tracking: a client; MLflow is connected.
        model_uri: of the model that takes pixels, or of the one that takes image files.
        source: in a form of ``data.source``, or a path; no image needs a class.
        settings: when a difference counts, and how many images are drawn.
        seed: of what is drawn, and of the tests.
        workers: processes that read and decode; the result does not depend on it.
        tell: is called with how many were read, and how many there are to read.

    Raises:
        SettingsError: when there is no such version, or it kept no reference.
        DataError: when the source cannot be read, or has too few images.
        StorageError: when the artifact store cannot be read.
    """
    version = _of_pixels(tracking, find_version(tracking, model_uri))
    reference = require_reference(tracking, version.model_name, version.version)
    uri = f"models:/{version.model_name}/{version.version}"
    predictor = load_predictor(uri)
    seen = read_seen_images(tracking, version.model_name, version.version)
    seen = np.empty(0, dtype=np.uint64) if seen is None else seen
    drawn = draw(settings_for(source, predictor), predictor, seen, settings.images, seed, workers, tell)
    _require_enough(source, drawn)
    channels = predictor.image_shape[2]
    enough = drawn.sample is not None and drawn.images >= LEAST_IMAGES
    report = compare(reference.sample, drawn.sample, channels, settings, seed) if drawn.sample and enough else None
    return VersionDrift(uri, predictor.class_names, reference, drawn, report)


def require_reference(tracking: Client, model_name: str, version: str) -> DriftReference:
    """What a version kept to be compared with.

    Raises:
        SettingsError: when it kept nothing.
        StorageError: when that cannot be read.
    """
    reference = read_reference(tracking, model_name, version)
    if reference is None:
        raise SettingsError(
            f"models:/{model_name}/{version} has no {REFERENCE_FILE} among the files of its run; expected a version "
            "that this version of sanefit registered; train and register it anew"
        )
    return reference


def _of_pixels(tracking: Client, version: RegisteredVersion) -> RegisteredVersion:
    """The version that takes pixels, of one that may take image files."""
    name = version.model_name.removesuffix(FILES_SUFFIX)
    if name == version.model_name or not (number := version_of_run(tracking, name, version.run_id)):
        return version
    return dataclasses.replace(version, model_name=name, version=number)


def _require_enough(source: str, drawn: DrawnImages) -> None:
    readable = drawn.drawn - len(drawn.broken)
    if readable >= LEAST_IMAGES:
        return
    why = f" ({drawn.broken[0]})" if drawn.broken else ""
    raise DataError(
        f"{source!r} has {readable:,} images that can be read{why}; expected at least {LEAST_IMAGES}, for fewer tell "
        "nothing; give more"
    )
