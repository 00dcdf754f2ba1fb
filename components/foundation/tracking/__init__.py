"""Runs, curves, models and aliases in MLflow. The only user of mlflow.

A run is found again by its tags, so a step that is repeated adds nothing twice.
"""

import os

os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")  # before any module of this folder imports mlflow
