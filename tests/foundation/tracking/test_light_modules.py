"""What may be imported where MLflow is not to be loaded, and what MLflow is told before it is."""

import json
import os
import subprocess
import sys

import pytest

ASKED = """
import importlib, json, os, sys
importlib.import_module(sys.argv[1])
print(json.dumps([os.environ["MLFLOW_DISABLE_TELEMETRY"], "mlflow" in sys.modules]))
"""


@pytest.mark.parametrize("module", ["", ".tags", ".connected"])
@pytest.mark.parametrize(("given", "expected"), [({}, "true"), ({"MLFLOW_DISABLE_TELEMETRY": "false"}, "false")])
def test_before_mlflow_is_imported_its_telemetry_is_off_unless_the_user_says_otherwise(
    module: str, given: dict[str, str], expected: str
) -> None:
    environment = {name: value for name, value in os.environ.items() if name != "MLFLOW_DISABLE_TELEMETRY"} | given
    command = [sys.executable, "-c", ASKED, f"sanefit.components.foundation.tracking{module}"]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=True, timeout=60)
    assert json.loads(done.stdout) == [expected, False]
