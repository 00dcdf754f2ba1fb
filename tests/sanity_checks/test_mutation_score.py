"""What a mutation score counts; that each fault is caught is the fault zoo's to say."""

import copy
from dataclasses import replace

import pytest
import torch
from said import Said
from torch import Tensor, nn

from sanefit.components.foundation.classifiers.classifier import Classifier
from sanefit.components.foundation.classifiers.input_normalization import InputNormalization
from sanefit.components.foundation.schemas.checks import CheckSettings
from sanefit.components.sanity_checks.mutation import mutation_score as scored
from sanefit.components.sanity_checks.mutation.mutation_score import FAULTS, mutation_score
from sanefit.components.sanity_checks.mutation.planted_fault import PlantedFault
from sanefit.components.sanity_checks.setup import Setup

CLASSES = 3


def sound() -> Setup:
    """Colors that a small perceptron tells apart."""

    def images(seed: int, number: int) -> tuple[Tensor, Tensor]:
        random = torch.Generator().manual_seed(seed)
        labels = torch.arange(number) % CLASSES
        noise = torch.randint(0, 120, (number, 8, 8, 3), generator=random)
        noise[torch.arange(number), :, :, labels] += 90
        return noise.to(torch.uint8), labels

    train, validation = images(0, 240), images(1, 120)
    torch.manual_seed(0)
    layers = nn.Sequential(nn.Flatten(), nn.Linear(192, 16), nn.ReLU(), nn.Linear(16, CLASSES))
    values = train[0].float()
    normalization = InputNormalization(values.mean((0, 1, 2)).tolist(), values.std((0, 1, 2)).tolist())
    return Setup(Classifier(normalization, layers), CLASSES, *train, *validation, batch_size=32)


def softmax(says: str) -> PlantedFault:
    return PlantedFault(
        "softmax", (says,), lambda setup: replace(setup, classifier=nn.Sequential(setup.classifier, nn.Softmax(1)))
    )


def nothing(setup: Setup) -> Setup:
    return setup


def test_a_fault_is_caught_misnamed_missed_or_not_applicable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        scored,
        "FAULTS",
        (
            softmax("softmax stands before"),
            softmax("something else"),
            PlantedFault("none at all", ("anything",), nothing),
            PlantedFault("of batch norm", ("anything",), lambda _: None),
        ),
    )
    said = Said()
    report = mutation_score(sound(), said)
    assert [result.verdict for result in report.planted] == ["caught", "misnamed", "missed", "not applicable"]
    assert report.planted[0].check == "raw_scores"
    assert (report.caught, len(report.applicable)) == (1, 3)
    assert report.mutation_score == pytest.approx(1 / 3)
    assert "mutation score 0.333: 1 of 3 planted faults caught" in said[-1]
    assert "3 of 4, about" in said[2]


def test_an_alarm_of_the_sound_set_up_catches_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scored, "FAULTS", (PlantedFault("none at all", ("too high",), nothing),))
    high = replace(sound(), learning_rates=(1e2, 1e3))
    assert mutation_score(high, Said()).planted[0].verdict == "missed"


def test_a_skipped_check_catches_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        scored, "FAULTS", (PlantedFault("leak", ("leaked",), dict_of_faults()["validation images in training"].plant),)
    )
    assert mutation_score(sound(), Said()).planted[0].verdict == "caught"
    skipping = replace(sound(), thresholds=CheckSettings(skip=("splits_apart",)))
    assert mutation_score(skipping, Said()).planted[0].verdict == "missed"


def dict_of_faults() -> dict[str, PlantedFault]:
    return {fault.name: fault for fault in FAULTS}


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_planting_leaves_the_sound_set_up_as_it_was(fault: PlantedFault) -> None:
    setup = sound()
    before = copy.deepcopy(setup)
    planted = fault.plant(setup)
    assert planted is not setup
    for name, value in before.classifier.state_dict().items():
        assert setup.classifier.state_dict()[name].equal(value)
    assert all(parameter.requires_grad for parameter in setup.classifier.parameters())
    for name in ("train_pixels", "train_labels", "validation_pixels", "validation_labels"):
        assert torch.equal(getattr(setup, name), getattr(before, name))
    assert setup.classifier(setup.train_pixels[:4]).equal(before.classifier(setup.train_pixels[:4]))


def test_faults_have_names_of_their_own() -> None:
    assert len(dict_of_faults()) == len(FAULTS) >= 40
