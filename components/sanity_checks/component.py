"""Step 3 and the gate after it as pipeline components."""

from kfp import dsl


@dsl.component(base_image="sanefit-trainer", install_kfp_package=False)
def sanity(dataset: str, stats: str, network: str, optimizer: str, search: str, checks: str, seed: int) -> str:
    """Run the checks and the learning-rate probe; always succeeds; returns a CheckReport."""
    from components.foundation.artifacts import ChannelStats, DatasetReference
    from components.foundation.settings import CheckSettings, network_settings
    from components.foundation.step_log import running_step
    from components.foundation.training_settings import OptimizerSettings, SearchSettings
    from components.sanity_checks.checklist import run_checklist

    with running_step("sanity") as say:
        return run_checklist(
            DatasetReference.model_validate_json(dataset),
            ChannelStats.model_validate_json(stats),
            network_settings.validate_json(network),
            OptimizerSettings.model_validate_json(optimizer),
            SearchSettings.model_validate_json(search).coarse,
            CheckSettings.model_validate_json(checks),
            seed,
            say,
        ).model_dump_json()


@dsl.component(base_image="sanefit-data", install_kfp_package=False)
def gate(checks: str) -> None:
    """Fail the run when a check failed."""
    from components.foundation.artifacts import CheckReport
    from components.foundation.step_log import running_step
    from components.sanity_checks.gate import require_passed

    with running_step("gate") as say:
        require_passed(CheckReport.model_validate_json(checks), say)
