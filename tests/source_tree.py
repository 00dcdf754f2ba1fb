"""The repository as git has it."""

import os
import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[1]


def tracked_files() -> list[str]:
    """Paths from the top, those that git does not know yet among them, without what it ignores."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.check_output(command, cwd=ROOT, text=True).splitlines()
    return [name for name in listed if os.path.lexists(ROOT / name)]


def copy_tree(to: Path) -> Path:
    """Copy it, links as links; where to."""
    subprocess.run(["cp", "--parents", "-P", *tracked_files(), str(to)], cwd=ROOT, check=True)
    return to
