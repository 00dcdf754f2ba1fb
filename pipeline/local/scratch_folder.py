"""A folder for what the tasks of a run leave behind, which vanishes with the run."""

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

# Bytes. Processes reach each other by sockets in TMPDIR, whose paths hold 107 (man 7 unix), of which their own names
# take up to 40.
LONGEST = 60


@contextlib.contextmanager
def tasks_have_scratch(folder: Path) -> Iterator[None]:
    """Tasks leave temporary folders behind: they get this one, by a short path, and it is removed afterwards.

    Args:
        folder: is not there yet.
    """
    folder.mkdir()
    before = os.environ.get("TMPDIR")
    with _short_path(folder) as short:
        os.environ["TMPDIR"] = str(short)
        try:
            yield
        finally:
            os.environ.pop("TMPDIR")
            if before is not None:
                os.environ["TMPDIR"] = before
            shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def _short_path(folder: Path) -> Iterator[Path]:
    """The folder itself, or a link to it."""
    if len(os.fsencode(folder)) <= LONGEST:
        yield folder
        return
    with tempfile.TemporaryDirectory(prefix="sanefit-") as beside:
        link = Path(beside) / "scratch"
        link.symlink_to(folder)
        yield link
