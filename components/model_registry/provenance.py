"""Where a version was made: versions, hardware, the commit and the container images."""

import platform
import subprocess
from collections.abc import Mapping

from sanefit import __version__
from sanefit.components.foundation.identity.training_identity import torch_version
from sanefit.components.foundation.machine.processor import processor_name
from sanefit.components.foundation.schemas.certificates import DATA_IMAGE, TRAINER_IMAGE
from sanefit.components.foundation.tracking.connection import mlflow_version
from sanefit.components.foundation.tracking.tags import HARDWARE_TAG

GIT = ("git", "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*")
GIT_SECONDS = 30


def versions() -> dict[str, str]:
    """Of what trained and registered."""
    return {
        "sanefit": __version__,
        "python": platform.python_version(),
        "torch": torch_version(),
        "mlflow": mlflow_version(),
    }


def hardware(run_tags: Mapping[str, str]) -> dict[str, str]:
    """What the final training ran on, as it noted with its run, and what this process runs on."""
    return {"training": run_tags.get(HARDWARE_TAG, ""), "registration": processor_name()}


def git_commit() -> str:
    """Of the working directory, with ``-dirty`` where files have changed; empty where it is no repository."""
    try:
        asked = subprocess.run(GIT, capture_output=True, text=True, check=False, timeout=GIT_SECONDS)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return asked.stdout.strip() if asked.returncode == 0 else ""


def container_images(environment: Mapping[str, str]) -> dict[str, str]:
    """The references of the images that the steps run in, by digest once they were pushed; empty outside a cluster."""
    named = {"data": environment.get(DATA_IMAGE, ""), "trainer": environment.get(TRAINER_IMAGE, "")}
    return {name: reference for name, reference in named.items() if reference}
