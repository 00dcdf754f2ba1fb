"""As ``in_memory``, from files of pixels that were decoded before the clock started."""

import numpy as np
import torch

from search_peers.in_memory import memory_splits, train_trials
from search_peers.protocol import read_search, say_ready
from search_peers.training import set_threads


def main() -> None:
    search = read_search()
    set_threads(search)
    names = ("train_pixels", "train_labels", "val_pixels", "val_labels")
    arrays = [torch.from_numpy(np.load(search.pixels / f"{name}.npy")) for name in names]
    say_ready()
    train_trials(search, search.trials, memory_splits(search.net, *arrays))


if __name__ == "__main__":
    main()
