import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_up_manifest import made_up_manifest
from sklearn.metrics import precision_recall_fscore_support

from sanefit.components.foundation.diagnosis.judgement import judge
from sanefit.components.foundation.schemas.final_model import TrainedModel
from sanefit.components.foundation.schemas.images import DatasetReference
from sanefit.components.foundation.schemas.networks import MlpSettings
from sanefit.components.foundation.schemas.runs import Registration
from sanefit.components.foundation.schemas.search import TrialSetting
from sanefit.components.foundation.schemas.statistics import ChannelStats
from sanefit.components.foundation.schemas.training import OptimizerSettings
from sanefit.components.foundation.training.inputs import TrainingInputs
from sanefit.components.model_registry.model_card import model_card


def card_of(confusion: list[list[int]]) -> str:
    classes, images = len(confusion), sum(map(sum, confusion))
    right = sum(row[label] for label, row in enumerate(confusion))
    trained = TrainedModel(
        weights_uri="w",
        setting=TrialSetting(learning_rate=0.0123, weight_decay=1e-4),
        best_epoch=3,
        epochs=[],
        validation_accuracy=0.75,
        test_accuracy=right / images,
        test_loss=1.0,
        test_images=images,
        confusion=confusion,
        validation=judge(confusion),
        test=judge(confusion),
    )
    names = [f"class {label}" for label in range(classes)]
    per_class = {
        split: {name: count if label == 0 else 0 for label, name in enumerate(names)}
        for split, count in (("train", 1200), ("validation", 100), ("test", images))
    }
    manifest = made_up_manifest(per_class, (8, 8, 1))
    stats = ChannelStats(normalization="none", images=1, mean=[0], std=[1], shift=[0], scale=[1], histogram=[])
    dataset = DatasetReference(storage="s", fingerprint="f" * 64)
    inputs = TrainingInputs(dataset, manifest, stats, MlpSettings(kind="mlp"), OptimizerSettings(), 7)
    registration = Registration(
        model_name="pets",
        model_version="4",
        model_uri="models:/pets/4",
        alias="champion",
        test_accuracy=right / images,
        champion_version_before="3",
        reason="better: so and so",
    )
    return model_card(registration, inputs, trained, "monday", 0.031)


def test_a_card_says_how_good_a_version_is_and_what_that_is_worth() -> None:
    card = card_of([[40, 10], [5, 45]])
    assert "Test accuracy 0.8500 (95 % interval 0.7672 to 0.9069) on 100 images" in card
    assert "always the largest class 0.5000" in card
    assert "Expected calibration error 0.0310" in card
    assert "1,200 train, 100 validation, 100 test" in card
    assert "learning_rate 0.0123, weight_decay 0.0001" in card
    assert "Most confused: class 0 called class 1: 10; class 1 called class 0: 5." in card
    assert "better: so and so." in card
    assert 'models:/pets/4"' in card


@given(st.lists(st.lists(st.integers(0, 30), min_size=3, max_size=3), min_size=3, max_size=3))
def test_the_table_holds_scikit_learn_s_figures(confusion: list[list[int]]) -> None:
    confusion[0][0] += 1
    pairs = [(true, named) for true in range(3) for named in range(3) for _ in range(confusion[true][named])]
    labels, predicted = np.array(pairs).T
    expected = precision_recall_fscore_support(labels, predicted, labels=[0, 1, 2], zero_division=0)
    rows = re.findall(r"^\| class \d \| ([\d,]+) \| ([\d.]+) \| ([\d.]+) \| ([\d.]+) \|$", card_of(confusion), re.M)
    for label, (images, *figures) in enumerate(rows):
        assert int(images) == expected[3][label]
        assert [float(figure) for figure in figures] == pytest.approx([one[label] for one in expected[:3]], abs=6e-4)
    assert len(rows) == 3


def test_of_many_classes_the_worst_are_shown_and_the_card_stays_short() -> None:
    classes = 1000
    confusion = (np.eye(classes, dtype=int) * np.arange(1, classes + 1)).tolist()
    confusion[5][6] = 500
    card = card_of(confusion)
    assert "the 30 with the lowest F1 of 1,000" in card
    assert "| class 5 |" in card
    assert len(card) < 5000
