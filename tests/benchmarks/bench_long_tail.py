"""Balanced accuracy on CIFAR-10 made long-tailed, with and without ``optimizer.class_weights=balanced``.

Classes shrink geometrically to a hundredth of the first (Cui et al. 2019); the test split has as many images of each.
Each side takes the learning rate that is best for it on the validation split; the test split is read at the end.
"""

from pathlib import Path
from statistics import fmean

import torch
from cifar10 import unpacked_cifar10
from figures import print_figure

from sanefit.components.channel_stats.channel_stats import measure_channel_stats
from sanefit.components.dataset_snapshot.snapshot import take_snapshot
from sanefit.components.foundation.image_dataset.shards import read_manifest, read_split
from sanefit.components.foundation.schemas.data_settings import DataSettings
from sanefit.components.foundation.schemas.networks import ConvNetSettings
from sanefit.components.foundation.schemas.statistics import StatsSettings
from sanefit.components.foundation.schemas.training import ClassWeights, OptimizerSettings
from sanefit.components.foundation.training.loop.evaluation import evaluate
from sanefit.components.foundation.training.loop.recipe import recipe_of
from sanefit.components.foundation.training.loop.training import Training
from sanefit.components.foundation.training.loop.training_data import read_training_data
from sanefit.components.foundation.training.stacks.trial import Problem, Trial

IMBALANCE = 100
LARGEST, TEST_IMAGES = 4000, 1000  # of a class
RATES = (0.03, 0.1)
SEEDS = (0, 1)
EPOCHS = 20


def main() -> None:
    with unpacked_cifar10(__doc__) as folder:
        make_long_tail(folder / "cifar" / "train", folder / "images")
        plain, balanced = (_measure(folder, weights) for weights in ("none", "balanced"))
        print_figure(
            "balanced test accuracy on a long tail of 100:1, class_weights=balanced",
            round(balanced, 4),
            "share",
            len(SEEDS),
            peer="class_weights=none",
            ratio=round(balanced / plain, 3),
            peer_value=round(plain, 4),
            points_above=round(100 * (balanced - plain), 1),
        )


def make_long_tail(source: Path, target: Path) -> None:
    """Folders ``train`` and ``test`` of links, classes in the order of their names."""
    classes = sorted(source.iterdir())
    for number, folder in enumerate(classes):
        files = sorted(folder.iterdir())
        trained = round(LARGEST * IMBALANCE ** (-number / (len(classes) - 1)))
        for split, chosen in (("test", files[:TEST_IMAGES]), ("train", files[TEST_IMAGES : TEST_IMAGES + trained])):
            (target / split / folder.name).mkdir(parents=True)
            for file in chosen:
                (target / split / folder.name / file.name).hardlink_to(file)


def _measure(folder: Path, weights: ClassWeights) -> float:
    settings = DataSettings(source=f"folder:{folder / 'images'}", splits="own")
    dataset = take_snapshot(settings, str(folder / "storage"), print)
    manifest, stats = read_manifest(dataset), measure_channel_stats(dataset, StatsSettings(), print)
    problem = Problem(manifest.image_shape, len(manifest.class_names), stats)
    network = ConvNetSettings(kind="convnet", channels=(16, 32, 64), batch_norm=True, init="he")
    optimizer = OptimizerSettings(batch_size=128, schedule="cosine", augmentation="flip_crop", class_weights=weights)
    data = read_training_data(dataset, manifest=manifest)

    def train(rate: float, seed: int) -> Training:
        recipe = recipe_of(
            optimizer, learning_rate=rate, weight_decay=1e-3, epochs=EPOCHS, batch_seed=seed, noise_seed=seed
        )
        training = Training(problem.classifier(Trial(network, recipe, seed)), data, recipe)
        for epoch in range(1, EPOCHS + 1):
            record = training.train_epoch(epoch)
        print(weights, rate, seed, f"validation, balanced: {record.validation_balanced_accuracy:.4f}", flush=True)
        return training

    trained = {(rate, seed): train(rate, seed) for rate in RATES for seed in SEEDS}
    validated = {
        rate: fmean(
            evaluate(trained[rate, seed].kept, data.validation_pixels, data.validation_labels).balanced_accuracy
            for seed in SEEDS
        )
        for rate in RATES
    }
    best = max(RATES, key=validated.__getitem__)
    pixels, labels = (torch.from_numpy(array) for array in read_split(dataset, "test"))
    return fmean(evaluate(trained[best, seed].kept, pixels, labels).balanced_accuracy for seed in SEEDS)


if __name__ == "__main__":
    main()
