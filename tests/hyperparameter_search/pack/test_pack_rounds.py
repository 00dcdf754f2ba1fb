"""Rungs, folds, rounds and reuse, on the digits."""

import math
import re
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from said import Said
from training_inputs import inputs_of

from sanefit.components.foundation.randomness import derive_seed
from sanefit.components.foundation.schemas.images import DatasetReference
from sanefit.components.foundation.schemas.networks import ConvNetSettings, NetworkSettings, TwoLayerSettings
from sanefit.components.foundation.schemas.runs import RunReference
from sanefit.components.foundation.schemas.search import PackPlan, PackResult, SearchRange, TrialSetting, TrialSpec
from sanefit.components.foundation.schemas.statistics import ChannelStats
from sanefit.components.foundation.schemas.training import OptimizerSettings
from sanefit.components.foundation.storage.packs import load_pack_results
from sanefit.components.foundation.tracking.connection import connect
from sanefit.components.foundation.tracking.runs import open_run
from sanefit.components.foundation.training.checkpoints.checkpoint_pace import Interruptions
from sanefit.components.foundation.training.loop.folds import assign_folds, fold_data
from sanefit.components.foundation.training.loop.training_data import TrainingData, read_training_data
from sanefit.components.hyperparameter_search.pack import chunk_training
from sanefit.components.hyperparameter_search.pack.chunk_training import Unit
from sanefit.components.hyperparameter_search.pack.pack_rounds import cut, rungs
from sanefit.components.hyperparameter_search.pack.trial_pack import PackMachine, run_pack

pytestmark = pytest.mark.slow

NETWORK = TwoLayerSettings(kind="two_layer", hidden=8)
OPTIMIZER = OptimizerSettings(batch_size=64, momentum=0.5, schedule="constant")
RANGE = SearchRange(learning_rate=(1e-3, 1.0), weight_decay=(1e-6, 1e-1), reasons=["because"])
RunPlan = Callable[..., tuple[PackResult, Said]]
SEEDS = st.integers(0, 2**32)


def trials(count: int, epochs: int, **setting: Any) -> list[TrialSpec]:
    rates = [10 ** (-3 + 3 * number / count) for number in range(count)]
    return [
        TrialSpec(
            number=number,
            setting=TrialSetting(learning_rate=rate, weight_decay=1e-4, **setting),
            epochs=epochs,
            seed=number,
        )
        for number, rate in enumerate(rates)
    ]


def plan_of(specs: Sequence[TrialSpec], **changes: Any) -> PackPlan:
    given_plan = {
        "stage": "coarse",
        "pack": 0,
        "packs": 1,
        "trials_in_stage": len(specs),
        "search_range": RANGE,
        "trials": list(specs),
        "engine": "stacked",
        "networks_at_once": 4,
    }
    return PackPlan.model_validate(given_plan | changes)


@pytest.fixture(scope="module")
def parent(tmp_path_factory: pytest.TempPathFactory) -> RunReference:
    folder = tmp_path_factory.mktemp("rounds")
    uri = f"sqlite:///{folder / 'mlflow.db'}"
    run_id = open_run(
        connect(uri), experiment="rounds", artifact_location=str(folder), run_name="run", tags={}, params={}
    )
    return RunReference(run_name="run", storage="", tracking_uri=uri, tracking_run_id=run_id)


@pytest.fixture
def run_plan(digits: DatasetReference, digits_stats: ChannelStats, parent: RunReference, tmp_path: Path) -> RunPlan:
    """Run a plan in a storage of the test's own; its result and what was said."""

    def run(
        plan: PackPlan, run_name: str = "run", network: NetworkSettings = NETWORK, seed: int = 0, **options: Any
    ) -> tuple[PackResult, Said]:
        said = Said()
        reference = parent.model_copy(update={"run_name": f"{tmp_path.name}-{run_name}", "storage": str(tmp_path)})
        inputs = inputs_of(digits, digits_stats, network, OPTIMIZER, seed)
        machine = PackMachine([torch.device("cpu")], cores=1)
        with ThreadPoolExecutor(1) as beside:
            text = run_pack(plan, inputs, reference, machine, writer=beside, say=said, **options)
        [result] = load_pack_results(reference, plan.stage, [text])
        return result, said

    return run


def curves(result: PackResult) -> dict[int, Any]:
    return {one.spec.number: (one.status, one.epochs, one.fold_accuracies) for one in result.results}


def trained_epochs(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many networks each epoch trains, from now on, in this process."""
    seen: list[int] = []
    train_together = chunk_training.train_together

    def counting(*args: Any, after_epoch: Any, **rest: Any) -> Any:
        def count(progress: Any) -> None:
            seen.append(sum(len(curve) == progress.epochs for curve in progress.records))
            after_epoch(progress)

        return train_together(*args, after_epoch=count, **rest)

    monkeypatch.setattr(chunk_training, "train_together", counting)
    return seen


@given(st.integers(1, 200), st.integers(1, 10))
def test_rungs_rise_to_the_last_epoch_by_the_factor(epochs: int, factor: int) -> None:
    found = rungs(epochs, factor)
    assert found[-1] == epochs
    assert found == sorted(set(found))
    assert found[:-1] == ([factor**n for n in range(20) if factor**n < epochs] if factor > 1 else [])


@given(st.integers(1, 300), st.integers(1, 64), st.integers(1, 8))
def test_chunks_hold_each_unit_once_and_keep_all_workers_busy(count: int, at_once: int, workers: int) -> None:
    spec = trials(1, 1)[0]
    units = [Unit(spec, None, None, str(number)) for number in range(count)]  # type: ignore[arg-type]
    chunks = cut(units, at_once, workers)
    assert [unit for chunk in chunks for unit in chunk] == units
    assert max(map(len, chunks)) <= at_once
    assert max(map(len, chunks)) - min(map(len, chunks)) <= 1
    assert len(chunks) % workers == 0 or len(chunks) == count


def test_halving_lets_the_best_go_on_and_the_others_stop_where_they_were(
    run_plan: RunPlan, monkeypatch: pytest.MonkeyPatch
) -> None:
    specs = trials(12, 4)
    whole, _ = run_plan(plan_of(specs), "whole")
    by_number = {one.spec.number: one for one in whole.results}
    seen = trained_epochs(monkeypatch)
    halved, said = run_plan(plan_of(specs, reduction_factor=2), "halved", seed=1)
    assert sum(seen) == 12 + 6 + 2 * 3  # networks times epochs, instead of 12 * 4
    halved, said = run_plan(plan_of(specs, reduction_factor=2), "halved")
    at = {
        epoch: {number: one.epochs[epoch - 1].validation_accuracy for number, one in by_number.items()}
        for epoch in (1, 2, 4)
    }
    first = sorted(at[1], key=lambda number: (-at[1][number], number))[:6]
    second = sorted(first, key=lambda number: (-at[2][number], number))[:3]
    for one in halved.results:
        epochs = 4 if one.spec.number in second else 2 if one.spec.number in first else 1
        assert one.status == ("ok" if epochs == 4 else "stopped")
        assert len(one.epochs) == epochs
        assert one.validation_accuracy == one.epochs[-1].validation_accuracy
        for record, expected in zip(one.epochs, by_number[one.spec.number].epochs, strict=False):
            assert record.train_loss == pytest.approx(expected.train_loss, rel=1e-4)
    assert sum("stopped after epoch 1" in line for line in said) == 6


def test_places_of_trials_that_diverged_go_to_others(run_plan: RunPlan) -> None:
    specs = trials(8, 2)
    bad = [
        spec.model_copy(update={"setting": spec.setting.model_copy(update={"learning_rate": 1e6})})
        for spec in specs[:4]
    ]
    result, _ = run_plan(plan_of([*bad, *specs[4:]], reduction_factor=2))
    assert [one.status for one in result.results] == ["diverged"] * 4 + ["ok"] * 4


def test_a_run_that_is_submitted_again_trains_only_what_is_missing(
    run_plan: RunPlan, monkeypatch: pytest.MonkeyPatch
) -> None:
    specs = trials(8, 3)
    first, _ = run_plan(plan_of(specs[:4]), "first")
    seen = trained_epochs(monkeypatch)
    second, said = run_plan(plan_of(specs), "second")
    assert seen == [4, 4, 4]
    assert curves(second) | curves(first) == curves(second)
    assert "4 of 8 trainings are in the storage from before, and are not repeated" in said
    again, _ = run_plan(plan_of(specs), "third")
    assert (curves(again), seen) == (curves(second), [4, 4, 4])
    run_plan(plan_of(specs), "other seed", seed=1)
    assert sum(seen) == 12 + 24


def test_halving_that_is_submitted_again_stops_the_same_trials(
    run_plan: RunPlan, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = plan_of(trials(12, 4), reduction_factor=2)
    first, _ = run_plan(plan, "first")
    run_plan(plan_of(plan.trials), "all of them to their end")
    seen = trained_epochs(monkeypatch)
    second, _ = run_plan(plan, "second")
    assert seen == []
    for one, other in zip(first.results, second.results, strict=True):
        assert (one.status, len(one.epochs)) == (other.status, len(other.epochs))


def test_nothing_of_running_trials_stays_in_the_storage(run_plan: RunPlan, tmp_path: Path) -> None:
    run_plan(plan_of(trials(9, 10), reduction_factor=3), interruptions=Interruptions(checkpoint_seconds=0.0))
    assert list(tmp_path.glob("trials/**/*.pt")) == []
    assert len(list(tmp_path.glob("trials/**/*.plan.json"))) == 1


def test_cross_validation_means_its_folds(run_plan: RunPlan, digits: DatasetReference) -> None:
    [one] = run_plan(plan_of(trials(1, 3), folds=3, engine="loop"))[0].results
    assert len(one.fold_accuracies) == 3
    assert one.validation_accuracy == pytest.approx(fmean(one.fold_accuracies))
    assert one.epochs[-1].validation_accuracy == pytest.approx(one.validation_accuracy)
    data = read_training_data(digits)
    apart = np.arange(len(data.train_labels))
    fold_of = assign_folds(data.train_labels, apart, 3, derive_seed(0, "folds"))
    held_out = [fold_data(data, fold_of, fold) for fold in range(3)]
    for part, accuracy in zip(held_out, one.fold_accuracies, strict=True):
        right = accuracy * len(part.validation_labels)
        assert right == pytest.approx(round(right), abs=1e-6)


@given(st.integers(2, 6), st.integers(0, 3))
def test_folds_are_parts_of_the_training_split(folds: int, seed: int) -> None:
    images = 23
    pixels = torch.arange(images, dtype=torch.uint8).reshape(-1, 1, 1, 1)
    data = TrainingData(pixels, torch.arange(images), pixels[:2] + 100, torch.zeros(2, dtype=torch.int64))
    tested: list[int] = []
    fold_of = assign_folds(data.train_labels, np.arange(images), folds, seed)
    for fold in range(folds):
        part = fold_data(data, fold_of, fold)
        kept, held_out = part.train_labels.tolist(), part.validation_labels.tolist()
        assert isinstance(part.train_pixels, torch.Tensor)
        assert part.train_pixels.flatten().tolist() == kept
        assert sorted(kept + held_out) == list(range(images))
        assert len(held_out) in (images // folds, math.ceil(images / folds))
        tested += held_out
    assert sorted(tested) == list(range(images))
    assert fold_data(data, fold_of, None) is data


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 8)), min_size=1, max_size=60), st.integers(2, 6), SEEDS)
def test_what_belongs_together_is_in_one_fold_and_classes_are_spread_evenly(
    images: list[tuple[int, int]], folds: int, seed: int
) -> None:
    labels = torch.tensor([label for label, _ in images])
    bundles = np.array([bundle for _, bundle in images])
    fold_of = assign_folds(labels, bundles, folds, seed)
    for bundle in set(bundles.tolist()):
        assert len(set(fold_of[bundles == bundle].tolist())) == 1
    apart = assign_folds(labels, np.arange(len(images)), folds, seed)
    for of_class in (apart, *(apart[labels == label] for label in range(4))):
        counts = torch.bincount(of_class, minlength=folds)
        assert counts.max() - counts.min() <= 1


def test_a_fold_that_diverges_is_a_trial_that_diverged(run_plan: RunPlan) -> None:
    [spec] = trials(1, 2)
    bad = spec.model_copy(update={"setting": TrialSetting(learning_rate=1e30, weight_decay=0.0)})
    [one] = run_plan(plan_of([bad], folds=2))[0].results
    assert (one.status, len(one.epochs)) == ("diverged", 1)


def test_tpe_draws_further_rounds_from_its_own_results(run_plan: RunPlan) -> None:
    plan = plan_of(trials(4, 1), to_draw=6, first_drawn=4, trials_in_stage=10)
    result, _ = run_plan(plan, "first")
    assert sorted(one.spec.number for one in result.results) == list(range(10))
    assert len({one.spec.setting.learning_rate for one in result.results}) == 10
    again, _ = run_plan(plan, "second")
    assert curves(again) == curves(result)


def test_one_pack_trains_networks_of_several_shapes(run_plan: RunPlan) -> None:
    specs = [
        spec.model_copy(update={"setting": spec.setting.model_copy(update={"width": width, "dropout": dropout})})
        for spec, (width, dropout) in zip(trials(6, 2), [(4, None), (8, 0.5), (4, 0.5)] * 2, strict=True)
    ]
    result, said = run_plan(plan_of(specs))
    assert [one.status for one in result.results] == ["ok"] * 6
    assert sum(line.startswith("engine stacked") for line in said) == 3
    assert any("width: 8, dropout: 0.5, (2 / 6)" in line or "dropout: 0.5, width: 8, (2 / 6)" in line for line in said)


def test_a_network_that_cannot_be_built_so_is_a_result(run_plan: RunPlan) -> None:
    good, bad = trials(2, 1)
    bad = bad.model_copy(update={"setting": bad.setting.model_copy(update={"depth": 3})})
    result, _ = run_plan(plan_of([good, bad]))
    assert [one.status for one in result.results] == ["ok", "error"]
    assert "search.coarse.depth: a network of kind 'two_layer' has no depth" in result.results[1].message


def test_the_fastest_engine_is_measured_once_and_said(run_plan: RunPlan) -> None:
    network = ConvNetSettings(kind="convnet", channels=(2,))
    _, said = run_plan(plan_of(trials(8, 1), engine="fastest", networks_at_once=0), network=network)
    [line] = [line for line in said if line.startswith("engine")]
    assert re.match(
        r"engine (stacked, 8 networks at once|loop, one after another), 1 workers on cpu float32 \(steps/s: l", line
    )
    _, again = run_plan(plan_of(trials(8, 1), engine="fastest", networks_at_once=0), "again", seed=1, network=network)
    assert line in again
