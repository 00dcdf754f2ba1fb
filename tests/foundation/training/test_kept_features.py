"""Features of a pretrained network, computed once and found again."""

from pathlib import Path
from typing import Any

import pytest
import torch
from said import Said
from torch import Tensor, nn

from sanefit.components.foundation.schemas.images import DatasetReference
from sanefit.components.foundation.schemas.networks import ModuleSettings
from sanefit.components.foundation.schemas.statistics import ChannelStats
from sanefit.components.foundation.training.loop.training_data import TrainingData, read_training_data
from sanefit.components.foundation.training.stacks.kept_features import with_features
from sanefit.components.foundation.training.stacks.trial import Problem


class Net(nn.Module):
    """A small network; ``head``: whether its last layer is its end."""

    def __init__(self, image_shape: tuple[int, int, int], classes: int, head: bool = True) -> None:
        super().__init__()
        height, width, channels = image_shape
        self.head = head
        self.body = nn.Sequential(nn.Flatten(), nn.Linear(height * width * channels, 7), nn.ReLU())
        self.output = nn.Linear(7, classes)

    def forward(self, images: Tensor) -> Tensor:
        scores: Tensor = self.output(self.body(images))
        return scores if self.head else 2 * scores


def settings(folder: Path, seed: int = 0, **arguments: Any) -> ModuleSettings:
    """Weights of all but the output layer, in a file."""
    torch.manual_seed(seed)
    weights = {name: value for name, value in Net((8, 8, 1), 10).state_dict().items() if name.startswith("body")}
    path = folder / f"{seed}.pt"
    torch.save(weights, path)
    return ModuleSettings(kind="module", path=f"{__name__}:Net", weights=str(path), arguments=arguments)


@pytest.fixture
def made(digits: DatasetReference, digits_stats: ChannelStats) -> tuple[TrainingData, DatasetReference, Problem]:
    return read_training_data(digits), digits, Problem((8, 8, 1), 10, digits_stats)


def features(
    made: tuple[TrainingData, DatasetReference, Problem], network: ModuleSettings, said: Said, storage: Path
) -> TrainingData:
    data, dataset, problem = made
    return with_features(data, dataset.model_copy(update={"storage": str(storage)}), network, problem, said)


def test_they_are_what_the_body_gives_and_are_computed_once(
    made: tuple[TrainingData, DatasetReference, Problem], said: Said, tmp_path: Path
) -> None:
    network = settings(tmp_path)
    first, second = (features(made, network, said, tmp_path / "storage") for _ in range(2))
    assert "7 numbers for each of" in said[0]
    assert "computed in" in said[0]
    assert said[1].endswith("read again")
    classifier = made[2].classifier_of(network)
    with torch.no_grad():
        wanted = classifier.network.get_submodule("body")(classifier.normalization(made[0].train_pixels[:50]))
    assert first.train_features is not None
    assert second.train_features is not None
    torch.testing.assert_close(first.train_features[:50], wanted)
    assert torch.equal(first.train_features, second.train_features)
    assert len(first.train_features) == len(made[0].train_labels)
    assert first.validation_features is not None
    assert len(first.validation_features) == len(made[0].validation_labels)


def test_other_weights_give_other_features(
    made: tuple[TrainingData, DatasetReference, Problem], said: Said, tmp_path: Path
) -> None:
    one, other = (features(made, settings(tmp_path, seed), said, tmp_path / "storage") for seed in (0, 1))
    assert one.train_features is not None
    assert other.train_features is not None
    assert not torch.equal(one.train_features, other.train_features)


def test_a_new_part_in_the_middle_leaves_the_images_and_says_so(
    made: tuple[TrainingData, DatasetReference, Problem], said: Said, tmp_path: Path
) -> None:
    found = features(made, settings(tmp_path, head=False), said, tmp_path / "storage")
    assert found.train_features is None
    assert "every image passes through the whole network" in said[0]
