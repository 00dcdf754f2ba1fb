"""Networks trained at once, against a training of each alone."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from product_dtypes import ProductDtypes

from sanefit.components.foundation.machine.arithmetic import Arithmetic
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
from sanefit.components.foundation.training.loop.training import Training
from sanefit.components.foundation.training.loop.training_data import TrainingData
from sanefit.components.foundation.training.loop.training_state import TrainingState
from sanefit.components.foundation.training.loop.whole_training import train
from sanefit.components.foundation.training.stacks.stacked_dense import wide_product
from sanefit.components.foundation.training.stacks.stacks import EngineName, start_training
from sanefit.components.foundation.training.stacks.trial import Problem, Trial

pytestmark = pytest.mark.slow

SHAPE, CLASSES, IMAGES = (6, 6, 3), 4, 50
RANDOM = torch.Generator().manual_seed(0)
STATS = ChannelStats(
    normalization="channel_mean_std",
    images=IMAGES,
    mean=[120.0] * 3,
    std=[70.0] * 3,
    shift=[120.0] * 3,
    scale=[70.0] * 3,
    histogram=[],
)
PROBLEM = Problem(SHAPE, CLASSES, STATS, dtype=torch.float64)
DATA = TrainingData(
    torch.randint(0, 256, (IMAGES, *SHAPE), dtype=torch.uint8, generator=RANDOM),
    torch.randint(0, CLASSES, (IMAGES,), generator=RANDOM),
    torch.randint(0, 256, (23, *SHAPE), dtype=torch.uint8, generator=RANDOM),
    torch.randint(0, CLASSES, (23,), generator=RANDOM),
)
EPOCHS = 3
RECIPE = Recipe(
    learning_rate=0.05,
    weight_decay=1e-3,
    momentum=0.9,
    batch_size=16,
    epochs=EPOCHS,
    batch_seed=3,
    noise_seed=1,
    judged_class=1,
)
NETWORKS: dict[str, NetworkSettings] = {
    "two_layer": TwoLayerSettings(kind="two_layer", hidden=7),
    "two_layer_norm_tanh": TwoLayerSettings(kind="two_layer", hidden=5, batch_norm=True, activation="tanh"),
    "mlp": MlpSettings(kind="mlp", depth=3, width=6),
    "mlp_norm_maxout": MlpSettings(kind="mlp", depth=2, width=6, batch_norm=True, activation="maxout"),
    "convnet": ConvNetSettings(kind="convnet", channels=(4, 6, 5, 3)),
    "convnet_maxout": ConvNetSettings(kind="convnet", channels=(3, 5), batch_norm=False, activation="maxout"),
    "resnet": ResNetSettings(kind="resnet", channels=(3, 4), blocks=1),
}
ENGINES: dict[str, tuple[EngineName, ...]] = {
    name: ("stacked", "vmapped", "loop") if network.is_stacked else ("vmapped", "loop")
    for name, network in NETWORKS.items()
}
CASES = [(name, engine) for name, engines in ENGINES.items() for engine in engines]


def alone(trial: Trial, problem: Problem = PROBLEM) -> list[EpochRecord]:
    return train(problem.classifier(trial), DATA, trial.recipe)[1]


def together(
    engine: EngineName,
    trials: Sequence[Trial],
    states: Sequence[TrainingState] | None = None,
    first: int = 1,
    problem: Problem = PROBLEM,
) -> list[list[EpochRecord]]:
    training = start_training(engine, trials, problem, DATA, states)
    curves: list[list[EpochRecord]] = [[] for _ in trials]
    for epoch in range(first, EPOCHS + 1):
        for number, record in training.train_epoch(epoch).items():
            curves[number].append(record)
    return curves


def assert_same(curve: Sequence[EpochRecord], expected: Sequence[EpochRecord], within: float = 1e-10) -> None:
    assert len(curve) == len(expected)
    for record, other in zip(curve, expected, strict=True):
        for name, value in other.model_dump().items():
            assert getattr(record, name) == (None if value is None else pytest.approx(value, rel=within, abs=within))


def trial(network: NetworkSettings, seed: int = 0, init: Any = None, dropout: float = 0.0, **recipe: Any) -> Trial:
    changed = network.model_copy(update={"init": init, "dropout": dropout})
    return Trial(changed, dataclasses.replace(RECIPE, **recipe), seed)


def test_the_loop_is_there_for_every_network() -> None:
    assert {engine for _, engine in CASES} == {"stacked", "vmapped", "loop"}


TRIALS = {
    "learning_rate": st.floats(1e-4, 0.03),
    "weight_decay": st.sampled_from([0.0, 1e-4, 0.1]),
    "momentum": st.sampled_from([0.0, 0.5, 0.9]),
    "schedule": st.sampled_from(["constant", "step", "cosine"]),
    "warmup": st.sampled_from([0.0, 0.3]),
    "dropout": st.sampled_from([0.0, 0.2, 0.5]),
    "init": st.sampled_from([None, "xavier", "gaussian:0.1"]),
    "seed": st.integers(0, 5),
    "noise_seed": st.integers(0, 5),
}


@pytest.mark.parametrize(("name", "engine"), CASES)
@settings(deadline=None, max_examples=6)
@given(
    st.lists(st.fixed_dictionaries(TRIALS), min_size=1, max_size=5),
    st.sampled_from(["sgd", "adam", "adamw"]),
    st.sampled_from(["none", "flip", "crop", "flip_crop"]),
)
def test_each_trial_learns_as_it_would_alone(
    name: str, engine: EngineName, drawn: list[dict[str, Any]], optimizer: str, augmentation: str
) -> None:
    trials = [trial(NETWORKS[name], **values, optimizer=optimizer, augmentation=augmentation) for values in drawn]
    for one, curve in zip(trials, together(engine, trials), strict=True):
        assert_same(curve, alone(one))


@pytest.mark.parametrize(("name", "engine"), CASES)
def test_one_that_explodes_is_taken_out_and_leaves_the_others_as_they_are(name: str, engine: EngineName) -> None:
    sound = [trial(NETWORKS[name], seed=seed, learning_rate=0.01) for seed in range(3)]
    bad = [trial(NETWORKS[name], seed=9, learning_rate=1e150), trial(NETWORKS[name], learning_rate=1e200)]
    mixed = together(engine, [bad[0], sound[0], sound[1], bad[1], sound[2]])
    for curve, reference in zip((mixed[1], mixed[2], mixed[4]), together(engine, sound), strict=True):
        assert curve == reference or assert_same(curve, reference, 1e-12) is None
    for curve, one in ((mixed[0], bad[0]), (mixed[3], bad[1])):
        assert is_diverged(curve[-1])
        if "norm" not in name and not name.endswith("net"):  # batch norm bounds what explodes, until it overflows
            assert_same(curve, alone(one))


@pytest.mark.parametrize("optimizer", ["sgd", "adam", "adamw"])
@pytest.mark.parametrize(("name", "engine"), CASES)
def test_training_goes_on_from_any_engines_state(name: str, engine: EngineName, optimizer: str) -> None:
    trials = [trial(NETWORKS[name], seed=seed, dropout=0.3, optimizer=optimizer) for seed in range(2)]
    for other in ENGINES[name]:
        begun = start_training(other, trials, PROBLEM, DATA)
        first = begun.train_epoch(1)
        states = begun.states()
        rest = together(engine, trials, [states[0], states[1]], first=2)
        for number, one in enumerate(trials):
            assert_same([first[number], *rest[number]], alone(one))


# What a step leaves of a weight is 1 minus these: all, all but a thousandth, 0.7, nothing, and -0.7.
SHRINKAGES = [0.0, 1e-3, 0.3, 1.0, 1.7]


@pytest.mark.parametrize("name", ["two_layer", "mlp"])
@settings(deadline=None, max_examples=10)
@given(st.lists(st.tuples(st.sampled_from(SHRINKAGES), st.sampled_from([0.05, 0.01])), min_size=1, max_size=4))
def test_weights_decay_as_they_would_alone(name: str, drawn: list[tuple[float, float]]) -> None:
    trials = [
        trial(
            NETWORKS[name],
            seed,
            momentum=0.0,
            batch_size=3,
            learning_rate=rate,
            weight_decay=shrinkage / rate,
            init="xavier",
        )
        for seed, (shrinkage, rate) in enumerate(drawn)
    ]
    for one, curve in zip(trials, together("stacked", trials), strict=True):
        assert_same(curve, alone(one))


@pytest.mark.parametrize("shrinkage", [0.3, 0.9, 0.999])
def test_weights_decay_in_float32_until_nothing_is_left(shrinkage: float) -> None:
    problem = dataclasses.replace(PROBLEM, dtype=torch.float32)
    one = trial(NETWORKS["two_layer"], momentum=0.0, batch_size=3, weight_decay=shrinkage / RECIPE.learning_rate)
    [curve] = together("stacked", [one], problem=problem)
    assert_same(curve, alone(one, problem), within=1e-4)


def test_neighbors_that_decay_fast_change_no_digit() -> None:
    problem = dataclasses.replace(PROBLEM, dtype=torch.float32)
    slow, fast = ({"momentum": 0.0, "batch_size": 3, "weight_decay": decay} for decay in (0.1, 10.0))
    curves = []
    for other in (slow, fast):
        trials = [trial(NETWORKS["two_layer"], 0, **slow), trial(NETWORKS["two_layer"], 1, **other)]
        curves.append(together("stacked", trials, problem=problem)[0])
    assert curves[0] == curves[1]


@pytest.mark.parametrize("name", ["two_layer", "mlp"])
@pytest.mark.parametrize("exploding", [{"learning_rate": 1e150, "weight_decay": 0.0}, {"weight_decay": 1e9}])
def test_weights_go_on_decaying_when_a_neighbor_explodes(name: str, exploding: dict[str, float]) -> None:
    sound = [trial(NETWORKS[name], seed, momentum=0.0, weight_decay=1.0, batch_size=3) for seed in range(2)]
    bad = trial(NETWORKS[name], momentum=0.0, batch_size=3, **exploding)
    mixed = together("stacked", [sound[0], bad, sound[1]])
    assert is_diverged(mixed[1][-1])
    assert_same(mixed[1], alone(bad))
    assert_same(mixed[0], alone(sound[0]))
    assert_same(mixed[2], alone(sound[1]))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("biased", [True, False])
@settings(deadline=None)
@given(st.integers(1, 70), st.integers(1, 200), st.integers(1, 70), st.integers(0, 5))
def test_the_wide_product_is_a_product(
    dtype: torch.dtype, biased: bool, images: int, values: int, neurons: int, seed: int
) -> None:
    random = torch.Generator().manual_seed(seed)
    inputs = torch.randn(images, values, dtype=dtype, generator=random)
    weight = torch.randn(neurons, values, dtype=dtype, generator=random)
    bias = torch.randn(neurons, dtype=dtype, generator=random) if biased else None
    exact = (inputs.double().unsqueeze(1) * weight.double()).sum(dim=2) + (0 if bias is None else bias.double())
    within = 1e-4 if dtype == torch.float32 else 1e-10
    torch.testing.assert_close(wide_product(inputs, weight, bias), exact.to(dtype), rtol=within, atol=within)
    with torch.autocast("cpu", torch.bfloat16):
        assert wide_product(inputs.float(), weight.float(), None).dtype == torch.bfloat16


@pytest.mark.parametrize("optimizer", ["sgd", "adam", "adamw"])
@pytest.mark.parametrize("name", ["two_layer_norm_tanh", "mlp_norm_maxout"])
def test_products_may_be_taken_in_bfloat16(name: str, optimizer: str) -> None:
    trials = [trial(NETWORKS[name], seed, optimizer=optimizer, learning_rate=0.01) for seed in range(3)]
    problem = dataclasses.replace(PROBLEM, dtype=torch.float32)
    curves: list[list[dict[int, EpochRecord]]] = []
    for arithmetic in (Arithmetic("cpu", "float32"), Arithmetic("cpu", "bfloat16")):
        training = start_training("stacked", trials, problem, DATA)
        training.arithmetic = arithmetic  # type: ignore[attr-defined]
        curves.append([training.train_epoch(epoch) for epoch in range(1, EPOCHS + 1)])
    for exact, rounded in zip(*curves, strict=True):
        for number, record in exact.items():
            assert rounded[number].train_loss == pytest.approx(record.train_loss, rel=0.02)
            assert rounded[number].train_loss != record.train_loss


def test_a_plain_training_that_goes_on_is_bitwise_the_same() -> None:
    one = trial(NETWORKS["convnet"], dropout=0.3, optimizer="adam")
    begun = Training(PROBLEM.classifier(one), DATA, one.recipe)
    first = begun.train_epoch(1)
    resumed = Training(PROBLEM.classifier(one), DATA, one.recipe, state=begun.state())
    assert [first, *(resumed.train_epoch(epoch) for epoch in (2, 3))] == alone(one)


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("name", ["mlp", "mlp_norm_maxout", "convnet", "convnet_maxout"])
def test_every_engine_computes_in_the_precision_of_the_network(
    name: str, precision: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As it is decided, here by hand: which engine is measured to be fastest must decide no digit but the last."""
    monkeypatch.setattr(Problem, "arithmetic", lambda *_: Arithmetic("cpu", precision))
    problem = dataclasses.replace(PROBLEM, dtype=torch.float32)
    seen = {}
    for engine in ENGINES[name]:
        training = start_training(engine, [trial(NETWORKS[name])], problem, DATA)
        with ProductDtypes() as products:
            training.train_epoch(1)
        seen[engine] = torch.bfloat16 in products.seen
    assert seen == dict.fromkeys(("stacked", "vmapped", "loop"), precision == "bfloat16")
