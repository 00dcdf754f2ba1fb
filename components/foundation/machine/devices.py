"""The devices that this process can compute on."""

import torch

CPU = torch.device("cpu")


def visible_devices() -> list[torch.device]:
    """Every GPU that this process can see; without one, the CPU."""
    return [torch.device("cuda", number) for number in range(torch.cuda.device_count())] or [CPU]
