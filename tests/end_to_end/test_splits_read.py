"""Each task reads the pixels of the splits that its steps use, and of no other."""

from collections import defaultdict
from pathlib import Path

import pytest
from command_line import SMALL, sanefit

pytestmark = pytest.mark.slow
# Python runs this first, in every process of a run: it notes each file of pixels that is opened, and by which task.
SITECUSTOMIZE = """
import os, re, sys

PIXELS = re.compile(r"/decoded/[^/]+/[^./][^/]*/((train|validation|test)[^/]*)[.]npy$")
task = []

def of_task():
    pid = os.getpid()
    while pid > 1:
        with open(f"/proc/{pid}/cmdline", "rb") as opened:
            words = opened.read().decode().split(chr(0))
        if "--function_to_execute" in words:
            return words[words.index("--function_to_execute") + 1]
        with open(f"/proc/{pid}/stat") as opened:
            pid = int(opened.read().rpartition(")")[2].split()[1])
    return "the command itself"

def for_the_page():
    frame = sys._getframe()
    while frame is not None:
        if frame.f_code.co_filename.endswith("run_report/pictures.py"):
            return True
        frame = frame.f_back
    return False

def note(event, arguments):
    if event != "open" or not (found := PIXELS.search(str(arguments[0]))):
        return
    if not task:
        task.append(of_task())
    descriptor = os.open(os.environ["OPENED"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(descriptor, f"{'page' if for_the_page() else task[0]} {found[2]}\\n".encode())
    os.close(descriptor)

sys.addaudithook(note)
"""
USED = {
    "prepare": set(),
    "channel-stats": {"train"},
    "sanity": {"train", "validation"},
    "coarse-pack": {"train", "validation"},
    "narrow-search": set(),
    "fine-pack": {"train", "validation"},
    "final-training": {"train", "validation", "test"},
    "register-model": {"train", "validation", "test"},  # the version's drift reference, and the test of what is loaded
    "close-run": set(),
}


def test_a_task_reads_the_splits_that_it_uses(tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(SITECUSTOMIZE)
    environment = {"PYTHONPATH": f"{tmp_path}:{Path(__file__).parents[2] / 'src'}", "OPENED": str(tmp_path / "opened")}
    ran = sanefit("run", "--json", "--workdir", str(tmp_path / "runs"), sets=SMALL, environment=environment)
    assert ran.status == 0, ran.stderr[-2000:]
    read: dict[str, set[str]] = defaultdict(set)
    for line in (tmp_path / "opened").read_text().splitlines():
        task, split = line.split()
        read[task.replace("_", "-")].add(split)
    read.pop("page", None)  # pictures of near-duplicates, of which one may be held out
    assert read == {task: splits for task, splits in USED.items() if splits}
