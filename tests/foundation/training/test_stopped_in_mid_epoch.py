"""Trainings that end between two batches, and go on there as if nothing had happened."""

import dataclasses
from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from test_trial_engine import CASES, CLASSES, DATA, ENGINES, EPOCHS, NETWORKS, PROBLEM, assert_same, trial
from torch import Tensor, nn

from sanefit.components.foundation.classifiers.classifier import Classifier
from sanefit.components.foundation.schemas.training import EpochRecord
from sanefit.components.foundation.training.loop.training import Training
from sanefit.components.foundation.training.loop.training_options import TrainingOptions
from sanefit.components.foundation.training.stacks.stacks import EngineName
from sanefit.components.foundation.training.stacks.train_together import EnginePlan, Progress, train_together
from sanefit.components.foundation.training.stacks.trial import Trial
from sanefit.components.hyperparameter_search.pack.trial_store import progress_bytes, progress_from

pytestmark = pytest.mark.slow

BATCHES = 4  # of an epoch of 50 images, 16 at a time


class ToldToEndError(Exception):
    """The training was told to end."""


def stop_after(batches: int, stop: Callable[[Callable[[], Any]], None]) -> Callable[[Callable[[], Any]], None]:
    """Called after each batch: gives what it is called with to ``stop`` after so many."""
    left = [batches]

    def after_batch(now: Callable[[], Any]) -> None:
        left[0] -= 1
        if left[0] == 0:
            stop(now)
            raise ToldToEndError

    return after_batch


def whole(engine: EngineName, trials: list[Trial]) -> list[list[EpochRecord]]:
    return train_together(EnginePlan(engine, len(trials)), trials, PROBLEM, DATA, until=EPOCHS).records


def stopped_after(batches: int, engine: EngineName, trials: list[Trial], begun: Progress | None = None) -> Progress:
    """What a training that ends after so many batches leaves, as it is read back; that of all when it ends before."""
    kept: list[Progress] = []
    try:
        return train_together(
            EnginePlan(engine, len(trials)),
            trials,
            PROBLEM,
            DATA,
            until=EPOCHS,
            begun=begun,
            after_batch=stop_after(batches, lambda now: kept.append(progress_from(progress_bytes(now())))),
        )
    except ToldToEndError:
        return kept[0]


def trials_of(name: str, optimizer: str = "sgd", **recipe: Any) -> list[Trial]:
    changing = {"schedule": "cosine", "warmup": 0.3, "augmentation": "flip_crop", **recipe}
    return [trial(NETWORKS[name], seed, dropout=0.3, optimizer=optimizer, **changing) for seed in range(3)]


@pytest.mark.parametrize(("name", "engine"), CASES)
@settings(deadline=None, max_examples=6)
@given(
    st.lists(st.integers(1, 3 * BATCHES * EPOCHS), min_size=1, max_size=3),
    st.sampled_from(["sgd", "adam"]),
    st.sampled_from([{}, {"momentum": 0.0, "weight_decay": 5.0, "batch_size": 16}]),
    st.booleans(),
)
def test_trials_go_on_in_mid_epoch_to_the_last_bit(
    name: str, engine: EngineName, stops: list[int], optimizer: str, recipe: dict[str, Any], explodes: bool
) -> None:
    """However often they end, with one that explodes among them or not."""
    trials = trials_of(name, optimizer, **recipe)
    if explodes:
        exploding = dataclasses.replace(trials[1].recipe, learning_rate=1e150)
        trials[1] = dataclasses.replace(trials[1], recipe=exploding)
    begun = None
    for batches in stops:
        begun = stopped_after(batches, engine, trials, begun)
    found = train_together(EnginePlan(engine, 3), trials, PROBLEM, DATA, until=EPOCHS, begun=begun).records
    assert found == whole(engine, trials)


@pytest.mark.parametrize(("name", "engine"), [case for case in CASES if case[1] != "loop"])
def test_any_engine_goes_on_in_mid_epoch_where_a_stack_ended(name: str, engine: EngineName) -> None:
    trials = trials_of(name, momentum=0.0, weight_decay=5.0)
    begun = stopped_after(BATCHES + 2, engine, trials)
    for other in ENGINES[name]:
        found = train_together(EnginePlan(other, 3), trials, PROBLEM, DATA, until=EPOCHS, begun=begun).records
        for curve, expected in zip(found, whole(engine, trials), strict=True):
            assert_same(curve, expected)


class WithOwnChance(nn.Module):
    """Draws from torch's own generator, as a user's network may."""

    def __init__(self) -> None:
        super().__init__()
        self.hidden, self.output = nn.Linear(108, 8), nn.Linear(8, CLASSES)
        self.drawn: list[float] = []

    def forward(self, inputs: Tensor) -> Tensor:
        hidden = torch.relu(self.hidden(inputs.flatten(1)))
        if self.training:
            noise = torch.rand_like(hidden)
            self.drawn.append(noise[0, 0].item())
            hidden = hidden * (noise > 0.3)
        scores: Tensor = self.output(hidden)
        return scores


def own_training(state: Any = None) -> Training:
    with torch.random.fork_rng():
        torch.manual_seed(1)
        network = WithOwnChance().double()
    one = trial(NETWORKS["mlp"])
    classifier = Classifier(PROBLEM.classifier(one).normalization, network)
    return Training(classifier, DATA, one.recipe, TrainingOptions(weight_averaging=0.8), state=state)


@pytest.mark.parametrize("batches", range(1, BATCHES + 1))
def test_a_network_that_draws_by_itself_goes_on_in_mid_epoch_to_the_last_bit(batches: int) -> None:
    undisturbed = own_training()
    expected = [undisturbed.train_epoch(1), undisturbed.train_epoch(2)]
    begun = own_training()
    first, states = begun.train_epoch(1), []
    stop = stop_after(batches, lambda state: states.append(state()))
    with pytest.raises(ToldToEndError):
        begun.train_epoch(2, lambda: stop(begun.state))
    resumed = own_training(states[0])
    assert [first, resumed.train_epoch(2)] == expected
    for name, value in undisturbed.kept.state_dict().items():
        assert torch.equal(resumed.kept.state_dict()[name], value), name


def test_every_batch_of_every_epoch_draws_anew() -> None:
    training = own_training()
    for epoch in range(1, EPOCHS + 1):
        training.train_epoch(epoch)
    drawn = training.classifier.network.drawn
    assert isinstance(drawn, list)
    assert len(set(drawn)) == len(drawn) == EPOCHS * BATCHES
