"""Step 3 and the gate after it, as a task runs it: texts in, a text out."""


def sanity(inputs: str, search: str, checks: str, code_digest: str, run: str = "") -> str:
    """Run the checks and the learning-rate probe; always succeeds; returns a reference to a CheckReport.

    What an earlier run found for the same inputs is not measured again; ``code_digest``: of the code that checks, and
    of what the network is made of. ``run``: empty where the checks are all that runs.
    """
    from sanefit.components.foundation.identity.digests import digest_of
    from sanefit.components.foundation.schemas.checks import CheckSettings
    from sanefit.components.foundation.schemas.search import SearchSettings
    from sanefit.components.foundation.schemas.training import TrainingParameters
    from sanefit.components.foundation.step_lines.step_log import running_step
    from sanefit.components.foundation.training.inputs import read_training_inputs
    from sanefit.components.foundation.training.score import judged_class
    from sanefit.components.sanity_checks.checked_before import check_once
    from sanefit.components.sanity_checks.checklist import run_checklist

    with running_step("sanity", run) as say:
        read = read_training_inputs(TrainingParameters.model_validate_json(inputs))
        searched = SearchSettings.model_validate_json(search)
        judged_class(searched.metric, read.manifest.class_names)  # an error now rather than after the checks
        settings = CheckSettings.model_validate_json(checks)
        coarse = searched.coarse
        key = digest_of(inputs, coarse.model_dump_json(), checks, code_digest)
        return check_once(read.dataset.storage, key, lambda: run_checklist(read, coarse, settings, say), say)


def plant_faults(inputs: str, search: str, checks: str, run_name: str) -> str:
    """Plant faults into a set-up that passed; returns a reference to a MutationReport."""
    from sanefit.components.foundation.machine.threads import using_threads
    from sanefit.components.foundation.schemas.checks import CheckSettings
    from sanefit.components.foundation.schemas.search import SearchSettings
    from sanefit.components.foundation.schemas.training import TrainingParameters
    from sanefit.components.foundation.step_lines.step_log import running_step
    from sanefit.components.foundation.storage.layout import Storage
    from sanefit.components.foundation.storage.results import store_result
    from sanefit.components.foundation.training.inputs import read_training_inputs
    from sanefit.components.sanity_checks.mutation.mutation_score import mutation_score
    from sanefit.components.sanity_checks.setup_of_run import fitted_setup_of

    with running_step("mutate") as say:
        read = read_training_inputs(TrainingParameters.model_validate_json(inputs))
        settings = CheckSettings.model_validate_json(checks)
        setup, threads = fitted_setup_of(read, SearchSettings.model_validate_json(search).coarse, settings)
        with using_threads(threads):
            report = mutation_score(setup, say)
        return store_result(Storage(read.dataset.storage).checked(run_name).result("mutations"), report)


def gate(checks: str, run: str = "") -> None:
    """Fail the run when a check failed; ``run`` is empty where the checks are all that runs."""
    from sanefit.components.foundation.schemas.checks import CheckReport
    from sanefit.components.foundation.step_lines.step_log import running_step
    from sanefit.components.foundation.storage.results import load_result
    from sanefit.components.sanity_checks.gate import require_passed

    with running_step("gate", run) as say:
        require_passed(load_result(CheckReport, checks), say)
