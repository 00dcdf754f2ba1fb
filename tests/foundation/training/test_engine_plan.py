"""How trials are to be trained: what was asked for, what fits, and what a stopped clock would make of it."""

import itertools
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch

from sanefit.components.foundation.errors import SettingsError
from sanefit.components.foundation.schemas.networks import (
    ConvNetSettings,
    MlpSettings,
    NetworkSettings,
    ResNetSettings,
    TwoLayerSettings,
)
from sanefit.components.foundation.schemas.statistics import ChannelStats
from sanefit.components.foundation.training.loop.recipe import Recipe
from sanefit.components.foundation.training.loop.training_data import TrainingData
from sanefit.components.foundation.training.stacks.engine_plan import choose_plan, why_in_turn
from sanefit.components.foundation.training.stacks.stacked_optimizer import STACKED_STEPS
from sanefit.components.foundation.training.stacks.train_together import EnginePlan
from sanefit.components.foundation.training.stacks.trial import Problem, Trial

TWO_LAYER = TwoLayerSettings(kind="two_layer")
RESNET = ResNetSettings(kind="resnet", channels=(4,), blocks=1)


def plan_of(
    network: NetworkSettings,
    side: int = 8,
    trials: int = 100,
    batch_size: int = 64,
    last: dict[str, Any] | None = None,
    **options: Any,
) -> EnginePlan:
    """``last``: what is different in the last trial's recipe."""
    stats = ChannelStats(
        normalization="channel_mean", images=1, mean=[0] * 3, std=[1] * 3, shift=[0] * 3, scale=[1] * 3, histogram=[]
    )
    pixels = torch.zeros(2 * batch_size, side, side, 3, dtype=torch.uint8)
    labels = torch.arange(2 * batch_size) % 10
    recipe = Recipe(learning_rate=0.1, weight_decay=0.0, momentum=0.9, batch_size=batch_size, epochs=1, batch_seed=0)
    chosen = [Trial(network, recipe, seed) for seed in range(trials)]
    chosen[-1] = replace(chosen[-1], recipe=replace(recipe, **(last or {})))
    problem = Problem((side, side, 3), 10, stats)
    return choose_plan(chosen, problem, TrainingData(pixels, labels, pixels, labels), **options)


def ticks_of(*seconds: float) -> Callable[[], float]:
    """A clock by which each measurement, of two times, takes so long: the loop's, then the stack's."""
    times = [0.0, seconds[0], 0.0, seconds[0], 0.0, seconds[1], 0.0, seconds[1]]
    ticks = itertools.chain(times)
    return lambda: next(ticks)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"engine": "loop"}, ("loop", 1)),
        ({"engine": "stacked", "networks_at_once": 7}, ("stacked", 7)),
        ({"engine": "stacked", "networks_at_once": 500}, ("stacked", 100)),
        ({"engine": "vmapped", "networks_at_once": 7, "workers": 20}, ("vmapped", 5)),
    ],
    ids=str,
)
def test_what_is_asked_for_is_taken(options: dict[str, Any], expected: tuple[str, int]) -> None:
    plan = plan_of(TWO_LAYER, **options)
    assert (plan.engine, plan.networks_at_once) == expected


def test_a_stack_that_does_not_exist_is_one_line() -> None:
    with pytest.raises(SettingsError, match=r"^search\.engine=stacked: .*'resnet'; expected .*; set .*$"):
        plan_of(RESNET, engine="stacked")


@pytest.mark.parametrize("engine", ["fastest", "stacked", "vmapped"])
def test_an_optimizer_without_a_stacked_step_gets_the_loop_and_is_named(
    engine: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(STACKED_STEPS, "sgd")
    plan = plan_of(TWO_LAYER, engine=engine)
    assert (plan.engine, plan.networks_at_once) == ("loop", 1)
    asked = "" if engine == "fastest" else f"instead of search.engine={engine}: "
    assert plan.reason == f"{asked}optimizer sgd has no stacked step"


@pytest.mark.parametrize(
    ("last", "reason"),
    [
        ({"erasing": 0.1}, "no stack erases or mixes images"),
        ({"mixup": 0.1}, "no stack erases or mixes images"),
        ({"cutmix": 1.0}, "no stack erases or mixes images"),
        ({"gradient_clip": 5.0}, "no stack clips gradients, or adds those of several batches"),
        ({"backbone_rate": 0.5}, "no stack has a frozen part, or rates that differ by layer"),
    ],
    ids=str,
)
@pytest.mark.parametrize("engine", ["fastest", "stacked"])
def test_what_no_stack_does_is_trained_in_turn_and_named(engine: str, last: dict[str, Any], reason: str) -> None:
    """One trial among many is enough."""
    plan = plan_of(TWO_LAYER, engine=engine, last=last)
    asked = "" if engine == "fastest" else f"instead of search.engine={engine}: "
    assert (plan.engine, plan.reason) == ("loop", f"{asked}{reason}")


@pytest.mark.parametrize(
    ("recipe", "device", "reason"),
    [
        ({"accumulate": 2}, "cpu", "no stack clips gradients, or adds those of several batches"),
        ({"optimizer": "lamb"}, "cpu", "optimizer lamb has no stacked step"),
        ({"augmentation": "trivial_augment"}, "cuda", "augmentation trivial_augment chooses on the CPU what it does"),
        ({"augmentation": "trivial_augment"}, "cpu", ""),
        ({"augmentation": "resized_crop"}, "cuda", ""),
        ({"nesterov": True}, "cuda", ""),
    ],
    ids=str,
)
def test_what_all_trials_have_is_named_too(recipe: dict[str, Any], device: str, reason: str) -> None:
    changed = Recipe(0.1, 0.0, 0.9, 64, 1, 0, **recipe)
    why = why_in_turn([Trial(TWO_LAYER, changed, 0)], torch.device(device))
    assert why.startswith(reason)
    assert bool(why) == bool(reason)


@pytest.mark.parametrize(("loop", "stack", "engine"), [(1.0, 1.0, "stacked"), (1.0, 100.0, "loop")])
def test_the_faster_one_is_taken(loop: float, stack: float, engine: str) -> None:
    """A stack takes the steps of all its networks in its time."""
    plan = plan_of(MlpSettings(kind="mlp", width=400), clock=ticks_of(loop, stack))
    assert plan.engine == engine
    assert plan.reason.startswith("steps/s: loop 1 ")


def test_a_stack_is_as_large_as_a_cache_holds_whatever_the_clock_says() -> None:
    """3072-50-10: 154,160 weights, and for each of 64 images two hidden layers' outputs and the scores, of 4 bytes."""
    bytes_of_one = 4 * (154_160 + 64 * (50 + 50 + 10))
    at_once = plan_of(TWO_LAYER, side=32, clock=ticks_of(1.0, 1e-3)).networks_at_once
    assert at_once == 20 * 2**20 // bytes_of_one == 32
    assert plan_of(TWO_LAYER, side=32, trials=6, clock=ticks_of(1.0, 1e-3)).networks_at_once == 6
    assert plan_of(MlpSettings(kind="mlp"), side=32, clock=ticks_of(1.0, 1e-3)).networks_at_once == 5


@pytest.mark.parametrize(
    ("network", "engine"),
    [
        (TWO_LAYER, "stacked"),
        (MlpSettings(kind="mlp", width=64), "stacked"),
        (MlpSettings(kind="mlp", width=400), "loop"),
    ],
    ids=["two_layer", "narrow", "wide"],
)
def test_small_dense_networks_are_stacked_unmeasured(network: NetworkSettings, engine: str) -> None:
    """By this clock the loop would win."""
    assert plan_of(network, clock=ticks_of(1e-9, 1e9)).engine == engine


def test_a_stack_that_falls_out_of_the_cache_is_not_measured() -> None:
    plan = plan_of(ConvNetSettings(kind="convnet"), side=32, batch_size=128, clock=ticks_of(0.0, 0.0))
    assert (plan.engine, plan.reason) == ("loop", "a stack would fall out of the cache")
