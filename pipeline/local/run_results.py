"""What the command says of a run that has ended."""

import contextlib
import glob
import json
import shutil
from pathlib import Path
from typing import Any

from sanefit.components.foundation.errors import DataError, SettingsError
from sanefit.components.foundation.schemas.checks import CheckReport
from sanefit.components.foundation.schemas.mutations import MutationReport
from sanefit.components.foundation.schemas.runs import CHAMPION, NOTHING_NEW, RunSummary
from sanefit.components.foundation.step_lines.line_forms import StepLine
from sanefit.components.foundation.step_lines.reading import read_line
from sanefit.components.foundation.storage.layout import RunFolder, Storage
from sanefit.components.foundation.storage.results import load_result
from sanefit.pipeline.local.local_run import LOG_FILE, TASKS_FOLDER, LocalOutcome
from sanefit.pipeline.local.step_times import outside_share, step_times
from sanefit.pipeline.task_names import CHECKED, PLANTED, PREPARATION

BAD_INPUT = DataError.exit_status


def of_training(outcome: LocalOutcome, started: float, ended: float) -> dict[str, Any]:
    """The JSON object of ``sanefit run``; times in epoch seconds."""
    summary_file, page = Path(outcome.run.summary), Path(outcome.run.report)
    summary = RunSummary.model_validate_json(summary_file.read_bytes()) if summary_file.is_file() else None
    return {
        **_of_outcome(outcome, started, ended),
        "nothing_new": _answer_of(outcome, PREPARATION, "news") == NOTHING_NEW,
        "test_accuracy": summary and summary.test_accuracy,
        "validation_accuracy": summary and summary.validation_accuracy,
        "test": summary and summary.test and summary.test.model_dump(),
        "validation": summary and summary.validation and summary.validation.model_dump(),
        "suspected_labels": summary and summary.suspected_labels,
        "model_uri": summary and summary.model_uri,
        "model_version": summary and summary.model_version,
        "model_name": summary and summary.model_name,
        "alias": summary and summary.alias,
        "promotion_reason": summary and summary.promotion_reason,
        "fingerprint": summary and summary.fingerprint,
        "run_dir": str(outcome.folder),
        "report": str(page) if page.is_file() else None,
    }


def of_checks(outcome: LocalOutcome, started: float, ended: float) -> dict[str, Any]:
    """The JSON object of ``sanefit check``."""
    answer = _answer_of(outcome, CHECKED, "Output")
    checks = load_result(CheckReport, answer) if answer else None
    planted, page = _answer_of(outcome, PLANTED, "Output"), Path(outcome.run.report)
    mutations = load_result(MutationReport, planted) if planted else None
    return {
        **_of_outcome(outcome, started, ended),
        "checks": checks and checks.model_dump(),
        "mutation_score": mutations and mutations.mutation_score,
        "planted": mutations and [result.model_dump() for result in mutations.planted],
        "report": str(page) if page.is_file() else None,
    }


def closing_lines(result: dict[str, Any], tracking_uri: str) -> list[str]:
    """The last lines of ``sanefit run`` for a reader."""
    lines = [""]
    if result["nothing_new"]:
        lines.append("nothing new     nothing was trained: the last step above says why")
    elif result["status"] == "succeeded":
        uri = f"models:/{result['model_name']}@{CHAMPION}" if result["alias"] == CHAMPION else result["model_uri"]
        low, high = result["test"]["interval"]
        lines += [
            f"test accuracy   {result['test_accuracy']:.4f}   (95 % interval {low:.4f} to {high:.4f}; validation "
            f"{result['validation_accuracy']:.4f})",
            f"baseline        {result['test']['majority_accuracy']:.4f}   always the largest class; balanced accuracy "
            f"{result['test']['balanced_accuracy']:.4f}",
            f"model           {result['model_uri']}, {result['alias']}: {result['promotion_reason']}",
            f'load it         mlflow.set_tracking_uri("{tracking_uri}"); mlflow.pyfunc.load_model("{uri}")',
        ]
    if result["suspected_labels"]:
        table = RunFolder(result["run_dir"]).suspected_labels
        lines.append(f"label errors    {result['suspected_labels']:,} suspected: {table}")
    if tracking_uri.startswith("sqlite:"):
        lines.append(f"MLflow pages    mlflow ui --backend-store-uri {tracking_uri}")
    else:
        lines.append(f"MLflow pages    {tracking_uri}")
    if result["report"]:
        lines.append(f"report          {result['report']}")
    seconds, outside = result["seconds"], result["outside_share"]
    return [*lines, f"time            {seconds:.0f} s, {outside:.0%} outside the steps' own computing"]


def report_of(workdir: Path, run_name: str) -> Path:
    """The HTML page of a run; of the latest one that has a page when no name is given.

    Raises:
        SettingsError: when there is none.
    """
    found = glob.glob(Storage(glob.escape(str(workdir))).run("*").report)  # noqa: PTH207  # a pattern from its root on
    pages = sorted(map(Path, found), key=lambda page: page.parent.stat().st_ctime)
    wanted = [page for page in pages if not run_name or page.parent.name == run_name]
    if not wanted:
        known = ", ".join(page.parent.name for page in pages[-3:]) or "none"
        raise SettingsError(
            f"no report of run {run_name or 'latest'!r} in {str(workdir)!r}; expected one of the runs there "
            f"({known}); name one or set --workdir"
        )
    return wanted[-1]


def remove(outcome: LocalOutcome, workdir: Path) -> None:
    """Take away what a run with bad input created; folders that hold anything else stay."""
    shutil.rmtree(outcome.folder)
    if outcome.created != outcome.folder:
        for folder in (Path(Storage(str(workdir)).snapshots), *outcome.folder.parents):
            with contextlib.suppress(OSError):  # not empty, or never there
                folder.rmdir()
            if folder == outcome.created:
                return


def _answer_of(outcome: LocalOutcome, task: str, output: str) -> str | None:
    written = next(outcome.folder.glob(f"{TASKS_FOLDER}/*/{task}/executor_output.json"), None)
    return json.loads(written.read_bytes())["parameterValues"][output] if written else None


def _of_outcome(outcome: LocalOutcome, started: float, ended: float) -> dict[str, Any]:
    result: dict[str, Any] = {
        "status": "succeeded" if outcome.succeeded else "failed",
        "seconds": round(ended - started, 3),
        "outside_share": round(outside_share(outcome.timings, started, ended), 4),
        "steps": step_times(outcome.timings, started, ended),
    }
    if outcome.error is not None:
        result["error"] = outcome.error.message
        # Once there is a page, there are results to keep: the run failed, whatever the reason.
        if outcome.error.exit_status == BAD_INPUT and not Path(outcome.run.report).exists():
            result["status"] = "bad input"
    elif not outcome.succeeded:
        result["error"] = _last_words(outcome)
    return result


def _last_words(outcome: LocalOutcome) -> str:
    """Of a step that failed without saying why: what raised prints an error, and what ended how long it took."""
    log = outcome.folder / LOG_FILE
    lines = log.read_text(encoding="utf-8").splitlines()
    told = f"everything it printed is in {str(log)!r}"
    if errors := [line.strip() for line in lines if "Error" in line]:
        return f"a step ended without a word: {errors[-1]}; {told}"
    ended = {timing.step for timing in outcome.timings}
    said = [one.step for line in lines if isinstance(one := read_line(line), StepLine)]
    if cut_off := [step for step in said if step not in ended]:
        return (
            f"{cut_off[-1]}: its process was killed, by the system for want of memory or by hand; expected it to end "
            f"by itself; run again, it goes on where it was; {told}"
        )
    return f"a step ended without a word: no error in its output; {told}"
