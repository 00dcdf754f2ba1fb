"""Images decoded once into a uint8 tensor in memory, one trial after another."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from search_peers.images import decode
from search_peers.protocol import NetName, Search, Trial, read_search, say_ready, say_result
from search_peers.recipes import RECIPES
from search_peers.training import set_threads, train_trial

VALIDATION_BATCH = 1000


@dataclass(frozen=True)
class MemoryBatches:
    """Batches of uint8 pixels (images, 3, height, width), normalized as they are taken; shuffled anew each time."""

    pixels: Tensor
    labels: Tensor
    size: int
    net: NetName
    shuffle: bool

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        recipe = RECIPES[self.net]
        shift, scale = (torch.tensor(values).reshape(3, 1, 1) for values in (recipe.shift, recipe.scale))
        numbers = torch.randperm(len(self.labels)) if self.shuffle else torch.arange(len(self.labels))
        for chosen in numbers.split(self.size):
            yield self.pixels[chosen].float().sub_(shift).div_(scale), self.labels[chosen]


Splits = tuple[MemoryBatches, MemoryBatches]


def main() -> None:
    search = read_search()
    set_threads(search)
    splits = decoded_splits(search.net, search.folder)
    say_ready()
    train_trials(search, search.trials, splits)


def decoded_splits(net: NetName, folder: Path) -> Splits:
    (pixels, labels), (other_pixels, other_labels) = (decode(folder / split) for split in ("train", "val"))
    return memory_splits(net, *(torch.from_numpy(array) for array in (pixels, labels, other_pixels, other_labels)))


def memory_splits(
    net: NetName, pixels: Tensor, labels: Tensor, validation_pixels: Tensor, validation_labels: Tensor
) -> Splits:
    """Training and validation batches."""
    return (
        MemoryBatches(pixels, labels, RECIPES[net].batch_size, net, shuffle=True),
        MemoryBatches(validation_pixels, validation_labels, VALIDATION_BATCH, net, shuffle=False),
    )


def train_trials(search: Search, trials: tuple[Trial, ...], splits: Splits) -> None:
    """One after another."""
    for trial in trials:
        for epoch, accuracy in enumerate(train_trial(search, trial, *splits), start=1):
            say_result(trial.number, epoch, accuracy)


if __name__ == "__main__":
    main()
