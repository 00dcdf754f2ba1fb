"""A network that cannot be registered is refused before it is searched and trained for hours."""

import pytest
import torch
from torch import Tensor, nn

from sanefit.components.foundation.classifiers.classifier import Classifier
from sanefit.components.foundation.errors import SettingsError
from sanefit.components.sanity_checks.exportable import require_exportable

SHAPE = (6, 6, 1)


class Branching(nn.Module):
    """Decides by a value which way to go."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(36, 3)

    def forward(self, images: Tensor) -> Tensor:
        scores: Tensor = self.layer(images.flatten(1))
        return scores if scores.sum() > 0 else -scores


class Choosing(Branching):
    """The same with torch.where."""

    def forward(self, images: Tensor) -> Tensor:
        scores = self.layer(images.flatten(1))
        return torch.where(scores.sum() > 0, scores, -scores)


class Normalization(nn.Module):
    def forward(self, pixels: Tensor) -> Tensor:
        return pixels.permute(0, 3, 1, 2).float() / 255


def test_a_network_that_decides_by_values_is_refused_with_the_way_out(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SettingsError) as caught:
        require_exportable(Classifier(Normalization(), Branching()), SHAPE, "network.path='mine:Net'")
    said = str(caught.value)
    assert said.startswith("network.path='mine:Net' cannot be exported (")
    assert "use torch.where, or torch.cond" in said
    assert len(said) < 600
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("training", [True, False])
def test_one_that_does_not_is_not_and_stays_as_it_was(training: bool) -> None:
    classifier = Classifier(Normalization(), Choosing()).train(training)
    before = {name: value.clone() for name, value in classifier.state_dict().items()}
    require_exportable(classifier, SHAPE, "it")
    assert classifier.training == training
    assert all(torch.equal(value, before[name]) for name, value in classifier.state_dict().items())
