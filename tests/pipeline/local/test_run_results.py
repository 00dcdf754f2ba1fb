from pathlib import Path

import pytest

from sanefit.components.foundation.schemas.runs import RunSummary
from sanefit.components.foundation.step_lines.line_forms import StepError, StepTiming
from sanefit.pipeline.local.local_run import LocalOutcome
from sanefit.pipeline.local.run_results import closing_lines, of_training, remove, report_of

TIMINGS = [StepTiming("snapshot", 0.5, 1, 2)]


def failed(folder: Path, exit_status: int, created: Path) -> LocalOutcome:
    folder.mkdir(parents=True)
    (folder / "run.log").write_text("a line\nValueError: late\n")
    return LocalOutcome(False, StepError("train", "cannot write", exit_status), TIMINGS, folder, created)


def test_bad_input_before_there_are_results_is_bad_input(tmp_path: Path) -> None:
    outcome = failed(tmp_path / "work" / "runs" / "r", 2, tmp_path / "work")
    assert of_training(outcome, 0, 10)["status"] == "bad input"


def test_a_full_disk_after_the_checks_is_a_failed_run_that_keeps_its_results(tmp_path: Path) -> None:
    outcome = failed(tmp_path / "work" / "runs" / "r", 2, tmp_path / "work")
    (outcome.folder / "report.html").write_text("page")
    result = of_training(outcome, 0, 10)
    assert (result["status"], result["error"]) == ("failed", "cannot write")


def test_a_step_that_dies_without_a_word_is_shown_with_its_last_error(tmp_path: Path) -> None:
    outcome = failed(tmp_path / "r", 1, tmp_path / "r")
    silent = LocalOutcome(False, None, TIMINGS, outcome.folder, outcome.created)
    error = of_training(silent, 0, 10)["error"]
    assert "ValueError: late" in error
    assert str(outcome.folder / "run.log") in error


def test_only_what_a_run_created_is_removed(tmp_path: Path) -> None:
    (tmp_path / "work").mkdir()
    outcome = failed(tmp_path / "work" / "runs" / "r", 2, tmp_path / "work" / "runs")
    (tmp_path / "work" / "snapshots").mkdir()
    remove(outcome, tmp_path / "work")
    assert list((tmp_path / "work").iterdir()) == []


def test_folders_with_other_runs_stay(tmp_path: Path) -> None:
    (tmp_path / "work" / "runs" / "older").mkdir(parents=True)
    outcome = failed(tmp_path / "work" / "runs" / "r", 2, tmp_path / "work" / "runs" / "r")
    remove(outcome, tmp_path / "work")
    assert [path.name for path in (tmp_path / "work" / "runs").iterdir()] == ["older"]


def test_the_latest_report_is_the_default(tmp_path: Path) -> None:
    for name in ("first", "second"):
        (tmp_path / "runs" / name).mkdir(parents=True)
        (tmp_path / "runs" / name / "report.html").write_text(name)
    assert report_of(tmp_path, "first").read_text() == "first"
    assert report_of(tmp_path, "").read_text() == "second"


@pytest.mark.parametrize(("suspected", "said"), [(None, False), (0, False), (1234, True)])
def test_the_last_lines_say_where_suspected_labels_are(suspected: int | None, said: bool, tmp_path: Path) -> None:
    summary = RunSummary(run_name="r", fingerprint="f", failed_checks=[], suspected_labels=suspected)
    outcome = failed(tmp_path / "r", 1, tmp_path / "r")  # after its labels were judged
    (outcome.folder / "summary.json").write_text(summary.model_dump_json())
    result = of_training(outcome, 0, 10)
    assert result["suspected_labels"] == suspected
    line = f"label errors    1,234 suspected: {outcome.folder}/suspected-labels.csv"
    assert (line in closing_lines(result, "sqlite:///x")) == said


@pytest.mark.parametrize("name", ["validation_accuracy", "val_accuracy"])
def test_the_accuracy_of_a_summary_is_read_under_its_earlier_name_too(name: str, tmp_path: Path) -> None:
    (tmp_path / "summary.json").write_text(
        f'{{"run_name": "r", "fingerprint": "f", "failed_checks": [], "{name}": 0.5}}'
    )
    result = of_training(LocalOutcome(True, None, TIMINGS, tmp_path, tmp_path), 0, 10)
    assert result["validation_accuracy"] == 0.5
    assert "val_accuracy" not in result
