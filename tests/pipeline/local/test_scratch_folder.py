"""The folder that tasks of a run get for what they leave behind."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from sanefit.pipeline.local.scratch_folder import LONGEST, tasks_have_scratch

# As processes that send each other tensors do.
SOCKET = """
import tempfile
from multiprocessing.connection import Listener
from pathlib import Path
Listener(family="AF_UNIX").close()
Path(tempfile.mkdtemp(), "left-behind").write_text("x")
"""


@pytest.mark.parametrize("depth", [1, 8])
def test_processes_reach_each_other_however_deep_it_lies(
    depth: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with tempfile.TemporaryDirectory(dir="/tmp") as short:
        home = Path(short).joinpath(*["a-rather-long-name"] * depth)
        home.mkdir(parents=True)
        monkeypatch.setenv("TMPDIR", str(tmp_path))
        monkeypatch.setattr(tempfile, "tempdir", short)
        with tasks_have_scratch(home / "scratch"):
            assert len(os.environ["TMPDIR"]) <= LONGEST
            assert Path(os.environ["TMPDIR"]).resolve() == (home / "scratch").resolve()
            subprocess.run([sys.executable, "-c", SOCKET], check=True)
            assert [path.read_text() for path in (home / "scratch").rglob("left-behind")] == ["x"]
        assert os.environ["TMPDIR"] == str(tmp_path)
        assert not (home / "scratch").exists()
        assert [path.name for path in Path(short).iterdir()] == ["a-rather-long-name"]
