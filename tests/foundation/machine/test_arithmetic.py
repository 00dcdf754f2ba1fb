"""What is decided for a network on a device, and that it is in force no longer than asked."""

import inspect
from contextlib import nullcontext
from typing import Any

import pytest
import torch
from product_dtypes import ProductDtypes

from sanefit.components.foundation.machine.arithmetic import (
    CPU_ARITHMETIC,
    Arithmetic,
    arithmetic_of,
    has_bfloat16,
    has_float16,
)
from sanefit.components.foundation.schemas.networks import (
    ConvNetSettings,
    MlpSettings,
    ModuleSettings,
    NetworkSettings,
    ResNetSettings,
    TorchvisionSettings,
    TwoLayerSettings,
)
from sanefit.components.foundation.step_lines.arithmetic_line import describe_arithmetic

CPU = torch.device("cpu")
GPU = torch.device("cuda", 0)  # nothing is computed on it
NORMED: list[NetworkSettings] = [
    TwoLayerSettings(kind="two_layer", batch_norm=True),
    MlpSettings(kind="mlp", batch_norm=True),
    ConvNetSettings(kind="convnet"),
    ResNetSettings(kind="resnet"),
    TorchvisionSettings(kind="torchvision", name="resnet18"),
]
NOT_NORMED: list[NetworkSettings] = [
    TwoLayerSettings(kind="two_layer"),
    MlpSettings(kind="mlp"),
    ConvNetSettings(kind="convnet", batch_norm=False),
    ModuleSettings(kind="module", path="mine:Net"),
]


def yes(_: torch.device) -> bool:
    return True


def no(_: torch.device) -> bool:
    return False


@pytest.mark.parametrize("network", [*NORMED, *NOT_NORMED], ids=str)
def test_a_cpu_computes_in_bfloat16_what_is_normed_and_large_where_it_has_it(network: NetworkSettings) -> None:
    chosen = arithmetic_of(network, CPU, has_it=yes)
    assert str(chosen) == ("cpu bfloat16" if network.kind in ("resnet", "torchvision") else "cpu float32")
    off = arithmetic_of(network, CPU, mixed_precision=False, has_it=yes)
    assert off == arithmetic_of(network, CPU, has_it=no) == CPU_ARITHMETIC
    assert str(CPU_ARITHMETIC) == "cpu float32"


@pytest.mark.parametrize(
    ("able", "has_it"), [({"avx512_bf16": True}, True), ({"amx_bf16": True}, True), ({"avx512_f": True}, False)]
)
def test_a_cpu_is_asked_for_products_in_bfloat16(
    able: dict[str, bool], has_it: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: able)
    assert has_bfloat16(CPU) == has_it


@pytest.mark.parametrize("network", [*NORMED, *NOT_NORMED], ids=str)
def test_where_the_loss_is_scaled_such_a_gpu_computes_in_float16(network: NetworkSettings) -> None:
    chosen = arithmetic_of(network, GPU, scaled=True, has_it=no, has_half=yes)
    assert str(chosen) == ("cuda float16" if network in NORMED else "cuda float32")
    if network in NORMED:
        assert "the loss scaled" in describe_arithmetic(chosen, network, "T4")
    off = arithmetic_of(network, GPU, mixed_precision=False, scaled=True, has_it=no, has_half=yes)
    older = arithmetic_of(network, GPU, scaled=True, has_it=no, has_half=no)
    assert str(off) == str(older) == "cuda float32"
    assert arithmetic_of(network, GPU, scaled=True, has_it=yes) == arithmetic_of(network, GPU, has_it=yes)


@pytest.mark.parametrize(("capability", "faster"), [((6, 1), False), ((7, 0), True), ((7, 5), True)], ids=str)
def test_float16_is_fast_from_volta_on(
    capability: tuple[int, int], faster: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _: capability)
    assert has_float16(GPU) == faster


@pytest.mark.parametrize("precision", ["float32", "tf32", "bfloat16", "float16"])
def test_the_loss_is_scaled_for_float16_alone(precision: Any) -> None:
    assert Arithmetic("cpu", precision).scaler().is_enabled() == (precision == "float16")


@pytest.mark.parametrize("network", [*NORMED, *NOT_NORMED], ids=str)
def test_a_gpu_that_only_imitates_bfloat16_computes_in_float32(network: NetworkSettings) -> None:
    chosen = arithmetic_of(network, GPU, has_it=no)
    assert str(chosen) == "cuda float32"
    assert "no bfloat16" in describe_arithmetic(chosen, network, "T4")


def test_torch_is_asked_for_bfloat16_that_is_not_imitated(monkeypatch: pytest.MonkeyPatch) -> None:
    """As torch answers of a T4: yes, with emulation."""
    monkeypatch.setattr(torch.cuda, "device", nullcontext)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation=True: including_emulation)
    assert not has_bfloat16(GPU)
    assert inspect.signature(arithmetic_of).parameters["has_it"].default is has_bfloat16


@pytest.mark.parametrize("network", NORMED, ids=str)
def test_where_batch_norm_keeps_values_near_1_a_gpu_computes_in_bfloat16(network: NetworkSettings) -> None:
    mixed = arithmetic_of(network, GPU, has_it=yes)
    assert str(mixed) == "cuda bfloat16"
    assert describe_arithmetic(mixed, network, "H100") == "on H100: bfloat16 and float32 mixed"
    off = arithmetic_of(network, GPU, mixed_precision=False, has_it=yes)
    assert str(off) == "cuda tf32"
    assert "final.mixed_precision is off" in describe_arithmetic(off, network, "H100")


@pytest.mark.parametrize("network", NOT_NORMED, ids=str)
def test_elsewhere_a_gpu_computes_in_tf32(network: NetworkSettings) -> None:
    chosen = arithmetic_of(network, GPU, has_it=yes)
    assert str(chosen) == "cuda tf32"
    assert network.kind in describe_arithmetic(chosen, network, "H100")


@pytest.mark.parametrize("precision", ["float32", "bfloat16", "float16"])
def test_products_of_a_forward_pass_are_in_its_precision(precision: Any) -> None:
    weight = torch.randn(3, 4)
    with ProductDtypes() as products, Arithmetic("cpu", precision).autocast():
        weight @ weight.T
    assert products.seen == {getattr(torch, precision)}


def test_on_a_cpu_numbers_next_to_0_are_0_meanwhile() -> None:
    smallest = torch.tensor(5e-324, dtype=torch.float64)
    with pytest.raises(KeyError), CPU_ARITHMETIC.in_force():
        assert (smallest * 1.0).item() == 0
        raise KeyError
    assert (smallest * 1.0).item() > 0


@pytest.mark.parametrize(("precision", "matmul"), [("float32", "highest"), ("tf32", "high"), ("bfloat16", "high")])
@pytest.mark.parametrize("before", [("highest", False, True), ("medium", True, False)])
def test_on_a_gpu_convolutions_are_the_same_in_every_run_meanwhile(
    precision: Any, matmul: str, before: tuple[str, bool, bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The switches alone: where there is no GPU they switch nothing."""
    cudnn = torch.backends.cudnn
    found = torch.get_float32_matmul_precision()
    monkeypatch.setattr(cudnn, "deterministic", before[1])
    monkeypatch.setattr(cudnn, "benchmark", before[2])
    try:
        torch.set_float32_matmul_precision(before[0])
        with pytest.raises(KeyError), Arithmetic("cuda", precision).in_force():
            assert (torch.get_float32_matmul_precision(), cudnn.deterministic, cudnn.benchmark) == (matmul, True, False)
            raise KeyError
        assert (torch.get_float32_matmul_precision(), cudnn.deterministic, cudnn.benchmark) == before
    finally:
        torch.set_float32_matmul_precision(found)
