"""``registry.onnx``: a version as an ONNX file, kept when it answers as the version does."""

import importlib
import tempfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sanefit.components.foundation.errors import RunFailedError, SettingsError, first_line
from sanefit.components.foundation.image_dataset.shards import SplitImages
from sanefit.components.foundation.schemas.registry import RegistrySettings
from sanefit.components.foundation.schemas.runs import RunReference
from sanefit.components.foundation.step_lines.step_log import Say
from sanefit.components.foundation.tracking.attached_files import attach_file
from sanefit.components.foundation.tracking.connection import Client
from sanefit.components.foundation.tracking.models import tag_version, tags_of_version
from sanefit.components.foundation.tracking.onnx_export import export_in_fresh_process
from sanefit.components.foundation.tracking.tags import ONNX_TAG
from sanefit.components.model_registry.onnx_answers import onnx_answers
from sanefit.components.model_registry.verification import IMAGES, TOLERANCE

ONNX_FILE = "onnx/model.onnx"  # among the files of a version's run
BATCHES = (IMAGES, 1, 3)
PACKAGES = ("onnx", "onnxscript", "onnxruntime")


def require_onnx_packages(settings: RegistrySettings) -> None:
    """Raise SettingsError when an ONNX file is asked for and a package that this takes cannot be imported."""
    if not settings.onnx:
        return
    for package in PACKAGES:
        try:
            importlib.import_module(package)
        except ImportError as error:
            raise SettingsError(
                f"registry.onnx=true: {package} cannot be imported ({first_line(error)}); expected "
                f"{', '.join(PACKAGES)} where the steps run; install sanefit[onnx] there, or set registry.onnx=false"
            ) from error


def keep_onnx(
    tracking: Client,
    run: RunReference,
    model_name: str,
    version: str,
    test: SplitImages,
    probabilities: NDArray[np.float32],
    say: Say,
) -> None:
    """Keep the ONNX file with the run, and its path in a tag of the version; where there can be none, only warn.

    Args:
        tracking: a client.
        run: the parent run.
        model_name, version: what is exported.
        test: the split.
        probabilities: float32 (images, classes), what the tested model gave.
        say: prints a line.
    """
    if ONNX_TAG in tags_of_version(tracking, model_name, version):  # by this step, before it was repeated
        return
    model_uri = f"models:/{model_name}/{version}"
    with tempfile.TemporaryDirectory(prefix="sanefit-") as folder:
        file = Path(folder) / Path(ONNX_FILE).name
        try:
            export_in_fresh_process(run.tracking_uri, model_uri, file)
            _require_same_answers(file, test, probabilities)
        except RunFailedError as error:
            say(f"warning: registry.onnx: {model_uri} has no ONNX file: {error}")
            return
        for written in sorted(Path(folder).iterdir()):
            attach_file(tracking, run.tracking_run_id, written, str(Path(ONNX_FILE).parent))
    tag_version(tracking, model_name, version, ONNX_TAG, ONNX_FILE)
    say(f"{model_uri} as ONNX: {ONNX_FILE} among the run's files; it gives the same probabilities")


def _require_same_answers(file: Path, test: SplitImages, probabilities: NDArray[np.float32]) -> None:
    """As ``verify``, in batches of several sizes: an export may have frozen one."""
    images = test.read(np.arange(min(IMAGES, len(test))))
    for size, answers in zip(BATCHES, onnx_answers(file, [images[:size] for size in BATCHES]), strict=True):
        expected = probabilities[: len(images)][:size].astype(np.float64)
        apart = float(np.abs(answers - expected).max()) if answers.shape == expected.shape else np.inf
        if not apart <= TOLERANCE:
            raise RunFailedError(
                f"ONNX Runtime answers otherwise, {size} images at once: probabilities up to {apart:.1e} apart; "
                f"expected at most {TOLERANCE:g}"
            )
