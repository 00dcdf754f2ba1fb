"""The tables of optimizers, schedules and augmentations name what the settings name."""

import copy
import itertools
from typing import get_args

import pytest
import torch
from torch import nn

from sanefit.components.foundation.image_dataset.augmentation import AUGMENTATIONS
from sanefit.components.foundation.schemas.networks import NetworkSettings, network_settings
from sanefit.components.foundation.schemas.search import TrialSetting
from sanefit.components.foundation.schemas.training import Augmentation, OptimizerKind, OptimizerSettings, Schedule
from sanefit.components.foundation.training.loop.optimizers import (
    OPTIMIZERS,
    Optimizer,
    make_optimizer,
    optimizer_slots,
    penalized,
    restore_slots,
)
from sanefit.components.foundation.training.loop.recipe import Recipe, recipe_of
from sanefit.components.foundation.training.loop.schedules import SCHEDULES, learning_rate_at
from sanefit.components.foundation.training.resolved_settings import resolve_network
from sanefit.components.foundation.training.stacks.stacked_optimizer import STACKED_STEPS

KINDS: tuple[OptimizerKind, ...] = get_args(OptimizerKind)
NETWORKS = [
    network_settings.validate_python(values)
    for values in (
        {"kind": "two_layer"},
        {"kind": "mlp"},
        {"kind": "convnet", "channels": (4, 8, 8)},
        {"kind": "resnet", "channels": (4, 8)},
    )
]


def recipe_with(kind: OptimizerKind, weight_decay: float = 0.01) -> Recipe:
    return recipe_of(
        OptimizerSettings(kind=kind, momentum=0.5, warmup=0.1, batch_size=32, schedule="step", augmentation="flip"),
        learning_rate=0.1,
        weight_decay=weight_decay,
        epochs=3,
        batch_seed=1,
        noise_seed=2,
    )


def test_each_table_has_what_the_settings_name() -> None:
    assert set(OPTIMIZERS) == set(KINDS)
    assert set(STACKED_STEPS) <= set(KINDS)
    assert set(SCHEDULES) == set(get_args(Schedule))
    assert set(AUGMENTATIONS) == set(get_args(Augmentation))


def test_a_recipe_takes_every_setting_of_the_optimizer() -> None:
    assert recipe_with("adam") == Recipe(
        learning_rate=0.1,
        weight_decay=0.01,
        momentum=0.5,
        batch_size=32,
        epochs=3,
        batch_seed=1,
        noise_seed=2,
        optimizer="adam",
        schedule="step",
        warmup=0.1,
        augmentation="flip",
    )


@pytest.mark.parametrize("schedule", get_args(Schedule))
@pytest.mark.parametrize("warmup", [0.0, 0.3])
def test_a_schedule_begins_with_the_whole_rate_and_never_rises(schedule: Schedule, warmup: float) -> None:
    rates = [learning_rate_at(schedule, 0.4, warmup + (1 - warmup) * n / 100, warmup) for n in range(101)]
    assert rates[0] == pytest.approx(0.4)
    assert all(0 <= later <= earlier for earlier, later in itertools.pairwise(rates))


@pytest.mark.parametrize("kind", KINDS)
def test_the_decay_is_in_the_loss_or_beside_it_never_both(kind: OptimizerKind) -> None:
    """With no gradient but the penalty's left out, weights shrink just where the optimizer decays them itself."""
    network, recipe = nn.Linear(3, 2), recipe_with(kind)
    before = copy.deepcopy(network.state_dict())
    optimizer = make_optimizer(network, recipe)
    for parameter in network.parameters():
        parameter.grad = torch.zeros_like(parameter)
    optimizer.step()
    shrinks = not torch.equal(network.weight, before["weight"])
    assert shrinks == (penalized(recipe) == 0)
    assert torch.equal(network.bias, before["bias"])


# An optimizer that the settings do not have, as a contributor would add it.
OTHERS = {
    "rmsprop": Optimizer(lambda given, recipe: torch.optim.RMSprop(given, recipe.learning_rate, momentum=0.5)),
    "adagrad": Optimizer(lambda given, recipe: torch.optim.Adagrad(given, recipe.learning_rate)),
}


@pytest.mark.parametrize("kind", [*KINDS, *OTHERS])
def test_what_an_optimizer_remembers_brings_it_back(kind: OptimizerKind, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two steps, a restart, two steps: the weights of four steps without one."""
    for name, optimizer in OTHERS.items():
        monkeypatch.setitem(OPTIMIZERS, name, optimizer)  # type: ignore[misc]
    torch.manual_seed(0)
    start, inputs = nn.Linear(4, 3), torch.randn(4, 8, 4)
    recipe = Recipe(
        learning_rate=0.1,
        weight_decay=0.1,
        momentum=0.9,
        batch_size=8,
        epochs=1,
        batch_seed=0,
        optimizer=kind,
    )

    def step(network: nn.Linear, optimizer: torch.optim.Optimizer, batch: torch.Tensor) -> None:
        optimizer.zero_grad()
        network(batch).square().mean().backward()
        optimizer.step()

    whole = copy.deepcopy(start)
    optimizer = make_optimizer(whole, recipe)
    for batch in inputs:
        step(whole, optimizer, batch)
    first = copy.deepcopy(start)
    optimizer = make_optimizer(first, recipe)
    for batch in inputs[:2]:
        step(first, optimizer, batch)
    second = copy.deepcopy(first)
    again = make_optimizer(second, recipe)
    restore_slots(again, second, optimizer_slots(optimizer, first), steps=2)
    for batch in inputs[2:]:
        step(second, again, batch)
    assert torch.equal(second.weight, whole.weight)


@pytest.mark.parametrize("network", NETWORKS, ids=lambda network: network.kind)
def test_a_width_and_a_depth_change_what_the_kind_calls_so(network: NetworkSettings) -> None:
    setting = TrialSetting(learning_rate=0.1, weight_decay=0.0, dropout=0.25, init="xavier", width=2)
    expected = {
        "two_layer": {"hidden": 2},
        "mlp": {"width": 2},
        "convnet": {"channels": (2, 4, 4)},
        "resnet": {"channels": (2, 4)},
    }[network.kind]
    resolved = resolve_network(network, setting)
    assert resolved == network.model_copy(update={"dropout": 0.25, "init": "xavier", **expected})
    if network.can_search("depth"):
        deeper = resolve_network(network, setting.model_copy(update={"depth": 5}))
        parts = {"mlp": {"depth": 5}, "convnet": {"channels": (2, 4, 4, 8, 16)}, "resnet": {"blocks": 5}}
        assert deeper == resolved.model_copy(update=parts[network.kind])
    plain = setting.model_copy(update={"dropout": None, "init": None, "width": None})
    assert resolve_network(network, plain) == network
