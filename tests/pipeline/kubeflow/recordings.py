"""What a real Kubeflow 2.17 answered on a real cluster, as far as it matters here."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent / "recordings"


@dataclass(frozen=True)
class Recording:
    """A run as ``GET /apis/v2beta1/runs/ID`` gave it; ``pod``: the one that failed, as Kubernetes calls it."""

    state: str
    state_history: list[dict[str, str]]
    tasks: list[dict[str, Any]]
    pod: str


def recording(name: str) -> Recording:
    """``gate-failed``: of a run that the gate stopped, twice; ``tasks-frozen``: of one that succeeded."""
    content = json.loads((FOLDER / f"kubeflow-2.17-{name}.json").read_text())
    return Recording(
        content["state"],
        content["state_history"],
        content["task_details"],
        content.get("pod_of_the_failed_executor", ""),
    )
