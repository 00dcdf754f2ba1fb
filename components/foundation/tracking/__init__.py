"""Runs, curves, models and aliases in MLflow. The only user of mlflow.

A run is found again by its tags, so a step that is repeated adds nothing twice.
"""

import os

# Before any module of this folder imports mlflow.
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
