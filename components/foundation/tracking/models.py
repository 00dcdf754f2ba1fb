"""Registered models: a version for each run that trained one, and the aliases of the best."""

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

import mlflow
import numpy as np
from mlflow import MlflowClient
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException
from numpy.typing import NDArray

from sanefit.components.foundation.schemas.runs import CHAMPION, RunReference
from sanefit.components.foundation.tracking.connection import Client
from sanefit.components.foundation.tracking.tags import FILES_TAG

if TYPE_CHECKING:
    from torch import nn

FILES_SUFFIX = "-files"  # of the name of a model that takes image files


def register_model(
    tracking: Client,
    run: RunReference,
    *,
    model: "nn.Module",
    model_name: str,
    metadata: Mapping[str, Any],
    tags: Mapping[str, str],
) -> str:
    """Store the model as an exported graph, no pickle, and register it; the version.

    A run registers one version: when it already has one, that version is returned.

    Args:
        tracking: a client.
        run: the parent run, which the version points to.
        model: from uint8 (images, height, width, channels) to probabilities (images, classes).
        model_name: the registered model.
        metadata: kept with the model; ``class_names``, in the order of the probabilities, and ``image_shape``, (height,
            width, channels), among it.
        tags: of the version.
    """
    return _registered(tracking, run, model_name, tags, lambda: _log_model(run, model, metadata))


def register_files_model(
    tracking: Client,
    run: RunReference,
    *,
    model_name: str,
    version: str,
    metadata: Mapping[str, Any],
    tags: Mapping[str, str],
) -> str:
    """Register the model that takes image files, and tie it to the version that takes pixels; its own version.

    Args:
        tracking: a client.
        run: the parent run.
        model_name, version: of the model that takes pixels.
        metadata: as for ``register_model``, with ``image_size``, ``background`` and ``bit_depth``.
        tags: of the version.
    """

    def log() -> str:
        from sanefit.components.foundation.tracking.files_model_logging import log_files_model

        return log_files_model(run, f"models:/{model_name}/{version}", dict(metadata))

    files_version = _registered(tracking, run, name_of_files_model(model_name), tags, log)
    tag_version(tracking, model_name, version, FILES_TAG, files_version)
    return files_version


def name_of_files_model(model_name: str) -> str:
    """What the model is called that takes image files."""
    return f"{model_name}{FILES_SUFFIX}"


def let_files_model_follow(tracking: Client, model_name: str, alias: str) -> None:
    """Point an alias of the model that takes files to what belongs to the version under it; until nothing changes."""
    files_model = name_of_files_model(model_name)
    while True:
        version = _version_under(tracking, model_name, alias)
        tags = {str(known.version): known.tags for known in versions_of(tracking, model_name)}
        wanted = tags.get(version or "", {}).get(FILES_TAG)
        if wanted is None:
            return
        if _version_under(tracking, files_model, alias) != wanted:
            tracking.set_registered_model_alias(files_model, alias, wanted)
        if _version_under(tracking, model_name, alias) == version:
            return


def champion_version(tracking: Client, model_name: str) -> str | None:
    """The version under the alias ``champion``, if any."""
    return _version_under(tracking, model_name, CHAMPION)


def _version_under(tracking: Client, model_name: str, alias: str) -> str | None:
    try:
        return str(tracking.get_model_version_by_alias(model_name, alias).version)
    except MlflowException as error:
        if error.error_code in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
            return None
        raise


def versions_of(tracking: Client, model_name: str) -> list[ModelVersion]:
    """All versions, the first one first; none of a model that is not registered."""
    found: list[ModelVersion] = []
    token = None
    while True:
        page = tracking.search_model_versions(f"name = '{model_name}'", max_results=1000, page_token=token)
        found += page
        token = page.token
        if not token:
            return sorted(found, key=lambda version: int(version.version))


def version_of_run(tracking: Client, model_name: str, run_id: str) -> str:
    """The version that a run registered; empty where there is none."""
    found = tracking.search_model_versions(f"name = '{model_name}' and run_id = '{run_id}'")
    return str(found[0].version) if found else ""


def model_names(tracking: Client) -> list[str]:
    """Of registered models, some."""
    return [str(model.name) for model in tracking.search_registered_models(max_results=100)]


def aliases_of(tracking: Client, model_name: str) -> dict[str, str]:
    """The version under each alias."""
    return {alias: str(version) for alias, version in tracking.get_registered_model(model_name).aliases.items()}


def tags_of_version(tracking: Client, model_name: str, version: str) -> dict[str, str]:
    """All tags of a version."""
    return dict(tracking.get_model_version(model_name, version).tags)


def tag_version(tracking: Client, model_name: str, version: str, tag: str, value: str) -> None:
    """Write a tag of a version."""
    tracking.set_model_version_tag(model_name, version, tag, value)


def describe_version(tracking: Client, model_name: str, version: str, text: str) -> None:
    """What a version's page says, in Markdown."""
    tracking.update_model_version(model_name, version, description=text)


def set_alias(tracking: Client, model_name: str, alias: str, version: str) -> None:
    """Point ``alias`` to ``version``."""
    tracking.set_registered_model_alias(model_name, alias, version)


def model_metadata(model_uri: str) -> dict[str, Any]:
    """What ``register_model`` noted with a model, ``class_names`` and ``image_shape`` among it; empty for others."""
    return dict(mlflow.models.get_model_info(model_uri).metadata or {})


def load_pixels_model(model_uri: str) -> Any:
    """A registered model whose ``predict`` takes uint8 (images, height, width, channels)."""
    return mlflow.pyfunc.load_model(model_uri)


def why_not_loaded(model_uri: str) -> str:
    """What is wrong with a registered model's files, in one line; empty when they are there."""
    try:
        mlflow.models.get_model_info(model_uri)
    except (MlflowException, OSError) as error:
        return " ".join(str(error).split())
    return ""


def predict(model_uri: str, batches: Iterable[NDArray[np.uint8]]) -> NDArray[np.float32]:
    """Probabilities (images, classes) of a registered model for batches of raw pixels (N, H, W, C)."""
    model = load_pixels_model(model_uri)
    return np.concatenate([model.predict(batch) for batch in batches])


def _registered(
    tracking: Client, run: RunReference, model_name: str, tags: Mapping[str, str], log: Callable[[], str]
) -> str:
    if existing := version_of_run(tracking, model_name, run.tracking_run_id):
        return existing
    uri = log()
    _create_registered_model(tracking, model_name)
    version = tracking.create_model_version(
        model_name, source=uri, run_id=run.tracking_run_id, tags=dict(tags), model_id=uri.rsplit("/", 1)[1]
    )
    return str(version.version)


def _create_registered_model(tracking: Client, name: str) -> None:
    try:
        tracking.create_registered_model(name)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise


def _log_model(run: RunReference, model: "nn.Module", metadata: Mapping[str, Any]) -> str:
    import mlflow.pytorch
    import torch
    from mlflow.models import ModelSignature
    from mlflow.types.schema import Schema, TensorSpec

    image_shape, class_names = tuple(metadata["image_shape"]), metadata["class_names"]
    signature = ModelSignature(
        inputs=Schema([TensorSpec(np.dtype(np.uint8), (-1, *image_shape))]),
        outputs=Schema([TensorSpec(np.dtype(np.float32), (-1, len(class_names)))]),
    )
    tracking = MlflowClient()
    with mlflow.start_run(run_id=run.tracking_run_id):
        info = mlflow.pytorch.log_model(
            model,
            name="model",
            signature=signature,
            input_example=np.zeros((2, *image_shape), dtype=np.uint8),  # one image would freeze the batch size
            pip_requirements=[f"torch=={torch.__version__.split('+')[0]}", f"mlflow=={mlflow.__version__}"],
            metadata=dict(metadata),
        )
    tracking.update_run(run.tracking_run_id, status="RUNNING")  # start_run closes it; the exit handler does that
    return str(info.model_uri)
