import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import torch
from mlflow.entities import Run
from said import Said
from training_inputs import inputs_of

from sanefit.components.foundation.schemas.images import DatasetReference
from sanefit.components.foundation.schemas.networks import NetworkSettings, TwoLayerSettings
from sanefit.components.foundation.schemas.runs import RunReference
from sanefit.components.foundation.schemas.search import (
    PackPlan,
    PackResult,
    SearchRange,
    TrialResult,
    TrialSetting,
    TrialSpec,
)
from sanefit.components.foundation.schemas.statistics import ChannelStats
from sanefit.components.foundation.schemas.training import EpochRecord, OptimizerSettings
from sanefit.components.foundation.storage.packs import load_pack_results
from sanefit.components.foundation.tracking.connection import Client, connect
from sanefit.components.foundation.tracking.runs import open_run
from sanefit.components.foundation.training.stacks.trial import Trial
from sanefit.components.hyperparameter_search.pack import chunk_training
from sanefit.components.hyperparameter_search.pack.trial_pack import PackMachine, run_pack, trial_line

pytestmark = pytest.mark.slow

NETWORK = TwoLayerSettings(kind="two_layer", hidden=8)
OPTIMIZER = OptimizerSettings(batch_size=64, momentum=0.5, schedule="cosine")
RANGE = SearchRange(learning_rate=(1e-3, 1e6), weight_decay=(1e-6, 1e-1), reasons=["because"])
EXPLODES, RAISES = 1e6, 0.05  # learning rates
CURVES = ("learning_rate", "train_loss", "train_accuracy", "validation_loss", "validation_accuracy")
RunPack = Callable[..., tuple[PackResult, RunReference, Said]]


def trial(number: int, learning_rate: float = 0.1, seed: int | None = None, weight_decay: float = 1e-3) -> TrialSpec:
    setting = TrialSetting(learning_rate=learning_rate, weight_decay=weight_decay)
    return TrialSpec(number=number, setting=setting, epochs=2, seed=number if seed is None else seed)


def plan_of(trials: Sequence[TrialSpec], pack: int = 0) -> PackPlan:
    """The engine is given, for a choice by measurement may differ from one run of a test to the next."""
    return PackPlan(
        stage="coarse",
        pack=pack,
        packs=2,
        trials_in_stage=100,
        search_range=RANGE,
        trials=list(trials),
        engine="stacked",
        networks_at_once=4,
    )


def without_times(result: TrialResult) -> TrialResult:
    return result.model_copy(update={"seconds": 0.0, "started": 0.0})


@pytest.fixture(autouse=True)
def same_threads_afterwards() -> Iterator[None]:
    """A pack sets the number of threads of its process."""
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("packs")


@pytest.fixture(scope="module")
def client(store: Path) -> Client:
    return connect(f"sqlite:///{store / 'mlflow.db'}")


@pytest.fixture
def reference(store: Path, client: Client, request: pytest.FixtureRequest) -> Callable[[str], RunReference]:
    """Open a parent run; names are unique to the test."""

    def opened_run(name: str = "run") -> RunReference:
        run_name = f"{request.node.name}-{name}"
        run_id = open_run(
            client, experiment="packs", artifact_location=str(store), run_name=run_name, tags={}, params={}
        )
        return RunReference(
            run_name=run_name,
            storage=str(store / "storages" / run_name),
            tracking_uri=f"sqlite:///{store / 'mlflow.db'}",
            tracking_run_id=run_id,
        )

    return opened_run


@pytest.fixture
def pack(digits: DatasetReference, digits_stats: ChannelStats, reference: Callable[[str], RunReference]) -> RunPack:
    """Run a pack on digits; its result, its run and what was said."""

    def run(
        trials: Sequence[TrialSpec],
        name: str = "run",
        network: NetworkSettings = NETWORK,
        optimizer: OptimizerSettings = OPTIMIZER,
        seed: int = 0,
        cores: int = 1,
        devices: Sequence[torch.device] = (torch.device("cpu"),),
        **options: Any,
    ) -> tuple[PackResult, RunReference, Said]:
        said, parent = Said(), reference(name)
        inputs = inputs_of(digits, digits_stats, network, optimizer, seed)
        machine = PackMachine(devices, cores)
        with ThreadPoolExecutor(1) as beside:
            text = run_pack(plan_of(trials), inputs, parent, machine, writer=beside, say=said, **options)
        lines = Said(line for line in said if line.startswith("validation_accuracy"))
        [result] = load_pack_results(parent, "coarse", [text])
        return result, parent, lines

    return run


def children(client: Client, parent: RunReference) -> list[Run]:
    """Finished or not, in the order of their names."""
    experiment = client.get_run(parent.tracking_run_id).info.experiment_id
    query = f"tags.`mlflow.parentRunId` = '{parent.tracking_run_id}'"
    return sorted(client.search_runs([experiment], query), key=lambda run: str(run.info.run_name))


def raising(monkeypatch: pytest.MonkeyPatch, error: BaseException, after_epochs: int = 0) -> None:
    """Let any training with the learning rate ``RAISES`` raise after some epochs."""
    train_together = chunk_training.train_together

    def train_or_raise(plan: Any, trials: Any, *args: Any, after_epoch: Any, **rest: Any) -> Any:
        def count(progress: Any) -> None:
            after_epoch(progress)
            if progress.epochs == after_epochs:
                raise error

        if all(trial.recipe.learning_rate != RAISES for trial in trials):
            return train_together(plan, trials, *args, after_epoch=after_epoch, **rest)
        if after_epochs == 0:
            raise error
        return train_together(plan, trials, *args, after_epoch=count, **rest)

    monkeypatch.setattr(chunk_training, "train_together", train_or_raise)


def test_results_keep_the_order_of_the_plan(pack: RunPack) -> None:
    trials = [trial(7), trial(0), trial(3)]
    result, _, said = pack(trials)
    assert [r.spec for r in result.results] == trials
    assert (result.stage, result.search_range) == ("coarse", RANGE)
    assert [line.rsplit("(", 1)[1] for line in said] == ["8 / 100)", "1 / 100)", "4 / 100)"]
    assert [r.status for r in result.results] == ["ok"] * 3
    for r in result.results:
        assert [record.epoch for record in r.epochs] == [1, 2]
        assert r.validation_accuracy == r.epochs[-1].validation_accuracy


def test_a_pack_learns_digits(pack: RunPack) -> None:
    result, _, _ = pack([trial(0).model_copy(update={"epochs": 8})])
    assert result.results[0].validation_accuracy > 0.85


def test_a_trials_accuracy_is_that_of_its_last_epoch(pack: RunPack, client: Client) -> None:
    """Strong decay: two epochs learn something, the next ones forget it."""
    forgetful = trial(0, 0.01, seed=2, weight_decay=1.0).model_copy(update={"epochs": 6})
    optimizer = OptimizerSettings(batch_size=128, momentum=0.9, schedule="constant")
    result, parent, _ = pack([forgetful], optimizer=optimizer, network=TwoLayerSettings(kind="two_layer", hidden=16))
    accuracies = [record.validation_accuracy for record in result.results[0].epochs]
    assert accuracies[-1] < max(accuracies) - 0.1
    assert result.results[0].validation_accuracy == accuracies[-1]
    assert children(client, parent)[0].data.metrics["validation_accuracy"] == accuracies[-1]


def test_trials_see_the_same_batches_and_their_own_weights(pack: RunPack) -> None:
    trials = [trial(0, seed=5), trial(1, seed=5), trial(2, seed=6)]
    first, same, other = pack(trials)[0].results
    assert first.epochs == same.epochs
    assert first.epochs != other.epochs
    assert pack(trials, "other", seed=1)[0].results[0].epochs != first.epochs


def test_a_trial_that_explodes_is_a_result_and_its_neighbors_do_not_notice(pack: RunPack) -> None:
    before, bad, after = trial(0), trial(1, EXPLODES), trial(2)
    mixed, _, said = pack([before, bad, after], "mixed")
    alone, _, _ = pack([before, after], "alone")
    assert [r.status for r in mixed.results] == ["ok", "diverged", "ok"]
    assert [without_times(r) for r in (mixed.results[0], mixed.results[2])] == [without_times(r) for r in alone.results]
    diverged = mixed.results[1]
    assert len(diverged.epochs) == 1
    assert None in (diverged.epochs[0].train_loss, diverged.epochs[0].validation_loss)
    assert "diverged in epoch 1" in said[1]
    assert "learning_rate: 1.000000e+06" in said[1]


@pytest.mark.parametrize(
    ("error", "status", "message"),
    [
        (RuntimeError("a cable is loose"), "error", "RuntimeError: a cable is loose"),
        (ValueError("odd"), "error", "ValueError: odd"),
        (MemoryError("no more"), "out_of_memory", "no more"),
        (torch.OutOfMemoryError("CUDA is full"), "out_of_memory", "CUDA is full"),
    ],
    ids=str,
)
def test_a_trial_that_raises_is_a_result_and_its_neighbors_do_not_notice(
    error: Exception,
    status: str,
    message: str,
    pack: RunPack,
    client: Client,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    alone, _, _ = pack([trial(0), trial(2)], "alone")
    raising(monkeypatch, error)
    mixed, parent, said = pack([trial(0), trial(1, RAISES), trial(2)], "mixed")
    bad = mixed.results[1]
    assert (bad.status, bad.message, bad.epochs, bad.validation_accuracy) == (status, message, [], 0.0)
    for neighbor, reference in zip((mixed.results[0], mixed.results[2]), alone.results, strict=True):
        assert neighbor.status == "ok"
        for record, expected in zip(neighbor.epochs, reference.epochs, strict=True):
            # A stack of another size multiplies in another order.
            assert record.train_loss == pytest.approx(expected.train_loss, rel=1e-4)
            assert record.validation_loss == pytest.approx(expected.validation_loss, rel=1e-4)
    assert f"{status.replace('_', ' ')} in epoch 1 {message}" in said[1]
    assert [run.info.status for run in children(client, parent)] == ["FINISHED", "FAILED", "FINISHED"]
    assert children(client, parent)[1].data.tags["sanefit.status"] == status


def test_a_trial_that_raises_late_keeps_the_epochs_it_finished(pack: RunPack, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = pack([trial(0, RAISES)], "whole")[0].results[0]
    raising(monkeypatch, RuntimeError("late"), after_epochs=1)
    cut = pack([trial(0, RAISES)], "cut")[0].results[0]
    assert (cut.status, cut.epochs) == ("error", whole.epochs[:1])
    assert cut.validation_accuracy == whole.epochs[0].validation_accuracy


def test_a_user_who_stops_a_pack_stops_it(pack: RunPack, monkeypatch: pytest.MonkeyPatch) -> None:
    raising(monkeypatch, KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt):
        pack([trial(0, RAISES)])


def test_each_trial_is_one_child_run_with_its_values_and_its_curve(pack: RunPack, client: Client) -> None:
    trials = [trial(0, 0.03), trial(1, EXPLODES), trial(2, 0.2)]
    result, parent, _ = pack(trials)
    runs = children(client, parent)
    assert [run.info.run_name for run in runs] == ["coarse-0000", "coarse-0001", "coarse-0002"]
    assert [run.info.status for run in runs] == ["FINISHED", "FAILED", "FINISHED"]
    for run, r in zip(runs, result.results, strict=True):
        assert run.data.tags["mlflow.parentRunId"] == parent.tracking_run_id
        assert run.data.tags["sanefit.stage"] == "coarse"
        assert run.data.tags["sanefit.status"] == r.status
        assert float(run.data.params["learning_rate"]) == r.spec.setting.learning_rate
        assert float(run.data.params["weight_decay"]) == r.spec.setting.weight_decay
        assert run.data.metrics["validation_accuracy"] == r.validation_accuracy
        for name in CURVES:
            curve = {point.step: point.value for point in client.get_metric_history(run.info.run_id, name)}
            recorded = {record.epoch: getattr(record, name) for record in r.epochs}
            assert curve == {epoch: value for epoch, value in recorded.items() if value is not None}


def test_running_a_pack_twice_adds_no_child_run(pack: RunPack, client: Client) -> None:
    trials = [trial(0), trial(1)]
    first, parent, _ = pack(trials)
    ids = [run.info.run_id for run in children(client, parent)]
    second, same_parent, _ = pack(trials)
    assert same_parent == parent
    assert len(ids) == 2
    assert [run.info.run_id for run in children(client, parent)] == ids
    assert [without_times(r) for r in second.results] == [without_times(r) for r in first.results]


def test_the_settings_reach_the_training(pack: RunPack, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Trial] = []
    train_together = chunk_training.train_together

    def recording(plan: Any, trials: Any, *args: Any, **rest: Any) -> Any:
        seen.extend(trials)
        return train_together(plan, trials, *args, **rest)

    monkeypatch.setattr(chunk_training, "train_together", recording)
    optimizer = OptimizerSettings(batch_size=100, momentum=0.25, schedule="constant")
    searched = TrialSetting(
        learning_rate=0.08, weight_decay=1e-3, momentum=0.5, schedule="step", dropout=0.25, init="xavier", width=9
    )
    pack([trial(0, 0.07), trial(1).model_copy(update={"setting": searched})], optimizer=optimizer)
    first, second = (one.recipe for one in sorted(seen, key=lambda one: one.recipe.learning_rate))
    for recipe, learning_rate in ((first, 0.07), (second, 0.08)):
        assert recipe.learning_rate == learning_rate
        assert (recipe.weight_decay, recipe.epochs, recipe.batch_size) == (1e-3, 2, 100)
    assert (first.momentum, first.schedule, second.momentum, second.schedule) == (0.25, "constant", 0.5, "step")
    assert seen[1].network == TwoLayerSettings(kind="two_layer", hidden=9, dropout=0.25, init="xavier")
    assert first.batch_seed == second.batch_seed
    assert first.noise_seed != second.noise_seed


def test_times_come_from_the_clock(pack: RunPack, client: Client) -> None:
    ticks = itertools.count(1_700_000_000)
    result, parent, _ = pack([trial(0)], clock=lambda: float(next(ticks)))
    info = children(client, parent)[0].info
    assert result.results[0].seconds in range(1, 100)
    assert 1_700_000_000_000 <= info.start_time < info.end_time < 1_700_000_100_000


def test_a_pack_uses_the_cores_that_it_is_given(pack: RunPack, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []
    train_together = chunk_training.train_together

    def counting(*args: Any, **rest: Any) -> Any:
        seen.append(torch.get_num_threads())
        return train_together(*args, **rest)

    monkeypatch.setattr(chunk_training, "train_together", counting)
    for cores in (1, 2):
        pack([trial(0).model_copy(update={"epochs": 1})], f"on-{cores}", cores=cores)
    assert seen == [1, 2]


def test_the_line_of_a_trial_is_the_lectures_in_our_names() -> None:
    setting = TrialSetting(learning_rate=1.405206e-04, weight_decay=4.793564e-01)
    spec = TrialSpec(number=0, setting=setting, epochs=5, seed=0)
    result = TrialResult(spec=spec, status="ok", validation_accuracy=0.412, epochs=[], seconds=3.0)
    values = "validation_accuracy: 0.412000, learning_rate: 1.405206e-04, weight_decay: 4.793564e-01"
    assert trial_line(result, 100) == f"{values}, (1 / 100)"
    last = result.model_copy(update={"spec": spec.model_copy(update={"number": 99})})
    assert trial_line(last, 100).endswith("(100 / 100)")


def failed(status: str, epochs: int, message: str = "") -> TrialResult:
    def record(epoch: int) -> EpochRecord:
        bad = status == "diverged" and epoch == epochs
        return EpochRecord(
            epoch=epoch,
            learning_rate=0.1,
            train_loss=None if bad else math.log(10),
            train_accuracy=0.1,
            validation_loss=None if bad else math.log(10),
            validation_accuracy=0.1,
        )

    return TrialResult.model_validate(
        {
            "spec": trial(0),
            "status": status,
            "validation_accuracy": 0.1,
            "epochs": [record(epoch + 1) for epoch in range(epochs)],
            "seconds": 1.0,
            "message": message,
        }
    )


def test_a_failed_trials_line_goes_on_with_what_happened() -> None:
    line = "validation_accuracy: 0.100000, learning_rate: 1.000000e-01, weight_decay: 1.000000e-03, (1 / 9)"
    assert trial_line(failed("diverged", 3), 9) == f"{line} diverged in epoch 3"
    assert trial_line(failed("out_of_memory", 0, "no more"), 9) == f"{line} out of memory in epoch 1 no more"
    assert trial_line(failed("error", 0, "ValueError: odd"), 9) == f"{line} error in epoch 1 ValueError: odd"


@pytest.mark.parametrize("status", ["error", "out_of_memory"])
def test_a_trial_that_raised_after_one_epoch_raised_in_the_second(status: str) -> None:
    assert "in epoch 2" in trial_line(failed(status, 1, "late"), 9)


def test_a_trials_line_is_one_line_whatever_the_message() -> None:
    line = trial_line(failed("error", 0, "RuntimeError: CUDA error\nCompile with TORCH_USE_CUDA_DSA"), 9)
    assert len(line.splitlines()) == 1


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU that torch can use")
def test_a_pack_trains_on_a_gpu_as_on_the_cpu(pack: RunPack) -> None:
    trials = [trial(0)]
    on_cpu, _, _ = pack(trials, "cpu")
    on_gpu, _, _ = pack(trials, "gpu", devices=[torch.device("cuda")])
    [a], [b] = on_cpu.results, on_gpu.results
    assert b.status == "ok"
    assert a.validation_accuracy == pytest.approx(b.validation_accuracy, abs=0.03)
