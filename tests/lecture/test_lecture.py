"""The command, and what counts as agreement."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from sanefit.components.foundation.errors import DataError
from sanefit.components.foundation.training.loop.whole_training import train
from sanefit.components.lecture.comparison import Comparison, same_numbers
from sanefit.components.lecture.lecture import ROWS, chosen_experiments, run_experiments
from sanefit.components.lecture.page import render
from sanefit.components.lecture.search_rows import BATCH, coarse_search
from sanefit.components.lecture.toy_data import ToyData, read_toy_data
from sanefit.components.lecture.toy_rows import channel_means, first_losses, overfit_samples
from sanefit.components.lecture.toy_training import toy_trial

pytestmark = pytest.mark.slow

WITHOUT_IMAGES = ["W1", "W2", "W3", "W4", "W5", "B1", "B3"]


def run(*arguments: str) -> tuple[int, str, str]:
    finished = subprocess.run(
        [sys.executable, "-m", "sanefit", "lecture", *arguments], capture_output=True, text=True, check=False
    )
    return finished.returncode, finished.stdout, finished.stderr


@pytest.mark.parametrize("row", WITHOUT_IMAGES)
def test_a_table_of_the_slides_is_found_again(row: str) -> None:
    comparisons = list(run_experiments(chosen_experiments([row], ""), "", 0, lambda _: None))
    assert row in {comparison.row for comparison in comparisons}
    assert [(c.title, c.ours) for c in comparisons if not c.passed] == []


def test_first_losses_and_the_twenty_samples_on_real_images(cifar10_archive: Path) -> None:
    data = read_toy_data(f"tar:{cifar10_archive}", 0, lambda _: None)
    assert len(data.labels) == 50_000
    for comparisons in (channel_means(data), first_losses(data), overfit_samples(data)):
        assert [(c.row, c.ours) for c in comparisons if not c.passed] == []


def test_a_search_shows_the_best_epoch_on_the_last_thousand_images() -> None:
    random = torch.Generator().manual_seed(0)
    pixels = torch.randint(0, 256, (5_400, 32, 32, 3), dtype=torch.uint8, generator=random)
    data = ToyData(pixels, torch.randint(0, 10, (5_400,), generator=random), classes=10)
    lines: list[str] = []
    [best, drowned] = coarse_search(data, lines.append)
    assert len(lines) == 100
    first = dict(part.split(": ") for part in lines[0].split(", ")[:3])
    alone = toy_trial(float(first["lr"]), float(first["reg"]), seed=0, batch_size=BATCH, epochs=5, batch_seed=1)
    curve = train(data.problem.classifier(alone), data.splits(validated=1000), alone.recipe)[1]
    assert float(first["val_acc"]) == pytest.approx(max(record.validation_accuracy for record in curve), abs=0.002)
    assert not best.passed  # there is nothing to learn
    assert drowned.passed


@given(st.floats(0.001, 10), st.floats(-0.2, 0.2))
def test_figures_agree_within_their_tolerance(figure: float, off: float) -> None:
    text = f"{figure:.8f}"
    comparison = same_numbers("W2", "a title", [text], [float(text) * (1 + off)], relative=0.05)
    if abs(abs(off) - 0.05) > 1e-3:
        assert comparison.passed == (abs(off) < 0.05)


def test_the_last_digit_of_the_slides_counts_as_rounded() -> None:
    assert same_numbers("W2", "", ["6e-6"], [6.4e-6], relative=0.0).passed
    assert not same_numbers("W2", "", ["6e-6"], [6.6e-6], relative=0.0).passed
    assert same_numbers("W2", "", ["0"], [1.9e-5], relative=0.0, smallest=1e-5).passed
    assert not same_numbers("W2", "", ["0"], [2.1e-5], relative=0.0, smallest=1e-5).passed
    assert not same_numbers("W2", "", ["0.5"], [float("nan")], relative=1.0).passed


def test_the_command_prints_theirs_beside_ours(tmp_path: Path) -> None:
    page = tmp_path / "lecture.html"
    status, out, err = run("--only", "W1,B3", "--html", str(page), "--json")
    assert status == 0
    result = json.loads(out.splitlines()[-1])
    assert result["status"] == "succeeded"
    assert [row["row"] for row in result["rows"]] == ["W1", "B1", "B3"]
    assert "slides  1 (every neuron learns the same)" in err
    assert "every neuron learns the same" in page.read_text()
    assert "http" not in page.read_text()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--only", "Z9"], "--only 'Z9': expected some of W1, W2"),
        (["--only", "R1"], "needs CIFAR-10; expected --data"),
        (["--data", "tar:missing.tar"], "missing.tar"),
        (["--only", "W1", "--html", "missing/folder/page.html"], "no such folder"),
    ],
)
def test_bad_use_is_one_line(arguments: list[str], said: str) -> None:
    status, _, err = run(*arguments)
    assert status == 2
    assert said in err
    assert "Traceback" not in err


def test_a_row_that_disagrees_fails_the_command_and_is_shown() -> None:
    wrong = Comparison("W1", "a <title>", "1", "2", "1", passed=False)
    page = render([wrong], "tar:x")
    assert "0 of 1 agree" in page
    assert "a &lt;title&gt;" in page
    assert '<td class="fail">fail</td>' in page


def test_without_images_what_needs_none_is_run() -> None:
    rows = [row for experiment in chosen_experiments([], "") for row in experiment.rows]
    assert rows == WITHOUT_IMAGES
    assert [row for experiment in chosen_experiments([], "tar:x") for row in experiment.rows] == list(ROWS)


def test_images_of_another_size_are_refused(image_folder: Callable[..., Path]) -> None:
    folder = image_folder({"cat": 3, "dog": 3})
    with pytest.raises(DataError, match=r"6 images of shapes .* expected CIFAR-10"):
        read_toy_data(f"folder:{folder}", 0, lambda _: None)
