"""``sanefit predict`` on 10,000 JPEG files beside torchvision's ImageFolder, a DataLoader and the same model.

Both name the class of every file of CIFAR-10's first 1,000 of each class, with two processes that decode, in a warm
page cache.
"""

import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
from cifar10 import unpacked_cifar10
from figures import print_figure
from torch.utils.data import DataLoader
from torchvision import datasets
from torchvision.transforms import v2

from sanefit.components.foundation.classifiers.classifier import ProbabilityModel
from sanefit.components.foundation.schemas.networks import ConvNetSettings, NetworkSettings, TwoLayerSettings
from sanefit.components.foundation.schemas.runs import RunReference
from sanefit.components.foundation.schemas.statistics import ChannelStats
from sanefit.components.foundation.tracking.connection import connect
from sanefit.components.foundation.tracking.models import load_pixels_model, register_model
from sanefit.components.foundation.tracking.runs import open_run
from sanefit.components.foundation.training.loop.recipe import Recipe
from sanefit.components.foundation.training.stacks.trial import Problem, Trial
from sanefit.components.model_registry.api import find_images, load_predictor

WORKERS, REPEATS, PER_CLASS = 2, 3, 1000
SHAPE, CLASSES = (32, 32, 3), 10
STATS = ChannelStats(
    normalization="channel_mean",
    images=1,
    mean=[120.0] * 3,
    std=[60.0] * 3,
    shift=[120.0] * 3,
    scale=[1.0] * 3,
    histogram=[],
)


def main() -> None:
    with unpacked_cifar10(__doc__) as folder:
        images = folder / "some"
        for class_folder in sorted((folder / "cifar" / "train").iterdir()):
            (images / class_folder.name).mkdir(parents=True)
            for file in sorted(class_folder.iterdir())[:PER_CLASS]:
                file.rename(images / class_folder.name / file.name)
        networks: dict[str, NetworkSettings] = {
            "a convnet of 16, 32, 64 channels": ConvNetSettings(kind="convnet", channels=(16, 32, 64), init="he"),
            "a two-layer network, where decoding is what takes time": TwoLayerSettings(kind="two_layer", hidden=32),
        }
        for words, network in networks.items():
            compare(words, registered(folder / network.kind, network), images, folder)


def compare(words: str, uri: str, images: Path, scratch: Path) -> None:
    """Print a figure."""
    ours, usual = [], []
    for _ in range(REPEATS):
        ours.append(timed(lambda: predicted(uri, images, scratch)))
        usual.append(timed(lambda: usual_loop(uri, images)))
    same = sum(one == other for one, other in zip(ours[0][1], usual[0][1], strict=True))
    seconds, peer = (median(times for times, _ in measured) for measured in (ours, usual))
    count = CLASSES * PER_CLASS
    print_figure(
        f"predicting 10,000 JPEG files by {words}",
        round(count / seconds),
        "images/s",
        REPEATS,
        peer="ImageFolder + DataLoader(num_workers=2) + the same model",
        ratio=round(peer / seconds, 2),
        peer_value=round(count / peer),
        same_answers=same,
    )


def registered(folder: Path, network: NetworkSettings) -> str:
    """A network as it begins."""
    folder.mkdir()
    uri = f"sqlite:///{folder / 'mlflow.db'}"
    client = connect(uri)
    run_id = open_run(
        client, experiment="x", artifact_location=(folder / "artifacts").as_uri(), run_name="r", tags={}, params={}
    )
    run = RunReference(run_name="r", storage=str(folder), tracking_uri=uri, tracking_run_id=run_id)
    recipe = Recipe(0.1, 0.0, 0.9, 32, 1, 0)
    classifier = Problem(SHAPE, CLASSES, STATS).classifier(Trial(network, recipe, 0))
    metadata = {
        "class_names": [str(label) for label in range(CLASSES)],
        "image_shape": list(SHAPE),
        "image_size": None,
        "background": [255, 255, 255],
        "bit_depth": 16,
    }
    model = ProbabilityModel(classifier).eval()
    version = register_model(client, run, model=model, model_name="x", metadata=metadata, tags={})
    return f"models:/x/{version}"


def predicted(uri: str, images: Path, scratch: Path) -> list[int]:
    """With the model's loading."""
    predictor = load_predictor(uri)
    found = find_images([str(images)], scratch, predictor.passed_over)
    return [label for answers in predictor.answer(found, WORKERS) for label in labels_of(answers.probabilities)]


def usual_loop(uri: str, images: Path) -> list[int]:
    """With the model's loading."""
    model = load_pixels_model(uri)
    loader: DataLoader[Any] = DataLoader(
        datasets.ImageFolder(str(images), v2.PILToTensor()), batch_size=256, num_workers=WORKERS
    )
    return [label for pixels, _ in loader for label in labels_of(model.predict(pixels.permute(0, 2, 3, 1).numpy()))]


def labels_of(probabilities: np.ndarray) -> list[int]:
    labels: list[int] = probabilities.argmax(axis=1).tolist()
    return labels


def timed(measure: Callable[[], list[int]]) -> tuple[float, list[int]]:
    started = time.perf_counter()
    found = measure()
    return time.perf_counter() - started, found


if __name__ == "__main__":
    torch.set_num_threads(WORKERS)
    main()
