"""A run on a disk without room, a small one of its own."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow


@pytest.fixture(params=["1m", "3m"])
def small_disk(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={request.param}", "tmpfs", folder], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("no file system can be mounted here")
    yield folder
    subprocess.run(["umount", folder], check=True)


@pytest.mark.parametrize("command", ["run", "check"])
def test_one_line_says_where_there_is_no_room_and_what_to_do(small_disk: Path, command: str) -> None:
    variables = {name: value for name, value in os.environ.items() if name != "MLFLOW_TRACKING_URI"}
    ran = subprocess.run(
        [sys.executable, "-m", "sanefit", command, "--workdir", small_disk / "w"],
        capture_output=True,
        text=True,
        env=variables,
        check=False,
    )
    if command == "check" and ran.returncode == 0:
        return  # it had room enough
    assert ran.returncode in (1, 2)  # as a step that failed, or as the command itself
    said = [line for line in ran.stderr.splitlines() if line.startswith("sanefit: error")]
    assert len(said) == 1
    assert "no space left" in said[0]
    assert str(small_disk / "w") in said[0]
    assert "Traceback" not in ran.stderr
