"""The epochs in which only the new part of a pretrained network is trained, and those after them."""

import copy
from collections import OrderedDict
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional

from sanefit.components.foundation.classifiers.classifier import Classifier
from sanefit.components.foundation.classifiers.input_normalization import InputNormalization
from sanefit.components.foundation.errors import SettingsError
from sanefit.components.foundation.schemas.training import OptimizerKind
from sanefit.components.foundation.training.loop.frozen_part import NewPart, features_of, new_part
from sanefit.components.foundation.training.loop.recipe import Recipe
from sanefit.components.foundation.training.loop.training import Training
from sanefit.components.foundation.training.loop.training_data import TrainingData
from sanefit.components.foundation.training.loop.training_options import TrainingOptions

EPOCHS, IMAGES, CLASSES = 4, 50, 3
RECIPE = Recipe(
    learning_rate=0.05, weight_decay=0.1, momentum=0.9, batch_size=16, epochs=EPOCHS, batch_seed=1, freeze_epochs=2
)


class EndsWithPooling(nn.Module):
    """A network of which no layer's output is its scores."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Conv2d(1, 4, 3)
        self.output = nn.Conv2d(4, CLASSES, 1)

    def forward(self, images: Tensor) -> Tensor:
        return self.output(functional.relu(self.features(images))).mean((2, 3))


def network() -> nn.Module:
    return nn.Sequential(
        OrderedDict(
            conv=nn.Conv2d(1, 4, 3, bias=False),
            norm=nn.BatchNorm2d(4),
            activation=nn.ReLU(),
            flatten=nn.Flatten(),
            dropout=nn.Dropout(0.5),
            output=nn.Linear(4 * 36, CLASSES),
        )
    )


def classifier(made: nn.Module | None = None, new: tuple[str, ...] = ("output.",)) -> Classifier:
    """Whose weights are pretrained but for those whose names begin so."""
    torch.manual_seed(0)
    made = made or network()
    pretrained = frozenset(name for name in made.state_dict() if not name.startswith(new))
    return Classifier(InputNormalization([120.0], [60.0]), made, pretrained).double()


def data() -> TrainingData:
    random = torch.Generator().manual_seed(0)
    pixels = torch.randint(256, (IMAGES, 8, 8, 1), generator=random, dtype=torch.uint8)
    labels = torch.randint(CLASSES, (IMAGES,), generator=random)
    return TrainingData(pixels, labels, pixels[:20], labels[:20])


def with_its_features(given: TrainingData, classifier: Classifier) -> TrainingData:
    train, validation = (
        torch.cat(list(features_of(classifier, "output", pixels)))
        for pixels in (given.train_pixels, given.validation_pixels)
    )
    return replace(given, train_features=train, validation_features=validation)


def trained(recipe: Recipe, given: TrainingData, epochs: int = EPOCHS, averaging: float = 0.0) -> Training:
    training = Training(classifier(), given, recipe, TrainingOptions(weight_averaging=averaging))
    for epoch in range(1, epochs + 1):
        training.train_epoch(epoch)
    return training


def values(training: Training) -> dict[str, Tensor]:
    return dict(training.classifier.network.state_dict())


def test_the_new_part_is_what_the_weights_did_not_give() -> None:
    assert new_part(classifier(), data().train_pixels) == NewPart(frozenset({"output.weight", "output.bias"}), "output")


def test_of_a_network_that_was_given_whole_it_is_the_output_layer() -> None:
    assert new_part(classifier(new=("nothing",)), data().train_pixels).head == "output"


def test_a_part_that_is_not_the_end_of_the_network_has_no_head() -> None:
    found = new_part(classifier(new=("conv.", "output.")), data().train_pixels)
    assert found == NewPart(frozenset({"conv.weight", "output.weight", "output.bias"}), "")
    assert new_part(classifier(EndsWithPooling()), data().train_pixels).head == ""


def test_a_network_without_anything_to_train_is_refused() -> None:
    with pytest.raises(SettingsError, match=r"optimizer.freeze_epochs: .* expected something to train"):
        new_part(classifier(EndsWithPooling(), new=("nothing",)), data().train_pixels)


@pytest.mark.parametrize("optimizer", ["sgd", "adam", "adamw"])
@pytest.mark.parametrize("averaging", [0.0, 0.9])
def test_features_train_as_the_images_do(optimizer: OptimizerKind, averaging: float) -> None:
    recipe = replace(RECIPE, optimizer=optimizer, learning_rate=0.01)
    images, features = data(), with_its_features(data(), classifier())
    for epochs in (1, EPOCHS):
        slow, fast = (trained(recipe, given, epochs, averaging) for given in (images, features))
        for name, value in values(slow).items():
            torch.testing.assert_close(values(fast)[name], value, rtol=1e-9, atol=1e-12)
        assert fast.phase.head == ("output" if epochs == 1 else "")


def test_the_records_of_frozen_epochs_are_those_of_the_images() -> None:
    slow, fast = (Training(classifier(), given, RECIPE) for given in (data(), with_its_features(data(), classifier())))
    for epoch in range(1, EPOCHS + 1):
        one, other = (one_of.train_epoch(epoch).model_dump(exclude_none=True) for one_of in (slow, fast))
        assert one == pytest.approx(other, rel=1e-9)


@pytest.mark.parametrize("given", [data(), with_its_features(data(), classifier())], ids=["images", "features"])
def test_only_the_head_changes_until_the_rest_is_trained_too(given: TrainingData) -> None:
    before = copy.deepcopy(classifier().network.state_dict())
    frozen = values(trained(RECIPE, given, epochs=2))
    assert {name for name in before if not torch.equal(before[name], frozen[name])} == {"output.weight", "output.bias"}
    after = values(trained(RECIPE, given, epochs=3))
    assert {name for name in before if torch.equal(before[name], after[name])} == set()


def test_the_loss_goes_on_evenly_when_the_rest_is_trained_too() -> None:
    training = Training(classifier(), data(), replace(RECIPE, learning_rate=1e-6, weight_decay=6.0))
    losses = [training.train_epoch(epoch).train_loss or 0.0 for epoch in range(1, EPOCHS + 1)]
    assert losses[1] > 5, "nearly all of it the penalty, of frozen weights, too"
    assert losses[2] == pytest.approx(losses[1], rel=0.2)


def test_pretrained_weights_move_by_their_share_of_the_rate() -> None:
    recipe = replace(RECIPE, freeze_epochs=0, momentum=0.0, weight_decay=0.0)
    before, moved = dict(classifier().network.state_dict()), {}
    for rate in (1.0, 0.25):
        training = Training(classifier(), data(), replace(recipe, backbone_rate=rate))
        training.step(torch.arange(16), recipe.learning_rate)
        moved[rate] = {name: values(training)[name] - before[name] for name in before if "running" not in name}
    for name in ("conv.weight", "norm.weight", "norm.bias"):
        torch.testing.assert_close(moved[0.25][name], 0.25 * moved[1.0][name])
    for name in ("output.weight", "output.bias"):
        torch.testing.assert_close(moved[0.25][name], moved[1.0][name])


@settings(deadline=None, max_examples=25)
@given(
    freeze_epochs=st.integers(0, EPOCHS + 1),
    stop=st.integers(1, 4 * EPOCHS),
    optimizer=st.sampled_from(["sgd", "adam", "adamw"]),
    has_features=st.booleans(),
    backbone_rate=st.sampled_from([1.0, 0.1]),
)
def test_a_training_goes_on_where_it_was_to_the_last_bit(
    freeze_epochs: int, stop: int, optimizer: OptimizerKind, has_features: bool, backbone_rate: float
) -> None:
    recipe = replace(
        RECIPE, freeze_epochs=freeze_epochs, optimizer=optimizer, learning_rate=0.01, backbone_rate=backbone_rate
    )
    given = with_its_features(data(), classifier()) if has_features else data()
    kept = []
    first = Training(classifier(), given, recipe, TrainingOptions(weight_averaging=0.9))
    steps = 0

    def keep() -> None:
        nonlocal steps
        steps += 1
        if steps == stop:
            kept.append(first.state())

    for epoch in range(1, EPOCHS + 1):
        first.train_epoch(epoch, keep)
    [state] = kept
    again = Training(classifier(), given, recipe, TrainingOptions(weight_averaging=0.9), state=state)
    for epoch in range(again.epochs + 1, EPOCHS + 1):
        again.train_epoch(epoch)
    for name, value in values(first).items():
        assert torch.equal(values(again)[name], value), name
    assert all(torch.equal(value, again.state().averaged[name]) for name, value in first.state().averaged.items())


@pytest.mark.parametrize("freeze_epochs", [1, 2])
def test_between_two_epochs_it_goes_on_too(freeze_epochs: int) -> None:
    recipe = replace(RECIPE, freeze_epochs=freeze_epochs, optimizer="adam")
    first = Training(classifier(), data(), recipe)
    for epoch in range(1, EPOCHS + 1):
        again = Training(classifier(), data(), recipe, state=first.state() if epoch > 1 else None)
        first.train_epoch(epoch)
        again.train_epoch(epoch)
        for name, value in values(first).items():
            assert torch.equal(values(again)[name], value), (epoch, name)
