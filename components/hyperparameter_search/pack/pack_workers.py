"""A pack's workers: one for each core or GPU that it can see, which stay from the first chunk to the last."""

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import replace

import torch

from sanefit.components.foundation.machine.forked_work import gradients_survive_a_fork
from sanefit.components.foundation.machine.parallel_work import end_with_parent, start_method
from sanefit.components.foundation.machine.termination import listen_for_sigterm
from sanefit.components.foundation.machine.threads import using_threads
from sanefit.components.foundation.schemas.search import TrialResult
from sanefit.components.foundation.training.loop.training_data import data_on
from sanefit.components.hyperparameter_search.pack.chunk_training import (
    ChunkOutcome,
    ChunkTask,
    PackContext,
    halves,
    stopped,
    train_chunk,
)

_context: PackContext | None = None  # of this worker


def train_chunks(
    context: PackContext, tasks: Sequence[ChunkTask], devices: Sequence[torch.device], workers: int
) -> Iterator[ChunkOutcome]:
    """Train every chunk; outcomes come as they are known.

    A worker that is killed, as for want of memory, takes its chunk down: what is left is tried in halves, then one by
    one, and a trial whose worker is killed all the same ran out of memory.

    Args:
        context: of the pack; with several GPUs its data lie in the CPU's memory.
        tasks: the chunks.
        devices: what ``visible_devices`` gives.
        workers: processes; with one, chunks are trained in this process.

    Raises:
        StoppedError: when the pack is to end.
    """
    if min(workers, len(tasks)) <= 1:
        threads = workers if devices[0].type == "cpu" and any(task.alone for task in tasks) else torch.get_num_threads()
        with using_threads(threads):
            for task in tasks:
                yield from train_chunk(context, task)
        return
    left = {task.key: task for task in tasks}
    try:
        for outcome in _in_pool(context, list(left.values()), devices, workers):
            _settle(left, outcome)
            yield outcome
    except BrokenProcessPool:
        if context.interruptions.stops():  # a worker that had not begun to listen
            raise stopped() from None
        smaller = [half for task in left.values() for half in (halves(task) if len(task.units) > 1 else [task])]
        if len(smaller) > len(left):
            largest = max(len(task.units) for task in left.values())
            note = f"a worker was killed while it trained {largest} networks at once: goes on in halves"
            yield ChunkOutcome(smaller[0], [], [note])
            yield from train_chunks(context, smaller, devices, workers)
        else:
            yield from _one_by_one(context, smaller, devices)


def _settle(left: dict[str, ChunkTask], outcome: ChunkOutcome) -> None:
    """Take the units of an outcome, which may be part of a task, from what is left."""
    done = {unit.key for unit in outcome.task.units}
    for key, task in list(left.items()):
        if done & {unit.key for unit in task.units}:
            del left[key]
            kept = [place for place, unit in enumerate(task.units) if unit.key not in done]
            if kept:
                begun = [task.begun[place] for place in kept] if task.begun else []
                rest = replace(task, units=[task.units[place] for place in kept], begun=begun)
                left[rest.key] = rest


def _in_pool(
    context: PackContext, tasks: Sequence[ChunkTask], devices: Sequence[torch.device], workers: int
) -> Iterator[ChunkOutcome]:
    if context.interruptions.stops():
        raise stopped()
    # A GPU's context does not survive a fork; a fork needs no copy of the data.
    forks = devices[0].type == "cpu" and gradients_survive_a_fork()
    method = torch.multiprocessing.get_context(start_method() if forks else "spawn")
    numbers = method.SimpleQueue()
    for number in range(workers):
        numbers.put(number)
    pool = ProcessPoolExecutor(workers, method, _begin_worker, (context, list(devices), numbers, os.getpid()))
    try:
        futures = [pool.submit(_train, task) for task in tasks]
        for future in as_completed(futures):
            yield from future.result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _one_by_one(
    context: PackContext, tasks: Sequence[ChunkTask], devices: Sequence[torch.device]
) -> Iterator[ChunkOutcome]:
    """Each single trial in a worker of its own."""
    for task in tasks:
        try:
            yield from _in_pool(context, [task], devices, 1)
        except BrokenProcessPool:
            if context.interruptions.stops():
                raise stopped() from None
            now = context.clock()
            [unit] = task.units
            killed = TrialResult(
                spec=unit.spec,
                status="out_of_memory",
                validation_accuracy=0.0,
                epochs=[],
                started=now,
                seconds=0.0,
                message="its process was killed",
            )
            yield ChunkOutcome(task, [killed])


def _begin_worker(context: PackContext, devices: list[torch.device], numbers: object, pack: int) -> None:
    global _context
    end_with_parent(pack)  # a pack that is killed leaves nobody at work
    listen_for_sigterm()
    device = devices[numbers.get() % len(devices)]  # type: ignore[attr-defined]
    torch.set_num_threads(1)
    problem = replace(context.problem, device=device)
    _context = replace(context, problem=problem, data=data_on(context.data, device))


def _train(task: ChunkTask) -> list[ChunkOutcome]:
    assert _context is not None
    return train_chunk(_context, task)
