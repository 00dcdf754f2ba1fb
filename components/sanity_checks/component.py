"""Step 3 and the gate after it as pipeline components."""

from kfp import dsl


@dsl.component(base_image="sanefit-trainer", install_kfp_package=False)
def sanity(
    dataset: str, stats: str, network: str, optimizer: str, search: str, checks: str, seed: int, code_digest: str
) -> str:
    """Run the checks and the learning-rate probe; always succeeds; returns a reference to a CheckReport.

    ``code_digest``: of the code that checks, and of what the network is made of, so that a verdict about another is not
    taken from the cache.
    """
    from sanefit.components.foundation.schemas.checks import CheckSettings
    from sanefit.components.foundation.schemas.search import SearchSettings
    from sanefit.components.foundation.step_lines.step_log import running_step
    from sanefit.components.foundation.storage.results import store_cached_result
    from sanefit.components.foundation.training.inputs import read_training_inputs
    from sanefit.components.foundation.training.score import judged_class
    from sanefit.components.sanity_checks.checklist import run_checklist

    del code_digest
    with running_step("sanity") as say:
        inputs = read_training_inputs(dataset, stats, network, optimizer, seed)
        searched = SearchSettings.model_validate_json(search)
        judged_class(searched.metric, inputs.manifest.class_names)  # an error now rather than after the checks
        report = run_checklist(inputs, searched.coarse, CheckSettings.model_validate_json(checks), say)
        return store_cached_result(inputs.dataset.storage, "checks", report)


@dsl.component(base_image="sanefit-data", install_kfp_package=False)
def gate(checks: str, run: str = "") -> None:
    """Fail the run when a check failed; ``run`` is empty where the checks are all that runs."""
    from sanefit.components.foundation.schemas.checks import CheckReport
    from sanefit.components.foundation.step_lines.step_log import running_step
    from sanefit.components.foundation.storage.results import load_result
    from sanefit.components.sanity_checks.gate import require_passed

    with running_step("gate", run) as say:
        require_passed(load_result(CheckReport, checks), say)
