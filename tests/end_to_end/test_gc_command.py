"""`sanefit gc`, as a user types it, after a whole run."""

import os
import shutil
from pathlib import Path

import mlflow
import pytest
from command_line import Command, sanefit

pytestmark = pytest.mark.slow
LONG_AGO = 40 * 24 * 3600


def grow_old(folder: Path) -> None:
    for path in folder.rglob("*"):
        if not path.is_symlink():
            os.utime(path, (path.stat().st_mtime - LONG_AGO, path.stat().st_mtime - LONG_AGO))


@pytest.fixture
def old_run(first_run: Command, workdir: Path, tmp_path: Path) -> Path:
    """A copy of a run's work directory, 40 days later."""
    assert first_run.status == 0, first_run.stderr
    copy = tmp_path / "sanefit-runs"
    shutil.copytree(workdir, copy)
    grow_old(copy)
    return copy


def gc(folder: Path, *arguments: str) -> Command:
    return sanefit("gc", "--json", "--workdir", str(folder), *arguments)


def pixels(folder: Path) -> list[Path]:
    return sorted(folder.glob("decoded/*/*/*.npy"))


def test_a_version_keeps_its_pixels_until_it_is_deleted(old_run: Path) -> None:
    before = pixels(old_run)
    kept = gc(old_run)
    assert kept.status == 0, kept.stderr
    assert (kept.result["bytes"], kept.result["kept"]) == (0, 1)
    assert pixels(old_run) == before != []

    tracking = mlflow.MlflowClient(f"sqlite:///{old_run}/mlflow.db")
    for version in tracking.search_model_versions():
        tracking.delete_model_version(version.name, version.version)
    grow_old(old_run)
    size = sum(path.stat().st_size for path in old_run.glob("decoded/*/*/*"))
    told = gc(old_run, "--dry-run")
    assert (told.result["bytes"], told.result["dry_run"], pixels(old_run)) == (size, True, before)

    removed = gc(old_run)
    assert removed.result["bytes"] == size
    assert [item["kind"] for item in removed.result["removed"]] == ["decoded images"]
    assert "freed" in removed.stderr
    assert pixels(old_run) == []
    assert [*old_run.glob("snapshots/*/manifest.json")] != []
    assert [*old_run.glob("splits/*/*")] != []


def test_a_run_in_progress_keeps_its_pixels(old_run: Path) -> None:
    tracking = mlflow.MlflowClient(f"sqlite:///{old_run}/mlflow.db")
    for version in tracking.search_model_versions():
        tracking.delete_model_version(version.name, version.version)
    [experiment] = [found for found in tracking.search_experiments() if found.name == "digits"]
    [run] = [run for run in tracking.search_runs([experiment.experiment_id]) if "sanefit.run" in run.data.tags]
    tracking.update_run(run.info.run_id, "RUNNING")
    scratch = old_run / "runs" / run.data.tags["sanefit.run"] / "scratch"
    scratch.mkdir()
    (scratch / "0.pixels").write_bytes(b"1")
    grow_old(old_run)
    assert (gc(old_run).result["removed"], (scratch / "0.pixels").is_file()) == ([], True)
    tracking.update_run(run.info.run_id, "FAILED")
    assert sorted(item["kind"] for item in gc(old_run).result["removed"]) == ["decoded images", "scratch"]


def test_bad_use_is_one_line(tmp_path: Path) -> None:
    for arguments, said in (
        (["--workdir", str(tmp_path / "none")], "no such folder"),
        (["--workdir", str(tmp_path), "--storage", "s3://bucket/here"], "MLFLOW_TRACKING_URI is not set"),
        (["--workdir", str(tmp_path), "--set", "storage.keep_days=0"], "storage.keep_days=0"),
        (
            ["--workdir", str(tmp_path), "--set", "storage.keep_days=1", "--set", "cluster.run_timeout_seconds=90000"],
            "expected at least 2 days",
        ),
    ):
        refused = sanefit("gc", *arguments)
        assert (refused.status, len(refused.stderr.splitlines())) == (2, 1)
        assert said in refused.stderr
