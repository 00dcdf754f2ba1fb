"""Confident learning beside cleanlab, its authors' library, and beside a slow obvious version."""

from collections.abc import Iterator

import numpy as np
import pytest
from cleanlab.count import get_confident_thresholds, num_label_issues
from cleanlab.filter import find_label_issues
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from sanefit.components.final_training.confident_learning import (
    Batch,
    JudgedLabels,
    class_thresholds,
    judge_labels,
)

Labels, Probabilities = NDArray[np.int64], NDArray[np.float32]


def batches(labels: Labels, probabilities: Probabilities, size: int = 7) -> Iterator[Batch]:
    for start in range(0, len(labels), size):
        yield labels[start : start + size], probabilities[start : start + size]


def judged(labels: Labels, probabilities: Probabilities, size: int = 7) -> JudgedLabels:
    thresholds = class_thresholds(batches(labels, probabilities, size), probabilities.shape[1])
    return judge_labels(batches(labels, probabilities, size), thresholds)


def noisy(seed: int, images: int, classes: int, sharpness: float, wrong: float) -> tuple[Labels, Probabilities]:
    """A model that is mostly right, of labels of which a share is wrong; every class has some."""
    random = np.random.default_rng(seed)
    truth = np.concatenate([np.arange(classes), random.integers(0, classes, images - classes)])
    scores = random.normal(size=(images, classes))
    scores[np.arange(images), truth] += sharpness
    labels = np.where(random.random(images) < wrong, random.integers(0, classes, images), truth)
    labels[:classes] = np.arange(classes)
    probabilities = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
    return labels.astype(np.int64), probabilities.astype(np.float32)


CASES = st.builds(
    noisy,
    st.integers(0, 10_000),
    st.integers(20, 200),
    st.integers(2, 8),
    st.floats(0, 6),
    st.floats(0, 0.5),
)


@settings(max_examples=60)
@given(CASES)
def test_thresholds_and_suspects_are_those_of_cleanlab(case: tuple[Labels, Probabilities]) -> None:
    labels, probabilities = case
    exact = probabilities.astype(np.float64)
    thresholds = class_thresholds(batches(labels, probabilities), probabilities.shape[1])
    np.testing.assert_allclose(thresholds, get_confident_thresholds(labels, exact), rtol=1e-5)
    found = judged(labels, probabilities)
    # Of several classes that an image is given with confidence, the paper takes the most probable; cleanlab the most
    # probable of all classes, which may be another.
    confident = exact >= thresholds - 1e-6
    differ = (confident.sum(axis=1) > 1) & ~confident[np.arange(len(labels)), exact.argmax(axis=1)]
    theirs_count = num_label_issues(labels, exact, estimation_method="off_diagonal")
    assert 0 <= theirs_count - found.errors <= differ.sum()
    theirs = find_label_issues(
        labels, exact, filter_by="low_self_confidence", return_indices_ranked_by="self_confidence", n_jobs=1
    )
    ours = found.suspects(labels).tolist()
    agreed = [number for number in theirs if exact[number].argmax() != labels[number]]
    both = min(len(ours), len(agreed))
    assert ours[:both] == agreed[:both]


def slowly(labels: list[int], probabilities: list[list[float]]) -> tuple[list[int], int]:
    """The paper's words, one image after another."""
    classes = range(len(probabilities[0]))
    threshold = {}
    for one in classes:
        own = [row[one] for row, label in zip(probabilities, labels, strict=True) if label == one]
        threshold[one] = sum(own) / len(own) if own else float("inf")
    errors, suspected = 0, []
    for number, (row, label) in enumerate(zip(probabilities, labels, strict=True)):
        most_probable = max(classes, key=row.__getitem__)
        sure = [one for one in classes if row[one] >= threshold[one] - 1e-6]
        if most_probable != label:
            suspected.append(number)
            errors += bool(sure) and max(sure, key=row.__getitem__) != label
    suspected.sort(key=lambda number: probabilities[number][labels[number]])
    return suspected[:errors], errors


@given(CASES, st.integers(1, 50))
def test_it_is_what_the_paper_says_however_it_is_cut_into_batches(
    case: tuple[Labels, Probabilities], size: int
) -> None:
    labels, probabilities = case
    found = judged(labels, probabilities, size)
    suspected, errors = slowly(labels.tolist(), probabilities.tolist())
    assert (found.suspects(labels).tolist(), found.errors) == (suspected, errors)
    np.testing.assert_array_equal(found.named, probabilities.argmax(axis=1))


@given(st.integers(0, 1000), st.integers(3, 6))
def test_labels_that_a_sure_model_contradicts_come_first(seed: int, classes: int) -> None:
    labels, probabilities = noisy(seed, 300, classes, 12.0, 0.0)
    wrong = np.random.default_rng(seed).choice(np.arange(classes, 300), 10, replace=False)
    labels[wrong] = (labels[wrong] + 1) % classes
    found = judged(labels, probabilities)
    assert found.errors > 0
    assert set(found.suspects(labels)[:10].tolist()) <= set(wrong.tolist())


@pytest.mark.parametrize("classes", [2, 5])
def test_a_class_without_an_image_is_suggested_to_nobody_and_nothing_is_wrong_with_no_image(classes: int) -> None:
    labels, probabilities = np.zeros(9, dtype=np.int64), np.full((9, classes), 1 / classes, dtype=np.float32)
    assert np.isinf(class_thresholds(batches(labels, probabilities), classes)[1:]).all()
    assert judged(labels, probabilities).errors == 0
    nothing = judge_labels([], np.ones(classes))
    assert (len(nothing.own), nothing.errors) == (0, 0)
    assert nothing.suspects(np.empty(0, dtype=np.int64)).tolist() == []
