"""Step 6, as a task runs it: texts in, a text out; with the opening and closing of the MLflow run."""

from collections.abc import Mapping


def identify_training(dataset: str, seed: int, sections: Mapping[str, str]) -> tuple[str, str, str]:
    """What determines the run (JSON), and what its statistics and its checks depend on beside their inputs (digests).

    ``sections``: JSON of each section of the configuration that has a part in that.

    Never cached: the image's name stays when its content changes, and the user's own module is in there.
    """
    from sanefit.components.foundation.schemas.images import DatasetReference
    from sanefit.components.foundation.step_lines.step_log import running_step
    from sanefit.components.model_registry.run_identity import identify_run

    with running_step("identity") as say:
        identity = identify_run(DatasetReference.model_validate_json(dataset), seed, **sections)
        say(f"{identity.run.digest[:16]}, made of {', '.join(identity.run.parts)}")
        return (identity.run.model_dump_json(), identity.statistics_code, identity.checks_code)


def open_run(
    name: str,
    run_name: str,
    job_id: str,
    storage: str,
    tracking_uri: str,
    identity: str,
    dataset: str,
    registry: str,
    seed: int,
    sections: Mapping[str, str],
) -> str:
    """Open the MLflow run, once all that registration will need is there; returns a RunReference.

    ``sections``: as for ``identify_training``.
    """
    import os
    from datetime import UTC, datetime

    from sanefit.components.foundation.identity.training_identity import TrainingIdentity
    from sanefit.components.foundation.image_dataset.shards import read_manifest
    from sanefit.components.foundation.schemas.images import DatasetReference
    from sanefit.components.foundation.schemas.registry import RegistrySettings
    from sanefit.components.foundation.schemas.search import SearchSettings
    from sanefit.components.foundation.step_lines.step_log import running_step
    from sanefit.components.foundation.tracking.connection import connect
    from sanefit.components.foundation.tracking.dataset_inputs import log_dataset_inputs
    from sanefit.components.foundation.training.score import judged_class
    from sanefit.components.model_registry.onnx_file import require_onnx_packages
    from sanefit.components.model_registry.required_metrics import require_known_classes
    from sanefit.components.model_registry.run_identity import flat_settings
    from sanefit.components.model_registry.run_lifecycle import open_tracking_run
    from sanefit.components.model_registry.settlement import keep_standing
    from sanefit.components.model_registry.signature import read_signing_key

    with running_step("open run") as say:
        read_signing_key(os.environ)
        manifest = read_manifest(DatasetReference.model_validate_json(dataset))
        class_names = manifest.class_names
        judged_class(SearchSettings.model_validate_json(sections["search"]).metric, class_names)
        rule = RegistrySettings.model_validate_json(registry)
        require_known_classes(rule, class_names)
        require_onnx_packages(rule)
        known = TrainingIdentity.model_validate_json(identity)
        params = flat_settings(seed, **sections)
        run = open_tracking_run(name, run_name, job_id, storage, tracking_uri, known, params, say)
        say.of(run)
        log_dataset_inputs(
            connect(tracking_uri),
            run.tracking_run_id,
            source=params["data.source"],
            fingerprint=manifest.fingerprint,
            images={split: sum(counts.values()) for split, counts in manifest.images_per_class.items()},
            classes=len(class_names),
        )
        keep_standing(connect(tracking_uri), name, run.tracking_run_id, datetime.now(UTC))
        return run.model_dump_json()


def compare_with_finished_runs(
    name: str, run_name: str, job_id: str, storage: str, tracking_uri: str, identity: str
) -> str:
    """Say ``news`` or ``nothing new``: whether training could give anything that no finished run gave."""
    from sanefit.components.foundation.identity.training_identity import TrainingIdentity
    from sanefit.components.foundation.step_lines.step_log import running_step
    from sanefit.components.model_registry.run_origin import compare, unopened_run

    with running_step("compare") as say:
        answer = compare(TrainingIdentity.model_validate_json(identity), name, tracking_uri, say)
        say.of(unopened_run(answer, run_name, job_id, storage, tracking_uri))
        return answer


def compare_with_champion(
    name: str, run_name: str, job_id: str, storage: str, tracking_uri: str, dataset: str, drift: str, seed: int
) -> str:
    """Say ``news`` or ``nothing new``: whether images have drifted from those that the champion was trained on."""
    from sanefit.components.foundation.schemas.drift import DriftSettings
    from sanefit.components.foundation.schemas.images import DatasetReference
    from sanefit.components.foundation.step_lines.step_log import running_step
    from sanefit.components.model_registry.drift import snapshot_drift
    from sanefit.components.model_registry.run_origin import unopened_run

    with running_step("drift") as say:
        images, settings = DatasetReference.model_validate_json(dataset), DriftSettings.model_validate_json(drift)
        answer = snapshot_drift.compare_with_champion(images, name, tracking_uri, settings, seed, say)
        say.of(unopened_run(answer, run_name, job_id, storage, tracking_uri))
        return answer


def register_model(
    name: str, data: str, inputs: str, registry: str, trained: str, run: str, checks: str, identity: str
) -> str:
    """Register the model, decide between champion and challenger, certify; returns a reference to a Registration."""
    import os
    from datetime import UTC, datetime

    from sanefit.components.foundation.identity.training_identity import TrainingIdentity
    from sanefit.components.foundation.schemas.checks import CheckReport
    from sanefit.components.foundation.schemas.data_settings import DataSettings
    from sanefit.components.foundation.schemas.final_model import TrainedModel
    from sanefit.components.foundation.schemas.registry import RegistrySettings
    from sanefit.components.foundation.schemas.runs import RunReference
    from sanefit.components.foundation.schemas.training import TrainingParameters
    from sanefit.components.foundation.step_lines.step_log import running_step
    from sanefit.components.foundation.storage.layout import Storage
    from sanefit.components.foundation.storage.results import load_result, store_result
    from sanefit.components.foundation.tracking.connection import connect
    from sanefit.components.foundation.tracking.locked_store import wait_until_unlocked
    from sanefit.components.foundation.tracking.readiness import wait_for_run
    from sanefit.components.foundation.tracking.untracked import fill_in_untracked
    from sanefit.components.foundation.training.inputs import read_training_inputs
    from sanefit.components.model_registry.certificate import Evidence, certify
    from sanefit.components.model_registry.notifications import tell_promotion
    from sanefit.components.model_registry.registration import register
    from sanefit.components.model_registry.run_lifecycle import show_in_mlflow

    with running_step("register", run) as say:
        trained_on = read_training_inputs(TrainingParameters.model_validate_json(inputs))
        parent = RunReference.model_validate_json(run)
        wait_until_unlocked(parent.tracking_uri, say)
        wait_for_run(connect(parent.tracking_uri), parent.tracking_run_id, say)
        show_in_mlflow(parent)
        fill_in_untracked(parent, say)
        settings = RegistrySettings.model_validate_json(registry)
        model, images = load_result(TrainedModel, trained), DataSettings.model_validate_json(data)
        registration = register(name, trained_on, images, model, settings, parent, say)
        report, known = load_result(CheckReport, checks), TrainingIdentity.model_validate_json(identity)
        certify(registration, Evidence(trained_on, model, report, known), parent, os.environ, datetime.now(UTC), say)
        tell_promotion(settings, registration, parent, say)
        return store_result(Storage(parent.storage).run(parent.run_name).registration, registration)


def close_run(
    name: str, run_name: str, job_id: str, storage: str, tracking_uri: str, registry: str, state: str, message: str
) -> None:
    """Close the MLflow run with the pipeline's true status, whatever happened, and tell of a failure.

    ``state``, ``message``: what the orchestrator says of the run.
    """
    from sanefit.components.foundation.schemas.registry import RegistrySettings
    from sanefit.components.foundation.step_lines.step_log import running_step
    from sanefit.components.model_registry.notifications import tell_failure
    from sanefit.components.model_registry.run_lifecycle import close_tracking_run, ended_as_told, show_in_mlflow

    ended = ended_as_told(run_name, state, message)
    with running_step("close run") as say:
        try:
            ended = close_tracking_run(name, run_name, job_id, storage, tracking_uri, state, message, say)
            say.of(ended.run)
        finally:  # also where MLflow does not answer
            settings = RegistrySettings.model_validate_json(registry)
            tell_failure(settings, name, ended.run_name, ended.failure, say)
    show_in_mlflow(ended.run)
