"""How numbers are computed: fast where it does no harm, and the same in every run.

What decides is the network and the device alone, never a measurement of speed: equal settings give equal figures
whichever way of training is the fastest.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

import torch

from sanefit.components.foundation.schemas.networks import NetworkSettings

Precision = Literal["float32", "tf32", "bfloat16", "float16"]


@dataclass(frozen=True)
class Arithmetic:
    """How a network is computed while it is trained.

    ``device_type``: ``cpu`` or ``cuda``. ``precision``: of products; sums, weights and losses have that of the weights.
    """

    device_type: str
    precision: Precision

    def __str__(self) -> str:
        """Short, and the same for ever: a part of the names of trials and checkpoints."""
        return f"{self.device_type} {self.precision}"

    def autocast(self) -> torch.autocast:
        """Around a forward pass: in bfloat16 or float16 where the products are; else it does nothing."""
        # A recorded step must cast anew each time: the cache would be one of values that have changed since.
        mixed = self.precision in ("bfloat16", "float16")
        dtype = torch.float16 if self.precision == "float16" else torch.bfloat16
        return torch.autocast(self.device_type, dtype, enabled=mixed, cache_enabled=False)

    def scaler(self) -> torch.amp.GradScaler:
        """Of the loss: float16 ends at 6e-8, above many a gradient (Micikevicius et al. 2018); else it does nothing."""
        return torch.amp.GradScaler(self.device_type, enabled=self.precision == "float16")

    @contextmanager
    def in_force(self) -> Iterator[None]:
        """Let this process compute so; afterwards as before.

        On a CPU numbers next to 0 are 0, for weights that a strong decay brings there cost a hundredfold. On a GPU
        products are taken in TF32, where it has that, and convolutions give the same digits in every run: cuDNN neither
        chooses by a measurement nor adds in whatever order threads end.
        """
        if self.device_type != "cuda":
            torch.set_flush_denormal(True)
            try:
                yield
            finally:
                torch.set_flush_denormal(False)  # torch does not say what it was; this is what it is by default
            return
        cudnn = torch.backends.cudnn
        before = torch.get_float32_matmul_precision(), cudnn.deterministic, cudnn.benchmark
        torch.set_float32_matmul_precision("highest" if self.precision == "float32" else "high")
        cudnn.deterministic, cudnn.benchmark = True, False
        try:
            yield
        finally:
            torch.set_float32_matmul_precision(before[0])
            cudnn.deterministic, cudnn.benchmark = before[1:]


CPU_ARITHMETIC = Arithmetic("cpu", "float32")


def has_bfloat16(device: torch.device) -> bool:
    """Whether a device has products in bfloat16: a GPU has TF32 then, too (both came with NVIDIA's Ampere).

    One that only imitates them, as T4, V100 and CPUs before AVX-512 BF16 and AMX do, is slower so.
    """
    if device.type == "cpu":
        able: dict[str, object] = getattr(torch.cpu, "get_capabilities", dict)()  # from torch 2.10 on
        return bool(able.get("avx512_bf16") or able.get("amx_bf16"))
    with torch.cuda.device(device):
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))


def has_float16(device: torch.device) -> bool:
    """Whether a GPU is faster in float16, from NVIDIA's Volta on."""
    return torch.cuda.get_device_capability(device) >= (7, 0)


def arithmetic_of(
    network: NetworkSettings,
    device: torch.device,
    *,
    mixed_precision: bool = True,
    scaled: bool = False,
    has_it: Callable[[torch.device], bool] = has_bfloat16,
    has_half: Callable[[torch.device], bool] = has_float16,
) -> Arithmetic:
    """The arithmetic of a network on a device: bfloat16 where the device has it and it does the network no harm.

    Where a GPU has only float16, that, if the loss is scaled. On a CPU networks with a stack of their own keep float32:
    they are small, and lose more by converting numbers than they gain.

    Args:
        network: its settings.
        device: where it is trained.
        mixed_precision: False rules both out.
        scaled: whether the training scales its loss, which no stack does, and so no trial.
        has_it: whether a device has bfloat16.
        has_half: whether it has float16.
    """
    mixed = mixed_precision and network.is_normed  # batch norm keeps values near 1, where three digits are enough
    if device.type != "cuda":
        pays = mixed and not network.is_stacked and has_it(device)
        return Arithmetic(device.type, "bfloat16" if pays else "float32")
    if not has_it(device):
        return Arithmetic("cuda", "float16" if mixed and scaled and has_half(device) else "float32")
    return Arithmetic("cuda", "bfloat16" if mixed else "tf32")
