"""Images decoded once; then a process for each core, which stays, with one thread and its share of the trials."""

import multiprocessing

import torch

from search_peers.in_memory import Splits, decoded_splits, train_trials
from search_peers.protocol import CORES, Search, Trial, read_search, say_ready


def main() -> None:
    search = read_search()
    torch.set_num_threads(1)
    splits = decoded_splits(search.net, search.folder)
    fork = multiprocessing.get_context("fork")  # the pixels are shared, and nothing is imported anew
    started = fork.Barrier(CORES + 1)
    shares = [search.trials[core::CORES] for core in range(CORES)]
    workers = [fork.Process(target=work, args=(search, share, splits, started)) for share in shares]
    for worker in workers:
        worker.start()
    started.wait()
    say_ready()
    for worker in workers:
        worker.join()


def work(search: Search, trials: tuple[Trial, ...], splits: Splits, started: "multiprocessing.Barrier") -> None:
    started.wait()
    train_trials(search, trials, splits)


if __name__ == "__main__":
    main()
