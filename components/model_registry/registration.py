"""Register the trained model and decide between champion and challenger."""

from collections.abc import Callable
from datetime import UTC, datetime

import numpy as np
from numpy.typing import NDArray

from sanefit.components.foundation.classifiers.classifier import ProbabilityModel
from sanefit.components.foundation.diagnosis.calibration import calibration_error
from sanefit.components.foundation.errors import RunFailedError, SanefitError, first_line
from sanefit.components.foundation.image_dataset.reading import preparation_of
from sanefit.components.foundation.image_dataset.shards import SplitImages, open_split
from sanefit.components.foundation.schemas.data_settings import DataSettings
from sanefit.components.foundation.schemas.final_model import TrainedModel
from sanefit.components.foundation.schemas.registry import RegistrySettings
from sanefit.components.foundation.schemas.runs import Registration, RunReference
from sanefit.components.foundation.step_lines.step_log import Say
from sanefit.components.foundation.storage.layout import Storage
from sanefit.components.foundation.storage.lease import held
from sanefit.components.foundation.tracking.connection import Client, connect
from sanefit.components.foundation.tracking.models import (
    describe_version,
    name_of_files_model,
    register_files_model,
    register_model,
)
from sanefit.components.foundation.tracking.tags import FINGERPRINT_TAG, TEST_ACCURACY_TAG
from sanefit.components.foundation.training.checkpoints.trained_model import read_trained
from sanefit.components.foundation.training.inputs import TrainingInputs
from sanefit.components.foundation.training.stacks.trial import Problem
from sanefit.components.foundation.unsure import REJECT_BELOW
from sanefit.components.model_registry.alias import NewVersion, give_alias
from sanefit.components.model_registry.champion_comparison import (
    TestAnswers,
    probabilities_of,
)
from sanefit.components.model_registry.drift.reference import keep_reference
from sanefit.components.model_registry.evidence import TestScores, keep_evidence
from sanefit.components.model_registry.model_card import model_card
from sanefit.components.model_registry.onnx_file import keep_onnx
from sanefit.components.model_registry.promotion import Candidate
from sanefit.components.model_registry.required_metrics import measure, shortfalls
from sanefit.components.model_registry.seen_images import digests_of, write_seen_images
from sanefit.components.model_registry.verification import TOLERANCE, near_ties, verify


def register(
    model_name: str,
    inputs: TrainingInputs,
    data: DataSettings,
    trained: TrainedModel,
    settings: RegistrySettings,
    run: RunReference,
    say: Say,
    *,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> Registration:
    """Register the model, compare it with the champion on the test split, and set the alias.

    The new version is loaded back from the registry and must give the accuracy that the final
    training reported. A step that is repeated goes on where it was.

    Args:
        model_name: the registered model.
        inputs: what the model is built from; the snapshot's test split judges.
        data: how image files become pixels.
        trained: the model.
        settings: when it becomes champion.
        run: the parent run.
        say: prints a line.
        now: the time.

    Raises:
        RunFailedError: when the loaded model's accuracy is not the reported one.
    """
    manifest, tracking = inputs.manifest, connect(run.tracking_uri)
    version, files_version = _kept_versions(tracking, model_name, inputs, data, trained, settings, run)
    model_uri, files_model_uri = (
        f"models:/{name}/{number}"
        for name, number in ((model_name, version), (name_of_files_model(model_name), files_version))
    )
    test = open_split(inputs.dataset, "test", manifest=manifest)
    probabilities = _tested(model_uri, test, trained)
    verify(run.tracking_uri, model_uri, files_model_uri, test, probabilities)
    scores = TestScores(test, manifest.class_names, probabilities)
    keep_evidence(tracking, run, scores, now().timestamp())
    write_seen_images(tracking, run.tracking_run_id, inputs.dataset, manifest)
    keep_reference(run, model_uri, inputs.dataset, manifest, inputs.seed)
    if settings.onnx:
        keep_onnx(tracking, run, model_name, version, test, probabilities, say)
    new = NewVersion(
        version,
        Candidate(
            trained.test_accuracy,
            trained.test,
            shortfalls(settings.require, test.labels, probabilities, manifest.class_names),
        ),
        measure(settings.metric, test.labels, probabilities, manifest.class_names),
        TestAnswers(test, digests_of(inputs.dataset, "test", manifest), manifest.class_names, scores.right),
    )
    others = f"another run of {model_name!r} that registers"
    with held(Storage(run.storage).registration_lock(model_name), others, say):
        registration = give_alias(tracking, model_name, new, settings, run, say, now())
    calibration = calibration_error(scores.right, probabilities.max(axis=1))
    card = model_card(registration, inputs, trained, run.run_name, calibration)
    describe_version(tracking, model_name, version, card)
    return registration


def _tested(model_uri: str, test: SplitImages, trained: TrainedModel) -> NDArray[np.float32]:
    """The registered model's probabilities; RunFailedError unless it is as good as the final training reported."""
    probabilities = probabilities_of(model_uri, test)
    accuracy = float((probabilities.argmax(axis=1) == test.labels).mean())
    ties = near_ties(probabilities, TOLERANCE)
    if abs(accuracy - trained.test_accuracy) * len(test) > ties + 0.5:
        raise RunFailedError(
            f"{model_uri} scores {accuracy:.6f} on the test split; the final training reported "
            f"{trained.test_accuracy:.6f}; expected the same, but for {ties} near-ties; the version keeps no alias"
        )
    return probabilities


def _kept_versions(
    tracking: Client,
    model_name: str,
    inputs: TrainingInputs,
    data: DataSettings,
    trained: TrainedModel,
    settings: RegistrySettings,
    run: RunReference,
) -> tuple[str, str]:
    """That of the model that takes pixels, and of the one that takes image files."""
    metadata = {
        "class_names": inputs.manifest.class_names,
        "image_shape": list(inputs.manifest.image_shape),
        **preparation_of(data).metadata,
        REJECT_BELOW: settings.reject_below,
    }
    tags = {FINGERPRINT_TAG: inputs.dataset.fingerprint, TEST_ACCURACY_TAG: f"{trained.test_accuracy:.6f}"}
    served = _served_model(inputs, trained)
    try:
        version = register_model(tracking, run, model=served, model_name=model_name, metadata=metadata, tags=tags)
        files_version = register_files_model(
            tracking, run, model_name=model_name, version=version, metadata=metadata, tags=tags
        )
        return version, files_version
    except SanefitError:
        raise
    except Exception as error:  # of whichever artifact store it is: an HTTP client's, boto3's, the file system's
        raise RunFailedError(
            f"the model cannot be kept in MLflow at {run.tracking_uri!r}: {first_line(error)}; expected a registry and "
            f"an artifact store that take it; no version is registered; the weights stay in {trained.weights_uri!r}; "
            "mend it, and run again: what is trained is not trained again"
        ) from error


def _served_model(inputs: TrainingInputs, trained: TrainedModel) -> ProbabilityModel:
    problem = Problem(inputs.manifest.image_shape, inputs.classes, inputs.stats)
    return ProbabilityModel(read_trained(trained, inputs.network, problem), trained.temperature).eval()
