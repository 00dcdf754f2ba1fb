"""The usual loop: ImageFolder, ToTensor, Normalize and a DataLoader, one trial after another."""

from torch.utils.data import DataLoader
from torchvision import datasets, transforms

from search_peers.protocol import Search, read_search, say_ready, say_result
from search_peers.recipes import RECIPES
from search_peers.training import Batches, set_threads, train_trial


def main() -> None:
    search = read_search()
    set_threads(search)
    training, validation = loaders(search)
    say_ready()
    for trial in search.trials:
        for epoch, accuracy in enumerate(train_trial(search, trial, training, validation), start=1):
            say_result(trial.number, epoch, accuracy)


def loaders(search: Search) -> tuple[Batches, Batches]:
    """Both splits; workers stay from one epoch to the next."""
    recipe = RECIPES[search.net]
    mean = [value / 255 for value in recipe.shift]
    std = [value / 255 for value in recipe.scale]
    transform = transforms.Compose([transforms.ToTensor(), transforms.Normalize(mean, std)])
    workers = {"num_workers": search.num_workers, "persistent_workers": search.num_workers > 0}
    training, validation = (datasets.ImageFolder(str(search.folder / split), transform) for split in ("train", "val"))
    return (
        DataLoader(training, recipe.batch_size, shuffle=True, **workers),
        DataLoader(validation, recipe.batch_size, **workers),
    )


if __name__ == "__main__":
    main()
