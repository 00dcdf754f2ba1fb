"""Intervals and baselines beside an accuracy."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest
from sklearn.metrics import balanced_accuracy_score, confusion_matrix

from sanefit.components.foundation.diagnosis.judgement import in_words, judge, wilson_interval


@given(st.integers(1, 3000), st.floats(0, 1), st.sampled_from([0.8, 0.95, 0.99]))
def test_the_interval_is_scipy_s(images: int, share: float, confidence: float) -> None:
    right = round(share * images)
    expected = binomtest(right, images).proportion_ci(confidence, method="wilson")
    assert wilson_interval(right, images, confidence) == pytest.approx((expected.low, expected.high), abs=1e-9)


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=60))
def test_balanced_accuracy_is_scikit_learn_s(pairs: list[tuple[int, int]]) -> None:
    labels, predicted = np.array(pairs).T
    found = judge(confusion_matrix(labels, predicted, labels=range(4)).tolist())
    present = np.isin(predicted, labels)  # scikit-learn warns of classes that are named and not there
    if present.all():
        assert found.balanced_accuracy == pytest.approx(balanced_accuracy_score(labels, predicted))
    assert found.majority_accuracy == np.bincount(labels).max() / len(labels)


def test_a_model_that_names_one_class_is_known() -> None:
    assert judge([[0, 90], [0, 10]]).only_class_named == 1
    assert judge([[1, 89], [0, 10]]).only_class_named is None
    assert judge([[0, 0], [0, 10]]).only_class_named is None  # there was nothing else to name


def test_in_words() -> None:
    words = in_words(0.9, judge([[90, 0], [10, 0]]))
    assert words == "0.9000 (95 % interval 0.8256 to 0.9448; balanced 0.5000; always the largest class 0.9000)"
