"""The closing of a run as a pipeline component."""

from kfp import dsl


@dsl.component(base_image="sanefit-trainer", install_kfp_package=False)
def close_run(
    name: str,
    run_name: str,
    job_name: str,
    storage: str,
    tracking_uri: str,
    status: dsl.PipelineTaskFinalStatus,
    job_id: str = "",
    registry: str = "{}",
) -> None:
    """Close the MLflow run with the pipeline's true status, whatever happened, and tell of a failure."""
    from sanefit.components.model_registry.steps import close_run

    told = {"state": status.state, "message": status.error_message or ""}
    close_run(name, run_name or job_name, job_id, storage, tracking_uri, registry, **told)
