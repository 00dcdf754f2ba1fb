"""The pipeline on the cluster: uploaded once for every configuration and every version of sanefit."""

import hashlib
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from kfp_server_api import (  # type: ignore[import-untyped]
    ExperimentServiceApi,
    PipelineServiceApi,
    PipelineUploadServiceApi,
    V2beta1Experiment,
    V2beta1Pipeline,
    V2beta1PipelineVersionReference,
)

from sanefit import __version__
from sanefit.components.foundation.errors import SettingsError
from sanefit.pipeline.container_images import container_images
from sanefit.pipeline.kubeflow.client.api import Kubeflow, predicates
from sanefit.pipeline.kubeflow.client.errors import KubeflowError
from sanefit.pipeline.kubeflow.runs.workflow_size import require_fit
from sanefit.pipeline.settings.run_config import RunConfig
from sanefit.pipeline.task_names import TRAINING_PIPELINE

T = TypeVar("T")
HASH_LENGTH = 12
# The server stamps what is created with whole seconds: after two, all of the same second can be seen.
SECONDS_UNTIL_ALL_ARE_SEEN = 2.0


@dataclass(frozen=True)
class Uploaded:
    """What a run or a schedule on the cluster refers to; ``parameters`` are those without a default."""

    pipeline_id: str
    version_id: str
    version_name: str
    experiment_id: str
    parameters: dict[str, str]

    def reference(self) -> V2beta1PipelineVersionReference:
        """For the API."""
        return V2beta1PipelineVersionReference(pipeline_id=self.pipeline_id, pipeline_version_id=self.version_id)


def upload(config: RunConfig, kubeflow: Kubeflow) -> Uploaded:
    """Create what is missing: the pipeline, its version for this configuration, the experiment.

    Raises:
        SettingsError: when the configuration lacks what a cluster needs.
        KubeflowError: from the API.
    """
    parameters = _places(config)
    with tempfile.TemporaryDirectory() as folder:
        compiled = Path(folder) / f"{TRAINING_PIPELINE}.yaml"
        name = _compile(config, compiled)
        pipeline_id = found_or_created(lambda: find_pipeline(kubeflow), lambda: _create_pipeline(kubeflow))
        version_id = found_or_created(
            lambda: _find_version(kubeflow, pipeline_id, name),
            lambda: _upload_version(kubeflow, pipeline_id, name, compiled),
        )
    experiment_id = found_or_created(
        lambda: find_experiment(kubeflow, config.name), lambda: _create_experiment(kubeflow, config.name)
    )
    return Uploaded(pipeline_id, version_id, name, experiment_id, parameters)


def found_or_created(find: Callable[[], T | None], create: Callable[[], T]) -> T:
    """What ``find`` finds, or else what ``create`` creates, also when another was faster or the answer was lost."""
    found = find()
    if found is not None:
        return found
    try:
        return create()
    except KubeflowError as error:
        if error.status == 409 or error.passing:
            found = find()
            if found is not None:
                return found
        raise


def find_pipeline(kubeflow: Kubeflow) -> str | None:
    """The id of sanefit's pipeline."""
    method = PipelineServiceApi(kubeflow.client).pipeline_service_get_pipeline_by_name
    try:
        found = kubeflow.call("get pipelines", method, TRAINING_PIPELINE, **kubeflow.in_namespace())
    except KubeflowError as error:
        if error.status == 404:
            return None
        raise
    return str(found.pipeline_id)


def find_experiment(kubeflow: Kubeflow, name: str) -> str | None:
    """The id of an experiment."""
    found = kubeflow.pages(
        "list experiments",
        ExperimentServiceApi(kubeflow.client).experiment_service_list_experiments,
        "experiments",
        filter=predicates(("display_name", "EQUALS", name)),
        **kubeflow.in_namespace(),
    )
    # Some of the server's databases compare without regard to case.
    return next((str(item.experiment_id) for item in found if item.display_name == name), None)


def _places(config: RunConfig) -> dict[str, str]:
    in_a_volume = config.cluster.is_in_a_volume
    kind, source = config.data.source_kind, config.data.source
    if kind.on_this_machine(source) and not in_a_volume(kind.place(source)):
        raise SettingsError(
            f"data.source={source!r}: pods cannot read this machine's files; expected a source that a "
            "cluster reaches, as s3://bucket/images, or a path below one of cluster.volumes; correct data.source"
        )
    exclude = config.data.exclude
    if exclude is not None and config.data.excludes_by_local_file and not in_a_volume(exclude):
        raise SettingsError(
            f"data.exclude={exclude!r}: pods cannot read this machine's files; expected s3://bucket/key, or a path "
            "below one of cluster.volumes; upload the file and correct data.exclude"
        )
    weights = config.network.weights_uri
    if config.network.weights_on_this_machine and not in_a_volume(weights):
        raise SettingsError(
            f"network.weights={weights!r}: pods cannot read this machine's files; expected s3://bucket/key, "
            "package:NAME/PATH, or a path below one of cluster.volumes; upload the file and correct network.weights"
        )
    places = {"storage": config.cluster.storage_folder, "tracking_uri": config.cluster.tracking_uri}
    examples = {"storage": "s3://bucket/sanefit", "tracking_uri": "http://mlflow.mlflow.svc:5000"}
    for key, value in places.items():
        if not value:
            raise SettingsError(
                f"cluster.{key} is empty; expected it for runs on a cluster; set cluster.{key} in the configuration or "
                f"--set cluster.{key}={examples[key]}"
            )
    return places


def _compile(config: RunConfig, path: Path) -> str:
    """Compile; the name of the version, which the content decides.

    Raises:
        SettingsError: when Argo's workflow would be too large.
    """
    from sanefit.pipeline.compile import compile_pipeline

    compile_pipeline(config, container_images(config.cluster.images), path)
    require_fit(path, config.search.packs)
    return f"sanefit-{__version__}-{hashlib.sha256(path.read_bytes()).hexdigest()[:HASH_LENGTH]}"


def _create_pipeline(kubeflow: Kubeflow) -> str:
    body = V2beta1Pipeline(name=TRAINING_PIPELINE, display_name=TRAINING_PIPELINE, **kubeflow.in_namespace())
    method = PipelineServiceApi(kubeflow.client).pipeline_service_create_pipeline
    return str(kubeflow.call("create pipelines", method, body).pipeline_id)


def _find_version(kubeflow: Kubeflow, pipeline_id: str, name: str) -> str | None:
    found = kubeflow.pages(
        "list pipelines",
        PipelineServiceApi(kubeflow.client).pipeline_service_list_pipeline_versions,
        "pipeline_versions",
        pipeline_id=pipeline_id,
        filter=predicates(("name", "EQUALS", name)),
    )
    return next((str(item.pipeline_version_id) for item in found if name in (item.name, item.display_name)), None)


def _upload_version(kubeflow: Kubeflow, pipeline_id: str, name: str, compiled: Path) -> str:
    method = PipelineUploadServiceApi(kubeflow.client).upload_pipeline_version
    try:
        version = kubeflow.call("create pipelines", method, str(compiled), name=name, pipelineid=pipeline_id)
    except KubeflowError as error:
        if error.status == 400:  # also how the server says that it is not allowed
            raise KubeflowError(f"{error}; may this account create pipelines?", status=400, exit_status=2) from None
        raise
    return str(version.pipeline_version_id)


def _create_experiment(kubeflow: Kubeflow, name: str) -> str:
    body = V2beta1Experiment(display_name=name, **kubeflow.in_namespace())
    method = ExperimentServiceApi(kubeflow.client).experiment_service_create_experiment
    return str(kubeflow.call("create experiments", method, body).experiment_id)
