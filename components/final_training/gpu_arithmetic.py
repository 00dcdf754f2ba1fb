"""How numbers are computed: fast where it does no harm, and the same in every run."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch


def has_bfloat16(device: torch.device) -> bool:
    """Whether the device computes in bfloat16 itself; a GPU that only imitates it is slower so."""
    return device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)


def describe_arithmetic(device: torch.device, mixed_precision: bool) -> str | None:
    """A line for the user about a GPU; None about the CPU, where nothing is mixed."""
    if device.type != "cuda":
        return None
    name = torch.cuda.get_device_name(device)
    if has_bfloat16(device) and mixed_precision:
        return f"on {name}: bfloat16 and float32 mixed (final.mixed_precision)"
    why = "final.mixed_precision is off" if not mixed_precision else "it has no bfloat16"
    return f"on {name}: float32, for {why}"


@contextmanager
def final_arithmetic(device: torch.device) -> Iterator[None]:
    """Meanwhile, on a CPU: numbers next to 0 are 0, for weights that a strong decay brings there cost a hundredfold.

    On a GPU: products in TF32, and convolutions that give the same digits in every run.
    """
    if device.type != "cuda":
        torch.set_flush_denormal(True)
        try:
            yield
        finally:
            torch.set_flush_denormal(False)  # torch does not say what it was; this is what it is by default
        return
    cudnn = torch.backends.cudnn
    before = torch.get_float32_matmul_precision(), cudnn.deterministic, cudnn.benchmark
    torch.set_float32_matmul_precision("high")
    cudnn.deterministic, cudnn.benchmark = True, False
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before[0])
        cudnn.deterministic, cudnn.benchmark = before[1:]
