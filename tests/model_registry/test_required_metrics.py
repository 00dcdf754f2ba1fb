import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from sklearn.metrics import accuracy_score, balanced_accuracy_score, precision_recall_fscore_support

from sanefit.components.foundation.diagnosis.calibration import calibration_error
from sanefit.components.foundation.errors import SettingsError
from sanefit.components.foundation.schemas.registry import RegistrySettings
from sanefit.components.model_registry.required_metrics import (
    measure,
    require_known_classes,
    shortfalls,
)

CLASSES = ["cat", "dog", "fox"]


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2)), min_size=1, max_size=60))
def test_metrics_are_scikit_learn_s(pairs: list[tuple[int, int]]) -> None:
    labels, predicted = (np.array(values) for values in zip(*pairs, strict=True))
    probabilities = np.eye(3, dtype=np.float32)[predicted]
    precision, recall, f1, _ = precision_recall_fscore_support(labels, predicted, labels=[0, 1, 2], zero_division=0)
    for label, name in enumerate(CLASSES):
        found = [measure(f"{kind}.{name}", labels, probabilities, CLASSES) for kind in ("precision", "recall", "f1")]
        assert found == pytest.approx([precision[label], recall[label], f1[label]])
    assert measure("accuracy", labels, probabilities, CLASSES) == pytest.approx(accuracy_score(labels, predicted))
    present = np.isin(predicted, labels)  # scikit-learn warns of others
    if present.all():
        balanced = balanced_accuracy_score(labels, predicted)
        assert measure("balanced_accuracy", labels, probabilities, CLASSES) == pytest.approx(balanced)


@given(st.lists(st.tuples(st.booleans(), st.floats(0, 1, width=32)), min_size=1, max_size=80))
def test_the_calibration_error_is_the_mean_gap_of_its_bins(answers: list[tuple[bool, float]]) -> None:
    right, confidence = (np.array(values) for values in zip(*answers, strict=True))
    bins: dict[int, list[tuple[bool, float]]] = {}
    for one, sure in zip(right, confidence.astype(np.float32), strict=True):
        bins.setdefault(min(int(sure * np.float32(15)), 14), []).append((one, float(sure)))
    expected = sum(abs(sum(one for one, _ in bin_) - sum(sure for _, sure in bin_)) for bin_ in bins.values())
    found = calibration_error(right, confidence.astype(np.float32))
    assert found == pytest.approx(expected / len(answers), abs=1e-6)


def test_what_falls_short_is_said_with_its_numbers() -> None:
    labels = np.array([0, 0, 1, 2])
    probabilities = np.array([[1, 0, 0], [0, 1, 0], [0, 1, 0], [0, 0, 1]], dtype=np.float32)
    wanted = {"recall.cat": 0.5, "recall.dog": 1.0, "accuracy": 0.8, "calibration_error": 0.2}
    assert shortfalls(wanted, labels, probabilities, CLASSES) == [
        "accuracy 0.7500, expected at least 0.8",
        "calibration_error 0.2500, expected at most 0.2",
    ]


@pytest.mark.parametrize("settings", [{"metric": "recall.owl"}, {"require": {"f1.owl": 0.5}}])
def test_a_class_that_there_is_not_is_told(settings: dict[str, object]) -> None:
    with pytest.raises(SettingsError, match=r"there is no class 'owl'; expected one of cat, dog, fox; correct it"):
        require_known_classes(RegistrySettings.model_validate(settings), CLASSES)


@pytest.mark.parametrize("name", ["recal.cat", "recall", "recall.", "loss", ""])
def test_what_is_not_measured_cannot_be_required(name: str) -> None:
    with pytest.raises(ValidationError, match="expected accuracy, balanced_accuracy"):
        RegistrySettings(require={name: 0.5})
