"""How many faults of the zoo are found, and how many healthy set-ups are refused: ours beside public checkers.

Ours counts a fault as found when a check names its family; a public checker, when it objects to anything.
"""

import argparse
import multiprocessing
import os
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.connection import Connection
from pathlib import Path

import torch
from faults import FAULTS
from figures import print_figure
from healthy import healthy
from public_checkers import CHECKERS
from setups import Make
from verdicts import alarms, named_by, report_on
from zoo_data import cifar10

MOST_SECONDS = 200.0  # ours takes 160 on a ResNet-18 of photographs
MOST_SECONDS_OF_PEERS = 25.0  # ten times our median; one that has not ended is stopped, and has no verdict
Verdict = tuple[bool | None, float]  # whether it objects, None without a verdict; seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cifar10", type=Path, help="archive of CIFAR-10's training images, for healthy photographs")
    archive = parser.parse_args().cifar10
    sound = [h.make for h in healthy(cifar10(archive) if archive else None)]
    faulty = [fault.make for fault in FAULTS]
    families = {fault.make: fault.family for fault in FAULTS}

    def named(make: Make) -> bool:
        return bool(named_by(report_on(make), families[make]))

    def alarmed(make: Make) -> bool:
        return bool(alarms(report_on(make)))

    ours = _rates("sanefit", named, faulty, alarmed, sound)
    for name, check in CHECKERS.items():
        objects = _on_setup(check)
        _rates(name, objects, faulty, objects, sound, ours=ours)


def _on_setup(check: Callable[..., bool]) -> Callable[[Make], bool]:
    return lambda make: check(make())


def _rates(
    name: str,
    finds: Callable[[Make], bool],
    faulty: Sequence[Make],
    objects: Callable[[Make], bool],
    sound: Sequence[Make],
    ours: tuple[float, float] | None = None,
) -> tuple[float, float]:
    limit = MOST_SECONDS_OF_PEERS if ours else MOST_SECONDS
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        found = list(pool.map(lambda make: _apart(finds, make, limit), faulty))
        refused = list(pool.map(lambda make: _apart(objects, make, limit), sound))
    seconds = sorted(took for _, took in [*found, *refused])
    detection, false_alarms = (sum(bool(v) for v, _ in verdicts) / len(verdicts) for verdicts in (found, refused))
    unfinished = sum(verdict is None for verdict, _ in [*found, *refused])
    more = {"checker": name, "no_verdict": unfinished, "median_seconds": round(seconds[len(seconds) // 2], 2)}
    peer = {"peer": "sanefit"} if ours else {}
    print_figure("faults found", round(detection, 3), "share", len(found), **peer, **more)
    print_figure("false alarms", round(false_alarms, 3), "share", len(refused), **peer, **more)
    if name == "sanefit":
        missed = [fault.name for fault, (verdict, _) in zip(FAULTS, found, strict=True) if not verdict]
        print(f"missed: {missed}", file=sys.stderr)
    return detection, false_alarms


def _apart(check: Callable[[Make], bool], make: Make, limit: float) -> Verdict:
    """In a process of its own: some never end, and some patch torch."""
    receiver, sender = multiprocessing.Pipe(duplex=False)
    process = multiprocessing.get_context("fork").Process(target=_send, args=(check, make, sender))
    started = time.perf_counter()
    process.start()
    verdict = receiver.recv() if receiver.poll(limit) else None
    process.kill()
    process.join()
    return verdict, time.perf_counter() - started


def _send(check: Callable[[Make], bool], make: Make, sender: Connection) -> None:
    torch.set_num_threads(1)
    sender.send(check(make))


if __name__ == "__main__":
    main()
