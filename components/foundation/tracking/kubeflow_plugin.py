"""Kubeflow's MLflow plugin, which opens a run of its own for each pipeline run, beside ours."""

import json
from collections.abc import Mapping

from sanefit.components.foundation.tracking.tags import PLUGINS_RUN_TAG

SETTINGS = "KFP_MLFLOW_CONFIG"  # the variable that it gives to every container


def plugins_run(environment: Mapping[str, str]) -> dict[str, str]:
    """The tag that names the plugin's run; none where there is no plugin, or it says something else."""
    try:
        run_id = json.loads(environment.get(SETTINGS, "{}")).get("parentRunId")
    except (ValueError, AttributeError):
        return {}
    return {PLUGINS_RUN_TAG: run_id} if isinstance(run_id, str) and run_id else {}
