"""Curves with a known illness, and curves that have none."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sanefit.components.foundation.diagnosis.curve_diagnosis import diagnose
from sanefit.components.foundation.schemas.training import EpochRecord

START = math.log(10)


def curve(
    train: list[float | None],
    validation: list[float | None] | None = None,
    accuracy: list[float] | None = None,
    validation_accuracy: list[float] | None = None,
    rates: list[float] | None = None,
) -> list[EpochRecord]:
    """Accuracies follow the losses when they are not given."""

    def follow(losses: list[float | None]) -> list[float]:
        return [0.0 if loss is None else max(0.1, min(1.0, 1 - loss / START * 0.9)) for loss in losses]

    validation = validation or train
    accuracy = accuracy or follow(train)
    validation_accuracy = validation_accuracy or (follow(validation) if validation is not train else accuracy)
    return [
        EpochRecord(
            epoch=number + 1,
            learning_rate=rates[number] if rates else 1e-3,
            train_loss=loss,
            train_accuracy=accuracy[number],
            validation_loss=validation[number],
            validation_accuracy=validation_accuracy[number],
        )
        for number, loss in enumerate(train)
    ]


def falling(epochs: int, to: float = 0.3, speed: float = 0.3) -> list[float | None]:
    return [to + (START - to) * math.exp(-speed * n) for n in range(epochs)]


def kinds(epochs: list[EpochRecord]) -> list[str]:
    return [diagnosis.kind for diagnosis in diagnose(epochs)]


@given(epochs=st.integers(10, 60), to=st.floats(0.05, 1.0), speed=st.floats(0.3, 1.0), noise=st.integers(0, 2**31))
def test_a_curve_that_falls_and_levels_off_is_healthy(epochs: int, to: float, speed: float, noise: int) -> None:
    shaken = np.random.default_rng(noise).normal(1, 0.002, epochs)
    losses: list[float | None] = [loss * s for loss, s in zip(falling(epochs, to, speed), shaken, strict=True) if loss]
    assert kinds(curve(losses)) == ["healthy"]


def mixed(epochs: list[EpochRecord], noise: int) -> list[EpochRecord]:
    """As with mixup: the training loss is higher, and jumps with the shares that were drawn; accuracy is lower."""
    shares = np.random.default_rng(noise).uniform(0.1, 0.6, len(epochs))
    return [
        record.model_copy(
            update={
                "train_loss": (record.train_loss or 0.0) + START * share,
                "train_accuracy": record.train_accuracy * (1 - share),
                "mixed_images": True,
            }
        )
        for record, share in zip(epochs, shares, strict=True)
    ]


@given(epochs=st.integers(10, 60), noise=st.integers(0, 2**31))
def test_a_training_loss_of_mixed_images_may_jump(epochs: int, noise: int) -> None:
    shaken = mixed(curve(falling(epochs, speed=0.5)), noise)
    shaken[0] = shaken[0].model_copy(update={"train_loss": 2 * START})  # so that it does not rise on the whole
    assert kinds(shaken) == ["healthy"]
    alike = [record.model_copy(update={"mixed_images": False}) for record in shaken]
    assert kinds(alike) != ["healthy"]


def test_of_mixed_images_validation_says_whether_training_is_finished_and_when_it_turned() -> None:
    unfinished = [START - 0.15 * n for n in range(10)]
    assert "underfitting" in kinds(mixed(curve(unfinished), 0))
    turns: list[float | None] = [*falling(8), 0.9, 1.4]
    records = mixed(curve(falling(10, 0.01), turns), 0)
    records[-1] = records[-1].model_copy(update={"train_loss": 0.0})
    assert "overfitting" in kinds(records)


@pytest.mark.parametrize("epoch", range(1, 6))
def test_a_loss_that_is_not_finite_has_exploded(epoch: int) -> None:
    losses = [*falling(5)[: epoch - 1], None]
    [diagnosis] = diagnose(curve(losses))
    assert diagnosis.kind == "exploded"
    assert f"epoch {epoch}" in diagnosis.evidence
    assert "1.0e-03" in diagnosis.evidence
    assert "lower the learning rate" in diagnosis.fix


def test_the_lectures_rate_of_a_millionth_is_too_low_though_accuracy_rises() -> None:
    losses: list[float | None] = [2.302576, 2.302582, 2.302558, 2.302519, 2.302517, 2.302518, 2.302466, 2.302452]
    accuracy = [0.08, 0.121, 0.119, 0.127, 0.158, 0.179, 0.18, 0.175]
    [diagnosis] = diagnose(curve(losses, accuracy=accuracy))
    assert diagnosis.kind == "rate_too_low"
    assert "all in the right direction" in diagnosis.words
    assert "0.080 to 0.180" in diagnosis.evidence


def test_an_accuracy_that_stays_needs_no_explanation() -> None:
    [diagnosis] = diagnose(curve([2.3026] * 8, accuracy=[0.1] * 8))
    assert diagnosis.kind == "rate_too_low"
    assert "right direction" not in diagnosis.words


def test_a_loss_that_rises_comes_from_too_high_a_rate() -> None:
    assert kinds(curve([2.3, 2.5, 2.9, 3.8, 5.0]))[0] == "rate_too_high"


def test_a_loss_that_jumps_comes_from_too_high_a_rate() -> None:
    losses: list[float | None] = [2.3, 1.5, 1.9, 1.4, 2.0, 1.5, 1.9, 1.3, 1.8, 1.4]
    assert kinds(curve(losses))[0] == "rate_too_high"


def test_flat_and_then_falling_is_a_bad_initialization() -> None:
    losses: list[float | None] = [START] * 8 + [START * math.exp(-0.4 * n) + 0.1 for n in range(1, 12)]
    diagnosis = diagnose(curve(losses))[0]
    assert diagnosis.kind == "plateau_then_fall"
    assert "8 epochs" in diagnosis.evidence
    assert "network.init" in diagnosis.fix


def test_validation_that_turns_is_overfitting() -> None:
    train = falling(20, to=0.05)
    validation: list[float | None] = [0.9 + (START - 0.9) * math.exp(-0.5 * n) + 0.002 * n * n for n in range(20)]
    diagnosis = diagnose(curve(train, validation))[0]
    assert diagnosis.kind == "overfitting"
    assert "validation loss lowest in epoch" in diagnosis.evidence


def test_an_accuracy_gap_is_overfitting() -> None:
    assert kinds(curve(falling(20), falling(20, to=0.9)))[0] == "overfitting"


def test_a_loss_that_falls_as_fast_at_the_end_is_not_finished() -> None:
    losses: list[float | None] = [2.3 - 0.05 * n for n in range(20)]
    diagnosis = diagnose(curve(losses))[0]
    assert diagnosis.kind == "underfitting"
    assert "more epochs" in diagnosis.fix


def test_a_rise_is_explained_by_the_schedule_that_made_it() -> None:
    train: list[float | None] = [2.3, 1.5, 1.1, 0.9, 1.3, 1.0, 0.8, 0.7, 0.65, 0.62]
    rates = [1e-3, 1e-3, 1e-3, 1e-3, 1e-2, 1e-2, 1e-2, 1e-2, 1e-2, 1e-2]
    rise = next(d for d in diagnose(curve(train, rates=rates)) if d.kind == "rise")
    assert "epoch 5; likely: the schedule raised the rate from 1.0e-03 to 1.0e-02" in rise.words


def test_a_rise_that_validation_does_not_share_may_be_the_order_of_the_data() -> None:
    train: list[float | None] = [2.3, 1.5, 1.1, 0.9, 1.0, 0.8, 0.7, 0.6, 0.55, 0.5]
    validation: list[float | None] = [2.3, 1.5, 1.1, 0.95, 0.93, 0.85, 0.75, 0.7, 0.65, 0.6]
    rise = next(d for d in diagnose(curve(train, validation)) if d.kind == "rise")
    assert "the order of the data" in rise.words


@pytest.mark.parametrize("epochs", [1, 2])
def test_two_epochs_are_no_curve(epochs: int) -> None:
    assert kinds(curve(falling(epochs))) == ["too_short"]


@given(st.lists(st.one_of(st.none(), st.floats(0, 1e30)), min_size=1, max_size=40))
def test_every_curve_gets_a_diagnosis_with_evidence(losses: list[float | None]) -> None:
    found = diagnose(curve(losses))
    assert found
    assert all(diagnosis.words and diagnosis.evidence for diagnosis in found)
    assert all(bool(d.fix) == (d.kind not in ("healthy", "too_short")) for d in found)
