"""``sanefit stats``, as a user types it."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from command_line import Command, sanefit
from PIL import Image
from sklearn.datasets import load_digits

pytestmark = pytest.mark.slow


def one_bad_line(command: Command) -> str:
    assert (command.status, command.stdout) == (2, "")
    [line] = command.stderr.splitlines()
    return line


def test_the_digits_are_measured_and_nothing_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    command = sanefit("stats", "--json")
    pixels = np.rint(load_digits().data * 255 / 16)
    assert command.status == 0
    assert command.result["images"] == command.result["population"] == 1797
    assert command.result["mean"] == pytest.approx([pixels.mean()], rel=1e-12)
    assert command.result["std"] == pytest.approx([pixels.std()], rel=1e-12)
    assert (command.result["half_width"], command.result["confidence"]) == ([0.0], None)
    assert list(tmp_path.iterdir()) == []


def test_a_sample_says_how_many_it_took_and_its_interval(image_folder: Callable[..., Path]) -> None:
    folder = image_folder({"cat": 900, "dog": 900})
    wanted = [f"data.source=folder:{folder}", "stats.mode=sampled", "stats.tolerance=2"]
    result = sanefit("stats", "--json", sets=wanted).result
    assert 100 < result["images"] < result["population"] == 1800
    assert 0 < max(result["half_width"]) <= 2
    shown = sanefit("stats", sets=wanted).stdout
    assert f"{result['images']:,} of 1,800 images, drawn at random" in shown
    assert "at 95% confidence" in shown


def test_images_of_several_sizes_count_by_their_pixels_and_broken_ones_are_named(tmp_path: Path) -> None:
    (tmp_path / "cat").mkdir()
    for number in range(300):
        Image.new("RGB", (1 + number % 2, 2), (200 * (number % 2), 0, 0)).save(tmp_path / "cat" / f"{number}.png")
    (tmp_path / "cat" / "broken.png").write_bytes(b"no image")
    command = sanefit("stats", "--json", sets=[f"data.source=folder:{tmp_path}"])
    assert command.result["mean"] == [pytest.approx(200 * 2 / 3), 0.0, 0.0]
    assert command.result["left_out"] == 1
    assert "broken.png" in command.stderr


def test_what_cannot_be_read_is_one_line(tmp_path: Path) -> None:
    assert str(tmp_path / "no") in one_bad_line(sanefit("stats", sets=[f"data.source=folder:{tmp_path}/no"]))
    assert "holds no images" in one_bad_line(sanefit("stats", sets=[f"data.source=folder:{tmp_path}"]))
    (tmp_path / "cat").mkdir()
    (tmp_path / "cat" / "a.png").write_bytes(b"no image")
    assert "no whole images" in one_bad_line(sanefit("stats", sets=[f"data.source=folder:{tmp_path}"]))
