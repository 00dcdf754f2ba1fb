"""Compile the pipeline to the YAML that a Kubeflow cluster takes."""

import tempfile
from pathlib import Path

from kfp import compiler

from sanefit.components.foundation.errors import SettingsError
from sanefit.components.foundation.schemas.recipients import variable_of
from sanefit.pipeline.container_images import ContainerImages
from sanefit.pipeline.placement import Placement
from sanefit.pipeline.settings.run_config import RunConfig, endings_of, pipeline_arguments
from sanefit.pipeline.training_pipeline import training_pipeline


def compile_pipeline(config: RunConfig, images: ContainerImages, output: Path) -> None:
    """Write the compiled pipeline with the configuration as its parameters' defaults.

    ``storage`` and ``tracking_uri`` have no default: they are given when a run is submitted.

    Args:
        config: the configuration.
        images: where each step runs.
        output: a ``.yaml`` file; replaced only when the compilation succeeded.

    Raises:
        SettingsError: when it is no file that can be written.
    """
    _require_writable(output)
    place = Placement(config.cluster, images, notify_variable=variable_of(config.registry.notify_url))
    pipeline = training_pipeline(place, config.search, **endings_of(config))
    aside = output.with_name(f".{output.stem}.partial.yaml")
    try:
        compiler.Compiler().compile(pipeline, str(aside), pipeline_parameters=pipeline_arguments(config))
        aside.replace(output)
    finally:
        aside.unlink(missing_ok=True)


def _require_writable(output: Path) -> None:
    """Before kfp is at work for seconds."""
    why = ""
    if output.suffix not in (".yaml", ".yml"):
        why = "its name does not end in .yaml"
    elif output.is_dir():
        why = "it is a folder"
    else:
        try:
            tempfile.TemporaryFile(dir=output.parent).close()
        except OSError as error:
            why = f"no file can be written beside it: {error.strerror}"
    if why:
        raise SettingsError(
            f"--output {str(output)!r}: {why}; expected a .yaml file in a folder that is there; correct it"
        )
