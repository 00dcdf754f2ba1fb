"""Networks of users that need their images in the memory layout of their own, and those that take a faster one."""

import pytest
import torch
from torch import Tensor, nn

from sanefit.components.foundation.classifiers.classifier import build_classifier, in_its_layout
from sanefit.components.foundation.schemas.networks import ModuleSettings
from sanefit.components.foundation.schemas.statistics import ChannelStats
from sanefit.components.foundation.schemas.training import EpochRecord
from sanefit.components.foundation.training.loop.recipe import Recipe
from sanefit.components.foundation.training.loop.training_data import TrainingData
from sanefit.components.foundation.training.stacks.stacks import start_training
from sanefit.components.foundation.training.stacks.trial import Problem, Trial


class Views(nn.Module):
    """As in many a tutorial, or with a function that takes any layout."""

    def __init__(self, image_shape: tuple[int, int, int], classes: int, way: str) -> None:
        super().__init__()
        height, width, channels = image_shape
        self.way = way
        self.conv = nn.Conv2d(channels, 6, 3, padding=1)
        self.norm = nn.BatchNorm2d(6)
        self.output = nn.Linear(6 * height * width // 4, classes)

    def forward(self, images: Tensor) -> Tensor:
        maps = torch.max_pool2d(self.norm(self.conv(images)).relu(), 2)
        scores: Tensor = self.output(maps.view(len(images), -1) if self.way == "view" else maps.flatten(1))
        return scores


def settings(way: str) -> ModuleSettings:
    return ModuleSettings(kind="module", path=f"{__name__}:Views", arguments={"way": way})


def stats(channels: int) -> ChannelStats:
    return ChannelStats.model_construct(shift=[100.0] * channels, scale=[50.0] * channels, transform_uri="")


def records(way: str, channels: int) -> list[EpochRecord]:
    random = torch.Generator().manual_seed(0)
    pixels = torch.randint(256, (24, 8, 8, channels), dtype=torch.uint8, generator=random)
    labels = torch.randint(3, (24,), generator=random)
    recipe = Recipe(learning_rate=0.05, weight_decay=0.0, momentum=0.9, batch_size=8, epochs=2, batch_seed=0)
    problem = Problem((8, 8, channels), 3, stats(channels), dtype=torch.float64)
    data = TrainingData(pixels, labels, pixels, labels)
    training = start_training("loop", [Trial(settings(way), recipe, 0)], problem, data)
    return [training.train_epoch(epoch)[0] for epoch in (1, 2)]


@pytest.mark.parametrize("channels", [1, 3])
def test_a_network_that_views_its_feature_maps_trains_as_one_that_flattens_them(channels: int) -> None:
    for viewed, flattened in zip(records("view", channels), records("flatten", channels), strict=True):
        numbers = {name: value for name, value in viewed.model_dump().items() if value is not None}
        assert numbers == pytest.approx({name: getattr(flattened, name) for name in numbers})


@pytest.mark.parametrize(("way", "layout"), [("view", torch.contiguous_format), ("flatten", torch.channels_last)])
def test_only_a_network_that_needs_it_keeps_the_slower_layout(way: str, layout: torch.memory_format) -> None:
    classifier = in_its_layout(build_classifier(settings(way), (8, 8, 3), 3, stats(3), 0))
    assert classifier.layout == layout
    assert classifier.network.get_parameter("conv.weight").is_contiguous(memory_format=layout)
    assert classifier.training
