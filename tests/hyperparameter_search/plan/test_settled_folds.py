"""Cross-validation by itself, where the validation split is too small to tell settings apart."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_up_manifest import made_up_manifest
from numpy.typing import NDArray
from said import Said
from scipy.stats import norm

from sanefit.components.foundation.errors import SettingsError
from sanefit.components.foundation.image_dataset.shards import BUNDLE, LABEL
from sanefit.components.foundation.schemas.images import Manifest
from sanefit.components.foundation.schemas.search import SearchSettings
from sanefit.components.hyperparameter_search.plan.settled_folds import half_interval, settle_folds

CLASSES = ["cat", "dog"]


def manifest_of(train: int, validation: tuple[int, int]) -> Manifest:
    per_class = {
        "train": dict.fromkeys(CLASSES, train),
        "validation": dict(zip(CLASSES, validation, strict=True)),
        "test": dict.fromkeys(CLASSES, 1),
    }
    return made_up_manifest(per_class, (8, 8, 3))


def index_of(train: int, bundle_size: int = 1) -> NDArray[np.int64]:
    """As many images of each class, so many of them together."""
    index = np.zeros((2 * train, 4), dtype=np.int64)
    index[:, LABEL] = np.arange(2 * train) % 2
    index[:, BUNDLE] = np.arange(2 * train) // (2 * bundle_size)
    return index


def settled(
    validation: tuple[int, int], said: Said, *, train: int = 200, bundle_size: int = 1, **search: object
) -> int:
    manifest, index = manifest_of(train, validation), index_of(train, bundle_size)
    return settle_folds(SearchSettings.model_validate(search), manifest, index, said)


def test_few_validation_images_are_cross_validated_and_the_log_says_why() -> None:
    said = Said()
    assert settled((30, 30), said) == 5
    assert said == [
        "with 60 validation images, the 95 % interval is up to ±13 points, too wide to choose settings by: each trial "
        "is validated on 5 parts of the training split in turn (±5); search.folds=1 turns this off"
    ]


def test_enough_validation_images_judge_alone_and_nothing_is_said() -> None:
    said = Said()
    assert settled((50, 50), said) == 1
    assert said == []


def test_what_is_set_is_done_and_its_price_said() -> None:
    said = Said()
    assert settled((30, 30), said, folds=1) == 1
    assert "ranked by chance" in said[0]
    assert "search.folds=5" in said[0]
    assert settled((30, 30), said, folds=3) == settled((500, 500), said, folds=3) == 3
    assert len(said) == 1


def test_of_a_recall_the_images_of_its_class_count() -> None:
    said = Said()
    assert settled((1000, 90), said, metric="recall.dog") == 5
    assert "with 90 validation images of class 'dog', the 95 % interval is up to ±10 points" in said[0]
    assert settled((1000, 90), said, metric="recall.cat") == 1


def test_a_class_without_validation_images_is_measured_by_folds_or_refused() -> None:
    assert settled((1000, 0), Said(), metric="recall.dog") == 5
    with pytest.raises(SettingsError, match=r"search.metric=recall.dog: no validation images of class 'dog'"):
        settled((1000, 0), Said(), metric="recall.dog", folds=1)
    with pytest.raises(SettingsError, match=r"no validation images of class 'dog'"):
        settled((1000, 0), Said(), metric="recall.dog", bundle_size=200)


def test_no_more_folds_than_training_images_that_stand_apart() -> None:
    said = Said()
    assert settled((30, 30), said, train=100, bundle_size=25, folds=10) == 4
    assert said == ["warning: search.folds=10, but only 4 training images are independent of each other"]
    assert settled((5, 5), said, train=100, bundle_size=100) == 1


@given(st.integers(1, 10**6))
def test_the_interval_is_that_of_a_share_of_one_half(images: int) -> None:
    low, high = norm.interval(0.95, loc=0.5, scale=(0.25 / images) ** 0.5)
    assert half_interval(images) == pytest.approx(min(100, 50 * (high - low)), rel=1e-9)
