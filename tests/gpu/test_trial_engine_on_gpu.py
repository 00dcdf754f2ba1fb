"""The trial engine on a CUDA GPU: the same answers as on the CPU, recorded or not, whatever else is in the stack.

Needs torch, torchvision, pydantic, psutil and pytest there; skipped where there is no GPU.
"""

import dataclasses
from typing import Any

import pytest
import torch
from product_dtypes import ProductDtypes

from sanefit.components.foundation.schemas.networks import (
    ConvNetSettings,
    MlpSettings,
    NetworkSettings,
    ResNetSettings,
    TwoLayerSettings,
)
from sanefit.components.foundation.schemas.statistics import ChannelStats
from sanefit.components.foundation.schemas.training import EpochRecord
from sanefit.components.foundation.training.loop.epoch_records import is_diverged
from sanefit.components.foundation.training.loop.recipe import Recipe
from sanefit.components.foundation.training.loop.training_data import TrainingData, data_on
from sanefit.components.foundation.training.loop.whole_training import train
from sanefit.components.foundation.training.stacks.engine_plan import choose_plan
from sanefit.components.foundation.training.stacks.stacks import EngineName
from sanefit.components.foundation.training.stacks.train_together import EnginePlan, train_together
from sanefit.components.foundation.training.stacks.trial import Problem, Trial

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA GPU")

SHAPE, CLASSES = (8, 8, 3), 5
STATS = ChannelStats(
    normalization="channel_mean_std",
    images=1,
    mean=[120.0] * 3,
    std=[70.0] * 3,
    shift=[120.0] * 3,
    scale=[70.0] * 3,
    histogram=[],
)
RANDOM = torch.Generator().manual_seed(0)
DATA = TrainingData(
    torch.randint(0, 256, (600, *SHAPE), dtype=torch.uint8, generator=RANDOM),
    torch.randint(0, CLASSES, (600,), generator=RANDOM),
    torch.randint(0, 256, (90, *SHAPE), dtype=torch.uint8, generator=RANDOM),
    torch.randint(0, CLASSES, (90,), generator=RANDOM),
)
CPU_PROBLEM = Problem(SHAPE, CLASSES, STATS, dtype=torch.float64)
EPOCHS = 3
RECIPE = Recipe(
    learning_rate=0.01,
    weight_decay=1e-3,
    momentum=0.9,
    batch_size=32,
    epochs=EPOCHS,
    batch_seed=3,
    noise_seed=1,
    augmentation="flip_crop",
    schedule="cosine",
    warmup=0.1,
)
NETWORKS: dict[str, NetworkSettings] = {
    "two_layer": TwoLayerSettings(kind="two_layer", hidden=7, dropout=0.2),
    "mlp": MlpSettings(kind="mlp", depth=2, width=6, batch_norm=True),
    "convnet": ConvNetSettings(kind="convnet", channels=(4, 6)),
    "resnet": ResNetSettings(kind="resnet", channels=(3, 4), blocks=1),
}


def gpu_problem() -> Problem:
    return dataclasses.replace(CPU_PROBLEM, device=torch.device("cuda"))


def trials(name: str, count: int, **recipe: Any) -> list[Trial]:
    return [
        Trial(NETWORKS[name], dataclasses.replace(RECIPE, learning_rate=0.01 / (n + 1), noise_seed=n, **recipe), n)
        for n in range(count)
    ]


def on_gpu(name: str, chosen: list[Trial], *, recorded: bool) -> list[list[EpochRecord]]:
    plan = EnginePlan("stacked" if NETWORKS[name].is_stacked else "vmapped", len(chosen), recorded)
    problem = gpu_problem()
    return train_together(plan, chosen, problem, data_on(DATA, problem.device), until=EPOCHS).records


def assert_same(curve: list[EpochRecord], expected: list[EpochRecord]) -> None:
    assert len(curve) == len(expected)
    for record, other in zip(curve, expected, strict=True):
        assert record.model_dump() == pytest.approx(other.model_dump(), rel=1e-7, abs=1e-9)


@pytest.mark.parametrize("recorded", [False, True])
@pytest.mark.parametrize(("optimizer", "momentum"), [("sgd", 0.9), ("sgd", 0.0), ("adamw", 0.9)])
@pytest.mark.parametrize("name", NETWORKS)
def test_each_trial_learns_as_it_would_alone_on_the_cpu(
    name: str, optimizer: str, momentum: float, recorded: bool
) -> None:
    chosen = trials(name, 4, optimizer=optimizer, momentum=momentum)
    for curve, trial in zip(on_gpu(name, chosen, recorded=recorded), chosen, strict=True):
        assert_same(curve, train(CPU_PROBLEM.classifier(trial), DATA, trial.recipe)[1])


@pytest.mark.parametrize("recorded", [False, True])
@pytest.mark.parametrize("name", NETWORKS)
def test_one_that_explodes_is_taken_out_and_leaves_the_others_as_they_are(name: str, recorded: bool) -> None:
    sound = trials(name, 3)
    bad = dataclasses.replace(sound[0], recipe=dataclasses.replace(RECIPE, learning_rate=1e200))
    curves = on_gpu(name, [sound[0], bad, *sound[1:]], recorded=recorded)
    assert is_diverged(curves[1][-1])
    for curve, expected in zip((curves[0], *curves[2:]), on_gpu(name, sound, recorded=recorded), strict=True):
        assert_same(curve, expected)


def test_a_plan_is_measured_and_fits_the_memory() -> None:
    problem = dataclasses.replace(gpu_problem(), dtype=torch.float32)
    plan = choose_plan(trials("two_layer", 64), problem, DATA)
    assert plan.engine == "stacked"
    assert plan.recorded
    assert plan.networks_at_once in (4, 16, 64)


def curves_in(problem: Problem, engine: EngineName, chosen: list[Trial]) -> tuple[list[list[EpochRecord]], bool]:
    """Of trials in eager steps, and whether any product was taken in bfloat16."""
    plan = EnginePlan(engine, len(chosen))
    with problem.arithmetic(chosen[0].network).in_force(), ProductDtypes() as products:
        records = train_together(plan, chosen, problem, data_on(DATA, problem.device), until=EPOCHS).records
    return records, torch.bfloat16 in products.seen


@pytest.mark.parametrize("name", NETWORKS)
def test_a_trials_precision_does_not_depend_on_the_engine(name: str) -> None:
    problem = dataclasses.replace(gpu_problem(), dtype=torch.float32)
    engines: list[EngineName] = [*(["stacked"] if NETWORKS[name].is_stacked else []), "vmapped", "loop"]
    chosen = trials(name, 2)
    mixed = problem.arithmetic(NETWORKS[name]).precision == "bfloat16"
    found = {engine: curves_in(problem, engine, chosen) for engine in engines}
    assert {engine: rounded for engine, (_, rounded) in found.items()} == dict.fromkeys(engines, mixed)
    for curves, _ in found.values():
        for curve, expected in zip(curves, found["loop"][0], strict=True):
            assert [r.train_loss for r in curve] == pytest.approx([r.train_loss for r in expected], rel=0.03)


@pytest.mark.parametrize("engine", ["stacked", "loop"])
def test_the_same_trials_give_the_same_digits(engine: EngineName) -> None:
    problem = dataclasses.replace(gpu_problem(), dtype=torch.float32)
    first, again = (curves_in(problem, engine, trials("convnet", 3))[0] for _ in range(2))
    assert first == again
