"""The command ``sanefit`` in the process of a test, which has imported what it needs."""

import contextlib
import io
import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from sanefit.pipeline.commands.main import main


@dataclass(frozen=True)
class Ran:
    status: int
    stdout: str
    stderr: str

    @property
    def result(self) -> dict[str, Any]:
        """What ``--json`` printed."""
        parsed: dict[str, Any] = json.loads(self.stdout.splitlines()[-1])
        return parsed


def sanefit_here(tracking_uri: str, *arguments: str | Path) -> Ran:
    """Run it with these arguments, and MLflow at this place."""
    said, warned, status = io.StringIO(), io.StringIO(), 0
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(said), contextlib.redirect_stderr(warned):
        patch.setenv("MLFLOW_TRACKING_URI", tracking_uri)
        patch.setattr(sys, "argv", ["sanefit", *map(str, arguments)])
        try:
            main()
        except SystemExit as ended:
            status = int(ended.code or 0)
    return Ran(status, said.getvalue(), warned.getvalue())
