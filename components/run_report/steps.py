"""Step 7, as a task runs it; it also writes the page of the checks, before the gate."""

from pathlib import Path


def run_report(
    run: str,
    dataset: str,
    stats: str,
    checks: str,
    page: str,
    coarse: str = "",
    fine: str = "",
    trained: str = "",
    registration: str = "",
) -> None:
    """Write the run's page from what is known so far; all but ``run`` and ``dataset`` are references."""
    from sanefit.components.foundation.step_lines.step_log import running_step
    from sanefit.components.run_report.report import load_findings, write_report

    with running_step("report" if registration else "first report", run) as say:
        found = {"coarse": coarse, "fine": fine, "trained": trained, "registration": registration}
        html = write_report(load_findings(run, dataset, stats, checks, found), say)
        Path(page).write_text(html, encoding="utf-8")
