"""Step 7, as a task runs it; it also writes the page of the checks, before the gate, and of the checks alone."""

from pathlib import Path


def run_report(
    run: str,
    inputs: str,
    checks: str,
    page: str,
    coarse: str = "",
    fine: str = "",
    trained: str = "",
    registration: str = "",
) -> None:
    """Write the run's page, at ``page`` too, from what is known so far.

    ``inputs``: JSON of TrainingParameters. ``checks`` and those after ``page``: references, empty where a step has not
    run.
    """
    from sanefit.components.foundation.schemas.training import TrainingParameters
    from sanefit.components.foundation.step_lines.step_log import running_step
    from sanefit.components.run_report.report import load_findings, write_report

    with running_step("report" if registration else "first report", run) as say:
        found = {"coarse": coarse, "fine": fine, "trained": trained, "registration": registration}
        given = TrainingParameters.model_validate_json(inputs)
        html = write_report(load_findings(run, given.dataset, given.stats, checks, found), say)
        Path(page).write_text(html, encoding="utf-8")


def report_of_checks(run_name: str, inputs: str, checks: str, mutations: str = "") -> None:
    """Write the page of a run of the checks alone, into its folder; arguments as for ``run_report``."""
    from sanefit.components.foundation.schemas.training import TrainingParameters
    from sanefit.components.foundation.step_lines.step_log import running_step
    from sanefit.components.run_report.report import load_checks_alone, write_report

    with running_step("report") as say:
        given = TrainingParameters.model_validate_json(inputs)
        write_report(load_checks_alone(run_name, given.dataset, given.stats, checks, mutations), say)
