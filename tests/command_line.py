"""The command, as a user types it."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

SMALL = [
    "search.coarse.trials=6",
    "search.coarse.epochs=2",
    "search.fine.trials=4",
    "search.fine.epochs=3",
    "final.epochs=8",
]

EMPTY: Mapping[str, str] = {}
PLUGINS_RUN = "6f" * 16
# What Kubeflow's plugin gives to every container with ``injectUserEnvVars``: a run and an experiment that are not ours.
OF_THE_PLUGIN = {
    "MLFLOW_RUN_ID": PLUGINS_RUN,
    "MLFLOW_EXPERIMENT_ID": "7",
    "MLFLOW_TRACKING_AUTH": "kubernetes",
    "KFP_MLFLOW_CONFIG": json.dumps(
        {"endpoint": "http://127.0.0.1:9", "parentRunId": PLUGINS_RUN, "experimentId": "7"}
    ),
}


@dataclass(frozen=True)
class Command:
    """What a finished ``sanefit`` left."""

    status: int
    stdout: str
    stderr: str

    @property
    def result(self) -> dict[str, Any]:
        parsed: dict[str, Any] = json.loads(self.stdout.splitlines()[-1])
        return parsed


def user_environment() -> dict[str, str]:
    """Without what mlflow, used by another test in this process, writes into the environment."""
    return {name: value for name, value in os.environ.items() if name != "MLFLOW_TRACKING_URI"}


def sanefit(
    *arguments: str, sets: Sequence[str] = (), tracking_uri: str | None = None, environment: Mapping[str, str] = EMPTY
) -> Command:
    overrides = [part for value in sets for part in ("--set", value)]
    finished = subprocess.run(
        [sys.executable, "-m", "sanefit", *arguments, *overrides],
        capture_output=True,
        text=True,
        env={**user_environment(), **({"MLFLOW_TRACKING_URI": tracking_uri} if tracking_uri else {}), **environment},
        timeout=600,
        check=False,
    )
    return Command(finished.returncode, finished.stdout, finished.stderr)
