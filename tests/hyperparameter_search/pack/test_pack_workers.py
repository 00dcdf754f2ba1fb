"""Packs on several cores: workers that are killed, memory that runs out, packs that are killed and go on."""

import functools
import multiprocessing
import os
import random
import signal
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import psutil
import pytest
from pack_process import CORES, EXPERIMENT, Pack, finished, started

from sanefit.components.foundation.machine.termination import is_asked_to_stop
from sanefit.components.foundation.schemas.images import DatasetReference
from sanefit.components.foundation.schemas.search import PackPlan, PackResult, SearchRange, TrialSetting, TrialSpec
from sanefit.components.foundation.schemas.statistics import ChannelStats
from sanefit.components.foundation.tracking.connection import connect
from sanefit.components.foundation.tracking.runs import find_run
from sanefit.components.foundation.training.checkpoints.checkpoint_pace import Interruptions
from sanefit.components.hyperparameter_search.pack.trial_store import progress_from

pytestmark = pytest.mark.slow

RANGE = SearchRange(learning_rate=(1e-3, 1.0), weight_decay=(1e-6, 1e-1), reasons=["because"])
KILLS = 20
MakePack = Callable[..., Pack]


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
def pack(digits: DatasetReference, digits_stats: ChannelStats, tmp_path: Path) -> MakePack:
    """A pack on two cores; each run of it has a storage of its own, and all have one MLflow."""

    def make(plan: PackPlan, run_name: str = "run", before: Any = None, cores: int = CORES, **options: Any) -> Pack:
        return Pack(plan, tmp_path, digits, digits_stats, run_name, before, cores, options)

    return make


def curves(result: PackResult) -> dict[int, Any]:
    return {one.spec.number: (one.status, one.message, one.epochs) for one in result.results}


def assert_alike(result: PackResult, reference: PackResult) -> None:
    """The same to float32's precision: stacks of another size multiply in another order."""
    for one, other in zip(result.results, reference.results, strict=True):
        assert (one.status, one.spec, one.message) == (other.status, other.spec, other.message)
        for record, expected in zip(one.epochs, other.epochs, strict=True):
            assert record.train_loss == pytest.approx(expected.train_loss, rel=1e-3)


def no_room_for_three(networks: int, _: object) -> None:
    if networks > 2:
        raise RuntimeError("[enforce fail at alloc_cpu.cpp:127] DefaultCPUAllocator: can't allocate memory")


def killed_with_three(networks: int, _: object) -> None:
    if networks > 2 and in_worker():
        os.kill(os.getpid(), signal.SIGKILL)


def killed_with_the_third(_: int, chosen: Any) -> None:
    if in_worker() and any(trial.seed == 2 for trial in chosen):
        os.kill(os.getpid(), signal.SIGKILL)


def in_worker() -> bool:
    """Whether this process was started by a pack, not by a test."""
    return multiprocessing.current_process().name.startswith("ForkProcess")


def test_two_workers_give_what_one_gives(pack: MakePack) -> None:
    two = finished(pack(plan_of(trials(16)), "two")).result()
    one = finished(pack(plan_of(trials(16)), "one", cores=1)).result()
    assert {result.status for result in two.results} == {"ok"}
    assert curves(two) == curves(one)


def test_workers_train_where_those_of_a_fork_could_not(
    digits: DatasetReference, digits_stats: ChannelStats, tmp_path: Path
) -> None:
    common = plan_of(trials(8)), tmp_path, digits, digits_stats
    reference, spawned = (
        finished(Pack(*common, run_name=name, threads_of_autograd=threads)).result()
        for name, threads in (("forked", False), ("spawned", True))
    )
    assert {result.status for result in spawned.results} == {"ok"}
    assert curves(spawned) == curves(reference)


@pytest.mark.parametrize("cores", [1, CORES])
def test_out_of_memory_halves_the_networks_and_goes_on(pack: MakePack, cores: int) -> None:
    reference = finished(pack(plan_of(trials(8), at_once=2), "reference"))
    little = finished(pack(plan_of(trials(8), at_once=8), before=no_room_for_three, cores=cores))
    assert_alike(little.result(), reference.result())
    said = little.said()
    assert any("out of memory with 4 networks" in line and line.endswith("goes on with 2") for line in said)


def test_a_worker_that_is_killed_costs_no_trial(pack: MakePack) -> None:
    reference = finished(pack(plan_of(trials(8), at_once=2), "reference"))
    killed = finished(pack(plan_of(trials(8), at_once=4), before=killed_with_three))
    assert_alike(killed.result(), reference.result())
    said = killed.said()
    assert any("a worker was killed while it trained 4 networks at once" in line for line in said), said


def test_a_trial_whose_worker_is_always_killed_is_a_result(pack: MakePack) -> None:
    ended = finished(pack(plan_of(trials(6)), before=killed_with_the_third))
    results = ended.result().results
    assert [one.status for one in results] == ["ok", "ok", "out_of_memory", "ok", "ok", "ok"]
    assert results[2].message == "its process was killed"
    assert sum(line.startswith("validation_accuracy") for line in ended.said()) == 6


def asked(folder: Path, batches: int) -> bool:
    """Whether to end, as the product asks after each batch; so many later the pack is sent SIGTERM, once."""
    with (folder / "asked").open("ab") as calls:
        calls.write(b".")
        number = calls.tell()
    if number == batches:
        os.kill(os.getppid() if in_worker() else os.getpid(), signal.SIGTERM)
    return is_asked_to_stop()


@pytest.mark.parametrize("cores", [1, CORES])
def test_a_pack_told_to_end_goes_on_after_its_last_batches(pack: MakePack, cores: int, tmp_path: Path) -> None:
    """Its process alone gets the signal; no batch is trained twice."""
    plan = plan_of(trials(16, epochs=3))
    batches = {}
    for name in ("undisturbed", "told"):
        (tmp_path / name).mkdir()
        after = 29 if name == "told" else 0
        stops = functools.partial(asked, tmp_path / name, after)
        ran = pack(plan, name, cores=cores, interruptions=Interruptions(stops=stops))
        process = started(ran)
        process.join()
        if name == "told":
            assert process.exitcode == 1
            assert ran.said()[-1].startswith("told to end (SIGTERM) before its trials were trained; ")
            assert ran.results == []
            kept = [progress_from(path.read_bytes()) for path in ran.storage.glob("trials/*/*.pt")]
            assert any(state.begun for progress in kept for state in progress.states.values())
            process = started(ran)
            process.join()
        assert process.exitcode == 0
        batches[name] = (tmp_path / name / "asked").stat().st_size
        assert len(ran.result().results) == 16
    asked_before_workers_start = 0 if cores == 1 else 1  # in each of its two tries
    assert batches["told"] == batches["undisturbed"] + asked_before_workers_start
    assert curves(pack(plan, "told").result()) == curves(pack(plan, "undisturbed").result())


def wait_until(condition: Callable[[], bool], within: float = 30.0) -> None:
    deadline = time.monotonic() + within
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def test_all_its_processes_end_with_a_pack_that_is_killed(pack: MakePack) -> None:
    process = started(pack(plan_of(trials(8, epochs=5000))))
    tree = psutil.Process(process.pid)
    wait_until(lambda: len(tree.children()) == 3)  # two train, one writes to MLflow
    children = tree.children()
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    wait_until(lambda: not any(child.is_running() and child.status() != "zombie" for child in children))


@pytest.mark.parametrize("reduction_factor", [1, 3])
def test_a_pack_killed_at_any_moment_goes_on_as_if_it_had_not(pack: MakePack, reduction_factor: int) -> None:
    """Twenty kills in all; the moments are spread over an undisturbed pack's time."""
    plan = plan_of(trials(12, epochs=30), reduction_factor=reduction_factor)
    moments = random.Random(reduction_factor)
    finished(pack(plan, "first"))  # what is done once for all: the data base
    began = time.monotonic()
    expected = finished(pack(plan, "undisturbed")).result()
    seconds = time.monotonic() - began
    unfinished = 0
    for number in range(KILLS // 2):
        again = pack(plan, f"killed-{number}", interruptions=Interruptions(checkpoint_seconds=0.0))
        process = started(again)
        process.join(moments.uniform(0, seconds))
        process.kill()  # SIGKILL, unless it has ended
        process.join()
        unfinished += not again.results
        result = finished(again).result()
        assert [one.spec.number for one in result.results] == list(range(12))
        assert_alike(result, expected)
        ok = [one for one in result.results if one.status == "ok"]
        assert len(list(again.storage.glob("trials/??/*[0-9a-f].json"))) >= len(ok)
    assert unfinished
    assert_logged_once(again.tracking_uri, expected)


def assert_logged_once(tracking_uri: str, expected: PackResult) -> None:
    """Each run has each trial once, ended, with one point for each epoch."""
    client = connect(tracking_uri)
    experiment = client.get_experiment_by_name(EXPERIMENT)
    assert experiment is not None
    for number in range(KILLS // 2):
        parent = find_run(client, EXPERIMENT, f"killed-{number}")
        assert parent is not None
        query = f"tags.`mlflow.parentRunId` = '{parent.info.run_id}'"
        runs = sorted(client.search_runs([experiment.experiment_id], query), key=lambda run: str(run.info.run_name))
        assert [run.info.run_name for run in runs] == [f"coarse-{trial:04d}" for trial in range(12)]
        for run, one in zip(runs, expected.results, strict=True):
            assert run.info.status == "FINISHED"
            points = client.get_metric_history(run.info.run_id, "train_loss")
            assert [point.step for point in points] == [record.epoch for record in one.epochs]
