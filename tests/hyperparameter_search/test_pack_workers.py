"""Packs on several cores: workers that are killed, memory that runs out, packs that are killed and go on."""

import multiprocessing
import os
import random
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import psutil
import pytest
import torch
from said import Said

from components.foundation import tracking
from components.foundation.artifacts import ChannelStats, DatasetReference, RunReference
from components.foundation.settings import TwoLayerSettings
from components.foundation.training_artifacts import PackPlan, PackResult, SearchRange, TrialSetting, TrialSpec
from components.foundation.training_settings import OptimizerSettings
from components.hyperparameter_search import chunk_training, trial_pack
from components.hyperparameter_search.trial_pack import run_pack

NETWORK = TwoLayerSettings(kind="two_layer", hidden=8)
OPTIMIZER = OptimizerSettings(batch_size=64, momentum=0.5, schedule="cosine")
RANGE = SearchRange(learning_rate=(1e-3, 1.0), weight_decay=(1e-6, 1e-1), reasons=["because"])
KILLS = 20
Fork = multiprocessing.get_context("fork")


def trials(count: int, epochs: int = 2) -> list[TrialSpec]:
    return [
        TrialSpec(
            number=number,
            setting=TrialSetting(learning_rate=0.01 * (number + 1), weight_decay=1e-4),
            epochs=epochs,
            seed=number,
        )
        for number in range(count)
    ]


def plan_of(specs: Sequence[TrialSpec], at_once: int = 4, **changes: Any) -> PackPlan:
    return PackPlan(
        stage="coarse",
        pack=0,
        packs=1,
        trials_in_stage=len(specs),
        search_range=RANGE,
        trials=list(specs),
        engine="stacked",
        networks_at_once=at_once,
        **changes,
    )


@pytest.fixture
def run_plan(
    digits: DatasetReference, digits_stats: ChannelStats, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[..., tuple[PackResult, Said]]]:
    """Run a plan on two workers; MLflow is opened in each process for itself."""
    threads = torch.get_num_threads()
    monkeypatch.setattr(trial_pack, "usable_cores", lambda: 2)

    def run(plan: PackPlan, run_name: str = "run", **options: Any) -> tuple[PackResult, Said]:
        said = Said()
        uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
        client = tracking.client(uri)
        run_id = tracking.open_run(
            client, experiment="packs", artifact_location=str(tmp_path), run_name=run_name, tags={}, params={}
        )
        reference = RunReference(
            run_name=run_name,
            folder_uri=str(tmp_path / f"storage-{run_name}" / "runs" / run_name),
            tracking_uri=uri,
            tracking_run_id=run_id,
        )
        settings = {"seed": 0, "packs_per_machine": 1, "devices": [torch.device("cpu")]} | options
        result_uri = run_pack(plan, digits, digits_stats, NETWORK, OPTIMIZER, reference, say=said, **settings)
        return PackResult.model_validate_json(Path(result_uri).read_bytes()), said

    yield run
    torch.set_num_threads(threads)


RunPlan = Callable[..., tuple[PackResult, Said]]


def curves(result: PackResult) -> dict[int, Any]:
    return {one.spec.number: (one.status, one.epochs) for one in result.results}


def assert_alike(result: PackResult, reference: PackResult) -> None:
    """The same to float32's precision: stacks of another size multiply in another order."""
    for one, other in zip(result.results, reference.results, strict=True):
        assert (one.status, one.spec, one.message) == (other.status, other.spec, other.message)
        for record, expected in zip(one.epochs, other.epochs, strict=True):
            assert record.train_loss == pytest.approx(expected.train_loss, rel=1e-3)


def replaced(monkeypatch: pytest.MonkeyPatch, before: Callable[[int, Any], None]) -> None:
    """Call ``before`` with the number of networks and the trials of each training, in the worker, before it begins."""
    train_together = chunk_training.train_together

    def train(plan: Any, chosen: Any, *args: Any, **rest: Any) -> Any:
        before(len(chosen), chosen)
        return train_together(plan, chosen, *args, **rest)

    monkeypatch.setattr(chunk_training, "train_together", train)


def test_two_workers_give_what_one_gives(run_plan: RunPlan) -> None:
    two, _ = run_plan(plan_of(trials(16)), "two")
    one, _ = run_plan(plan_of(trials(16)), "one", packs_per_machine=2)
    assert curves(two) == curves(one)


@pytest.mark.parametrize("packs_per_machine", [1, 2])
def test_out_of_memory_halves_the_networks_and_goes_on(
    run_plan: RunPlan, monkeypatch: pytest.MonkeyPatch, packs_per_machine: int
) -> None:
    reference, _ = run_plan(plan_of(trials(8), at_once=2), "reference")

    def no_room_for_three(networks: int, _: object) -> None:
        if networks > 2:
            raise RuntimeError("[enforce fail at alloc_cpu.cpp:127] DefaultCPUAllocator: can't allocate memory")

    replaced(monkeypatch, no_room_for_three)
    result, said = run_plan(plan_of(trials(8), at_once=8), packs_per_machine=packs_per_machine)
    assert_alike(result, reference)
    assert any("out of memory with 4 networks" in line and line.endswith("goes on with 2") for line in said)


def test_a_worker_that_is_killed_costs_no_trial(run_plan: RunPlan, monkeypatch: pytest.MonkeyPatch) -> None:
    reference, _ = run_plan(plan_of(trials(8), at_once=2), "reference")
    parent = os.getpid()

    def killed_with_three(networks: int, _: object) -> None:
        if networks > 2 and os.getpid() != parent:
            os.kill(os.getpid(), signal.SIGKILL)

    replaced(monkeypatch, killed_with_three)
    result, said = run_plan(plan_of(trials(8), at_once=4))
    assert_alike(result, reference)
    assert any("a worker was killed while it trained 4 networks at once" in line for line in said), said


def test_a_trial_whose_worker_is_always_killed_is_a_result(run_plan: RunPlan, monkeypatch: pytest.MonkeyPatch) -> None:
    parent = os.getpid()

    def killed_with_the_third(_: int, chosen: Any) -> None:
        if os.getpid() != parent and any(trial.seed == 2 for trial in chosen):
            os.kill(os.getpid(), signal.SIGKILL)

    replaced(monkeypatch, killed_with_the_third)
    result, said = run_plan(plan_of(trials(6)))
    assert [one.status for one in result.results] == ["ok", "ok", "out_of_memory", "ok", "ok", "ok"]
    assert result.results[2].message == "its process was killed"
    assert sum(line.startswith("val_acc") for line in said) == 6


def started(work: Callable[[], object]) -> Any:
    process = Fork.Process(target=work)
    process.start()
    return process


def wait_until(condition: Callable[[], bool], within: float = 30.0) -> None:
    deadline = time.monotonic() + within
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def test_workers_end_with_a_pack_that_is_killed(run_plan: RunPlan) -> None:
    process = started(lambda: run_plan(plan_of(trials(8, epochs=5000))))
    pack = psutil.Process(process.pid)
    wait_until(lambda: len(pack.children()) == 2)
    workers = pack.children()
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    wait_until(lambda: not any(worker.is_running() and worker.status() != "zombie" for worker in workers))


@pytest.mark.parametrize("reduction_factor", [1, 3])
def test_a_pack_killed_at_any_moment_goes_on_as_if_it_had_not(
    run_plan: RunPlan, tmp_path: Path, reduction_factor: int
) -> None:
    """Twenty kills in all; the moments are spread over an undisturbed pack's time."""
    plan = plan_of(trials(12, epochs=30), reduction_factor=reduction_factor)
    moments = random.Random(reduction_factor)
    process = started(lambda: run_plan(plan, "first"))  # what is done once for all: the data base
    process.join()
    began = time.monotonic()
    process = started(lambda: run_plan(plan, "undisturbed"))
    process.join()
    seconds = time.monotonic() - began
    expected = PackResult.model_validate_json(
        next((tmp_path / "storage-undisturbed").glob("**/coarse-pack-000.json")).read_bytes()
    )
    unfinished = 0
    for number in range(KILLS // 2):
        process = started(lambda number=number: run_plan(plan, f"killed-{number}", checkpoint_seconds=0.0))
        process.join(moments.uniform(0, seconds))
        process.kill()  # SIGKILL, unless it has ended
        process.join()
        storage = tmp_path / f"storage-killed-{number}"
        unfinished += not list(storage.glob("**/coarse-pack-000.json"))
        process = started(lambda number=number: run_plan(plan, f"killed-{number}", checkpoint_seconds=0.0))
        process.join()
        result = result_in(storage)
        assert [one.spec.number for one in result.results] == list(range(12))
        assert_alike(result, expected)
        finished = [one for one in result.results if one.status == "ok"]
        assert len(list(storage.glob("trials/??/*[0-9a-f].json"))) >= len(finished)
    assert unfinished
    assert_logged_once(tmp_path, expected)


def result_in(storage: Path) -> PackResult:
    return PackResult.model_validate_json(next(storage.glob("**/coarse-pack-000.json")).read_bytes())


def assert_logged_once(tmp_path: Path, expected: PackResult) -> None:
    """Each run has each trial once, ended, with one point for each epoch."""
    client = tracking.client(f"sqlite:///{tmp_path / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("packs")
    assert experiment is not None
    for number in range(KILLS // 2):
        parent = tracking.find_run(client, "packs", f"killed-{number}")
        assert parent is not None
        query = f"tags.`mlflow.parentRunId` = '{parent.info.run_id}'"
        runs = sorted(client.search_runs([experiment.experiment_id], query), key=lambda run: str(run.info.run_name))
        assert [run.info.run_name for run in runs] == [f"coarse-{trial:04d}" for trial in range(12)]
        for run, one in zip(runs, expected.results, strict=True):
            assert run.info.status == "FINISHED"
            points = client.get_metric_history(run.info.run_id, "train_loss")
            assert [point.step for point in points] == [record.epoch for record in one.epochs]
