"""Faults found and sound set-ups refused or warned about, in the half of the zoo that other people's style makes.

One JSON line for each set-up, then the counts. A tenth of it is part of the tests (``test_others.py``).
"""

import argparse
import json
import time
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path
from tempfile import mkdtemp

import torch
from folders import FOLDERS
from others_faulty import FAULTY
from others_healthy import HEALTHY
from public_report import is_named, report_on_public, said_of
from public_setup import PublicSetup


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", help="words in the names of the set-ups; all without one")
    parser.add_argument("--folder", type=Path, help="keeps images and snapshots from one time to the next")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--every", type=int, default=1, help="takes one in so many")
    parser.add_argument("--first", type=int, default=0, help="from this one on")
    given = parser.parse_args()
    folder = given.folder or Path(mkdtemp())
    folder.mkdir(exist_ok=True)
    sample = [*FAULTY[given.first :: given.every], *HEALTHY[given.first :: given.every]]
    chosen = [one for one in sample if not given.names or any(word in one.name for word in given.names)]
    for name in {one.images for one in chosen}:
        if not (folder / name).exists():
            FOLDERS[name](folder / name)
    with ProcessPoolExecutor(given.processes, initializer=torch.set_num_threads, initargs=(1,)) as pool:
        found = []
        for task in as_completed([pool.submit(_line, one, folder) for one in chosen]):
            print(json.dumps(task.result()), flush=True)
            found.append(task.result())
    faulty, sound = ([line for line in found if line["faulty"] == kind] for kind in (True, False))
    refused, warned = (sum(line["verdict"] == verdict for line in sound) for verdict in ("fail", "warn"))
    print(
        f"found {sum(line['named'] for line in faulty)} of {len(faulty)} faults; of {len(sound)} sound set-ups "
        f"{refused} refused, {warned} warned"
    )


def _line(setup: PublicSetup, folder: Path) -> dict[str, object]:
    started = time.monotonic()
    try:
        report = report_on_public(setup, folder)
    except Exception as error:
        report = f"CRASH {type(error).__name__}: {error}"
    said = said_of(report)
    refused = isinstance(report, str) or report.failures
    return {
        "name": setup.name,
        "faulty": bool(setup.families),
        "verdict": "fail" if refused else "warn" if said else "pass",
        "named": is_named(setup, said),
        "families": setup.families,
        "seconds": round(time.monotonic() - started, 1),
        "said": said,
    }


if __name__ == "__main__":
    main()
