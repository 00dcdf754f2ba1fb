"""Step 3 and the gate after it as pipeline components."""

from kfp import dsl


@dsl.component(base_image="sanefit-trainer", install_kfp_package=False)
def sanity(dataset: str, stats: str, network: str, optimizer: str, search: str, checks: str, seed: int) -> str:
    """Run the checks and the learning-rate probe; always succeeds; returns a CheckReport."""
    from sanefit.components.foundation.schemas.checks import CheckSettings
    from sanefit.components.foundation.schemas.images import DatasetReference
    from sanefit.components.foundation.schemas.networks import network_settings
    from sanefit.components.foundation.schemas.search import SearchSettings
    from sanefit.components.foundation.schemas.statistics import ChannelStats
    from sanefit.components.foundation.schemas.training import OptimizerSettings
    from sanefit.components.foundation.step_lines.step_log import running_step
    from sanefit.components.sanity_checks.checklist import run_checklist

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
    from sanefit.components.foundation.schemas.checks import CheckReport
    from sanefit.components.foundation.step_lines.step_log import running_step
    from sanefit.components.sanity_checks.gate import require_passed

    with running_step("gate") as say:
        require_passed(CheckReport.model_validate_json(checks), say)
