"""What is measured of images, beside loops over their pixels."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image

from sanefit.components.model_registry.drift.image_sample import (
    SCORES,
    image_statistics,
    joined,
    sample_of,
    scores_of,
    statistic_names,
)

SIDES = st.integers(1, 6)
PIXELS = st.tuples(st.integers(1, 4), SIDES, SIDES, st.sampled_from([1, 3])).flatmap(lambda s: arrays(np.uint8, s))


def measured(image: np.ndarray) -> list[float]:
    """Of one image, pixel by pixel."""
    colored = image.shape[2] == 3
    weights = (0.299, 0.587, 0.114) if colored else (1.0,)
    gray = [[sum(w * float(v) for w, v in zip(weights, pixel, strict=True)) for pixel in row] for row in image]
    height, width = len(gray), len(gray[0])
    values = [value for row in gray for value in row]
    mean = sum(values) / len(values)
    contrast = (sum((value - mean) ** 2 for value in values) / len(values)) ** 0.5
    changes = [abs(gray[y + 1][x] - gray[y][x]) for y in range(height - 1) for x in range(width)]
    changes += [abs(gray[y][x + 1] - gray[y][x]) for y in range(height) for x in range(width - 1)]
    change = sum(changes) / len(changes) if changes else 0.0
    channels = [sum(float(pixel[c]) for row in image for pixel in row) / (height * width) for c in range(3 * colored)]
    return [*channels, mean, contrast, change / contrast if contrast > 1e-3 else 0.0]


@settings(max_examples=60)
@given(PIXELS)
def test_statistics_are_those_of_the_pixels(pixels: np.ndarray) -> None:
    found = image_statistics(pixels)
    assert found.shape == (len(pixels), len(statistic_names(pixels.shape[3])))
    for image, numbers in zip(pixels, found, strict=True):
        expected = measured(image)
        assert numbers[:-1] == pytest.approx(expected[:-1], abs=1e-3)
        if expected[-2] > 0.1:
            assert numbers[-1] == pytest.approx(expected[-1], rel=1e-3, abs=1e-4)


def test_a_blurred_image_is_less_sharp_whatever_its_contrast() -> None:
    random = np.random.default_rng(0)
    sharp = random.integers(0, 256, (1, 32, 32, 3), dtype=np.uint8)
    blurred = np.asarray(Image.fromarray(sharp[0]).resize((8, 8)).resize((32, 32)))[np.newaxis]
    dim = sharp // 2
    numbers = image_statistics(np.concatenate([sharp, blurred, dim]))[:, -1]
    assert numbers[1] < 0.7 * numbers[0]
    assert numbers[2] == pytest.approx(numbers[0], rel=0.01)


@given(arrays(np.float64, (3, 7), elements=st.floats(-5, 5)), st.floats(-3, 3))
def test_scores_are_a_network_s_but_for_their_mean(scores: np.ndarray, added: float) -> None:
    probabilities = np.exp(scores + added)
    probabilities /= probabilities.sum(axis=1, keepdims=True)
    expected = scores - scores.mean(axis=1, keepdims=True)
    assert scores_of(probabilities.astype(np.float32)) == pytest.approx(expected, abs=1e-3)


@pytest.mark.parametrize("classes", [65, 1000])
def test_many_classes_are_few_scores(classes: int) -> None:
    probabilities = np.full((2, classes), 0.1 / (classes - 2), dtype=np.float32)
    probabilities[:, [3, classes - 1]] = 0.6, 0.3
    found = scores_of(probabilities)
    assert found.shape == (2, SCORES)
    assert found[0].argsort()[-2:].tolist() == [(classes - 1) % SCORES, 3]


def test_probabilities_of_0_are_finite() -> None:
    assert np.isfinite(scores_of(np.array([[1, 0, 0]], dtype=np.float32))).all()


@given(st.integers(1, 9))
def test_parts_make_the_whole(cut: int) -> None:
    random = np.random.default_rng(cut)
    statistics, probabilities = random.random((10, 3), dtype=np.float32), random.random((10, 4), dtype=np.float32)
    whole = sample_of(statistics, probabilities)
    parts = joined([sample_of(statistics[part], probabilities[part]) for part in (slice(cut), slice(cut, None))])
    for name, values in vars(whole).items():
        assert np.array_equal(values, vars(parts)[name]), name
    assert whole.class_counts.tolist() == [int((probabilities.argmax(axis=1) == label).sum()) for label in range(4)]
