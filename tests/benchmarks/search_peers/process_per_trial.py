"""A new process for each trial, one on each core; the argument names the module that trains it."""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

from search_peers.protocol import CORES, Search, Trial, read_search


def main() -> None:
    module, search = sys.argv[1], read_search()
    with ThreadPoolExecutor(CORES) as pool:
        list(pool.map(lambda trial: run_trial(module, search, trial), search.trials))


def run_trial(module: str, search: Search, trial: Trial) -> None:
    """It prints its results on this process's output."""
    asked = search.with_trials([trial]).to_json()
    subprocess.run([sys.executable, "-m", module], input=asked, text=True, check=True)


if __name__ == "__main__":
    main()
