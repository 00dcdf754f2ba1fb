"""A run on digits of which some are labelled wrong finds them, and the next leaves them out."""

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from command_line import SMALL, Command, sanefit
from PIL import Image
from sklearn.datasets import load_digits

pytestmark = pytest.mark.slow

EVERY = 36  # the one in so many scans that is labelled wrong


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, set[str]]:
    """Digits as files, 50 of them in the folder of the next digit: their names."""
    root, wrong = tmp_path_factory.mktemp("planted") / "images", set()
    for number, (scan, digit) in enumerate(zip(*load_digits(return_X_y=True), strict=True)):
        label = (digit + (number % EVERY == 0)) % 10
        (root / str(label)).mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.rint(scan * 255 / 16).astype(np.uint8).reshape(8, 8)).save(
            root / f"{label}/{number:04d}.png"
        )
        wrong |= {f"{label}/{number:04d}.png"} if number % EVERY == 0 else set()
    return root, wrong


@pytest.fixture(scope="module")
def found(planted: tuple[Path, set[str]], tmp_path_factory: pytest.TempPathFactory) -> tuple[Command, Path]:
    workdir = tmp_path_factory.mktemp("work")
    sets = [*SMALL, f"data.source=folder:{planted[0]}", "name=planted", "final.epochs=20", "final.label_errors=all"]
    run = sanefit("run", "--json", "--workdir", str(workdir), sets=sets)
    assert run.status == 0, run.stderr
    return run, workdir


def manifest_of(workdir: Path, fingerprint: str) -> dict[str, Any]:
    manifest: dict[str, Any] = json.loads((workdir / "snapshots" / fingerprint[:16] / "manifest.json").read_bytes())
    return manifest


def test_most_planted_errors_are_in_the_table_beside_the_page(
    found: tuple[Command, Path], planted: tuple[Path, set[str]]
) -> None:
    run, _ = found
    folder = Path(run.result["run_dir"])
    with (folder / "suspected-labels.csv").open(newline="") as opened:
        rows = list(csv.DictReader(opened))
    assert {row["path"] for row in rows} <= {f"{path.parent.name}/{path.name}" for path in planted[0].rglob("*.png")}
    assert len(planted[1] & {row["path"] for row in rows}) >= 30  # of 50, some of which are test images
    assert run.result["suspected_labels"] == len(rows)
    assert json.loads((folder / "summary.json").read_bytes())["suspected_labels"] == len(rows)
    assert (folder / "report.html").read_text().count("an image whose label may be wrong") == min(24, len(rows))
    assert "suspected label errors among" in run.stderr


def test_the_table_takes_them_out_and_no_other(found: tuple[Command, Path], planted: tuple[Path, set[str]]) -> None:
    run, workdir = found
    table = Path(run.result["run_dir"]) / "suspected-labels.csv"
    with table.open(newline="") as opened:
        named = {row["path"] for row in csv.DictReader(opened)}
    source = f"data.source=folder:{planted[0]}"
    checked = sanefit(
        "check", "--workdir", str(workdir), "--json", sets=[source, "name=planted", f"data.exclude={table}"]
    )
    assert f"left out {len(named)} images that data.exclude names" in checked.stderr
    manifests = [json.loads(path.read_bytes()) for path in workdir.glob("snapshots/*/manifest.json")]
    before = manifest_of(workdir, run.result["fingerprint"])
    [after] = [manifest for manifest in manifests if manifest["fingerprint"] != before["fingerprint"]]
    assert {image["path"] for image in after["excluded"]} == named
    for split, counts in before["images_per_class"].items():
        assert 0 <= sum(counts.values()) - sum(after["images_per_class"][split].values()) <= len(named)
    assert after["images_per_class"]["test"] == before["images_per_class"]["test"]  # whose labels are not judged


def test_statistics_leave_out_the_same(found: tuple[Command, Path], planted: tuple[Path, set[str]]) -> None:
    run, _ = found
    table = Path(run.result["run_dir"]) / "suspected-labels.csv"
    measured = sanefit("stats", "--json", sets=[f"data.source=folder:{planted[0]}", f"data.exclude={table}"])
    assert measured.result["excluded"] == run.result["suspected_labels"]
    assert measured.result["population"] == 1797 - run.result["suspected_labels"]


def test_a_file_that_is_not_there_is_one_line_with_the_fix(tmp_path: Path) -> None:
    missing = tmp_path / "none.csv"
    refused = sanefit("check", "--workdir", str(tmp_path / "w"), sets=[f"data.exclude={missing}"])
    assert refused.status == 2
    assert f"data.exclude='{missing}' cannot be read: " in refused.stderr
    assert "Traceback" not in refused.stderr
