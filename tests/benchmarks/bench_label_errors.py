"""How many label errors planted in CIFAR-10's training images are found: one in a hundred has another class.

As ``final.label_errors=all`` judges the training split: three small convnets, each trained without a third, on a CPU.
2 % of the images validate, for no network can be chosen without any; errors planted there, and in the smallest test
split that there can be, are not found, and count.
"""

import argparse
import tarfile
import tempfile
from collections.abc import Sequence
from pathlib import Path
from time import monotonic

import numpy as np
import torch
from figures import print_figure
from numpy.typing import NDArray

from sanefit.components.channel_stats.channel_stats import measure_channel_stats
from sanefit.components.dataset_snapshot.snapshot import take_snapshot
from sanefit.components.final_training.confident_learning import class_thresholds, judge_labels
from sanefit.components.final_training.held_out import FOLDS, HeldOut, cross_validate
from sanefit.components.final_training.member_runs import MemberRuns, Workers
from sanefit.components.final_training.members import Member
from sanefit.components.foundation.image_dataset.image_names import read_names
from sanefit.components.foundation.image_dataset.shards import BUNDLE, read_index, read_manifest
from sanefit.components.foundation.schemas.data_settings import DataSettings
from sanefit.components.foundation.schemas.final_model import FinalTrainingSettings
from sanefit.components.foundation.schemas.images import DatasetReference
from sanefit.components.foundation.schemas.networks import ConvNetSettings
from sanefit.components.foundation.schemas.search import TrialSetting
from sanefit.components.foundation.schemas.statistics import StatsSettings
from sanefit.components.foundation.schemas.training import OptimizerSettings
from sanefit.components.foundation.training.loop.recipe import recipe_of
from sanefit.components.foundation.training.loop.training_data import read_training_data
from sanefit.components.foundation.training.stacks.trial import Problem, Trial

SHARE_WRONG = 0.01
SHARE_LOOKED_AT = 0.02
SEED, RATE, DECAY = 0, 0.02, 5e-4
NETWORK = ConvNetSettings(kind="convnet", channels=(16, 32, 64), batch_norm=True, init="he")
OPTIMIZER = OptimizerSettings(batch_size=64, schedule="cosine", augmentation="flip_crop")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cifar10", type=Path, required=True, help="archive of CIFAR-10's training images")
    parser.add_argument("--share", type=float, default=1.0, help="of the images of each class")
    parser.add_argument("--epochs", type=int, default=20, help="of a final training; each convnet has half as many")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        with tarfile.open(given.cifar10) as tar:
            tar.extractall(folder / "cifar", filter="data")
        planted, images = plant(folder / "cifar" / "train", folder / "images", given.share)
        settings = DataSettings(source=f"folder:{folder / 'images'}", validation_fraction=0.02, test_fraction=0.0001)
        dataset = take_snapshot(settings, str(folder / "storage"), print)
        started = monotonic()
        suspected, accuracy = _suspected(dataset, given.epochs)
        seconds = monotonic() - started
        looked_at = round(SHARE_LOOKED_AT * images)
        found = len(planted & set(suspected[:looked_at]))
        print_figure(
            f"planted label errors among the {looked_at:,} most suspected",
            round(found / len(planted), 3),
            "share",
            len(planted),
            peer="chance",
            ratio=round(found / len(planted) / SHARE_LOOKED_AT, 1),
            found=found,
            images=images,
            split="training, judged by networks that were not trained on it",
            accuracy_on_given_labels=round(accuracy, 4),
            suspected=len(suspected),
            seed=SEED,
            seconds=round(seconds),
            threads=torch.get_num_threads(),
        )


def plant(source: Path, target: Path, share: float) -> tuple[set[str], int]:
    """Link the images of each class, one in a hundred of all into another class's folder.

    Returns:
        The names of the wrong ones below the target, and how many images there are.
    """
    random = np.random.default_rng(SEED)
    classes = sorted(folder.name for folder in source.iterdir())
    files = [file for name in classes for file in _some(sorted((source / name).iterdir()), share)]
    wrong = set(random.choice(len(files), round(SHARE_WRONG * len(files)), replace=False).tolist())
    planted = set()
    for number, file in enumerate(files):
        label = file.parent.name
        if number in wrong:
            label = str(random.choice([name for name in classes if name != label]))
        name = f"{label}/{file.parent.name}-{file.name}"
        (target / label).mkdir(parents=True, exist_ok=True)
        (target / name).hardlink_to(file)
        planted |= {name} if number in wrong else set()
    return planted, len(files)


def _some(files: Sequence[Path], share: float) -> Sequence[Path]:
    return files[: round(share * len(files))]


def _suspected(dataset: DatasetReference, epochs: int) -> tuple[list[str], float]:
    """Names of the training images that another class is named for, the worst first, and the share of the others."""
    manifest, stats = read_manifest(dataset), measure_channel_stats(dataset, StatsSettings(), print)
    data = read_training_data(dataset, manifest=manifest)
    problem = Problem(manifest.image_shape, len(manifest.class_names), stats)
    recipe = recipe_of(
        OPTIMIZER, learning_rate=RATE, weight_decay=DECAY, epochs=epochs, batch_seed=SEED, noise_seed=SEED
    )
    best = Member(TrialSetting(learning_rate=RATE, weight_decay=DECAY), Trial(NETWORK, recipe, SEED))
    final, images = FinalTrainingSettings(epochs=epochs), len(data.train_labels)
    runs = MemberRuns(dataset, images, problem, final, dataset.storage, Workers(), lambda: data, print)
    parts = cross_validate(runs, best, read_index(dataset, "train", manifest)[:, BUNDLE], SEED).parts
    assert len(parts) == FOLDS
    return _ranked(dataset, parts, len(manifest.class_names))


def _ranked(dataset: DatasetReference, parts: Sequence[HeldOut], classes: int) -> tuple[list[str], float]:
    def batches() -> list[tuple[NDArray[np.int64], NDArray[np.float32]]]:
        return [batch for part in parts for batch in part.batches()]

    found = judge_labels(batches(), class_thresholds(batches(), classes))
    numbers = np.concatenate([part.numbers.numpy() for part in parts])
    labels = np.concatenate([part.labels[part.numbers].numpy() for part in parts])
    names = read_names(dataset, "train")
    assert names is not None
    suspects = [names[number] for number in numbers[found.suspects(labels)].tolist()]
    return suspects, float(np.mean(found.named == labels))


if __name__ == "__main__":
    main()
