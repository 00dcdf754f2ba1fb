"""The command ``sanefit`` in the process of a test, which has imported what it needs."""

import contextlib
import io
import sys
from pathlib import Path

import pytest
from command_line import Command

from sanefit.pipeline.commands.main import main


def sanefit_here(tracking_uri: str, *arguments: str | Path) -> Command:
    """Run it with these arguments, and MLflow at this place."""
    said, warned, status = io.StringIO(), io.StringIO(), 0
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(said), contextlib.redirect_stderr(warned):
        patch.setenv("MLFLOW_TRACKING_URI", tracking_uri)
        patch.setattr(sys, "argv", ["sanefit", *map(str, arguments)])
        try:
            main()
        except SystemExit as ended:
            status = int(ended.code or 0)
    return Command(status, said.getvalue(), warned.getvalue())
