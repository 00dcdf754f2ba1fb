"""The devices that this process can compute on."""

import os
from collections.abc import Mapping

import torch

from sanefit.components.foundation.errors import RunFailedError, first_line
from sanefit.components.foundation.machine.environment import GPUS_ASKED_FOR

CPU = torch.device("cpu")


def visible_devices(environment: Mapping[str, str] = os.environ) -> list[torch.device]:
    """Every GPU that this process can see; without one, the CPU.

    Args:
        environment: says whether GPUs were asked for.

    Raises:
        RunFailedError: when they were, and none can be used: hours on the CPU of a GPU node help nobody.
    """
    found = [torch.device("cuda", number) for number in range(torch.cuda.device_count())]
    if asked := environment.get(GPUS_ASKED_FOR):
        _require_usable(found, asked, environment)
    return found or [CPU]


def _require_usable(found: list[torch.device], asked: str, environment: Mapping[str, str]) -> None:
    reason = "" if found else "it sees none"
    if found:
        try:
            torch.cuda.init()
        except (RuntimeError, AssertionError) as error:  # as of a driver that is older than torch's CUDA
            reason = first_line(error)
    if not reason:
        return
    built_for = f"CUDA {torch.version.cuda}" if torch.version.cuda else "CPUs alone"
    visible = environment.get("NVIDIA_VISIBLE_DEVICES", "unset")
    raise RunFailedError(
        f"this container asked for {asked}, and torch {torch.__version__} (built for {built_for}) can use no GPU: "
        f"{reason} (NVIDIA_VISIBLE_DEVICES {visible}); expected a GPU; check that nvidia-smi runs on that node and "
        "that its driver is recent enough for the image's torch, or set cluster.gpus=0 to train on CPUs"
    )
