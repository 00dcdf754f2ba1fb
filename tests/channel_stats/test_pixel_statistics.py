"""The mean image and whitening, against numpy on all values at once."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from said import Said

from sanefit.components.channel_stats.channel_stats import measure_channel_stats
from sanefit.components.channel_stats.pixel_statistics import mean_image, whitening
from sanefit.components.foundation.classifiers.classifier import ProbabilityModel, build_classifier
from sanefit.components.foundation.classifiers.pixel_normalization import PixelNormalization
from sanefit.components.foundation.errors import SettingsError
from sanefit.components.foundation.image_dataset.pixel_transform import PixelTransform, read_transform
from sanefit.components.foundation.image_dataset.shards import read_split
from sanefit.components.foundation.schemas.images import DatasetReference
from sanefit.components.foundation.schemas.networks import ConvNetSettings
from sanefit.components.foundation.schemas.statistics import StatsSettings
from sanefit.pipeline.settings.run_config import DEFAULT_CONFIG, load_config

pytestmark = pytest.mark.slow

Pixels = NDArray[np.uint8]
SHAPE = (3, 4, 2)


def images(count: int, seed: int = 0) -> Pixels:
    random = np.random.default_rng(seed)
    light = random.normal(120, 40, (count, 1, 1, 1))
    return (light + random.normal(0, 20, (count, *SHAPE))).clip(0, 255).astype(np.uint8)


@settings(deadline=None)
@given(count=st.integers(1, 1500), cut=st.floats(0, 1))
def test_the_mean_image_is_exact_however_it_is_cut(count: int, cut: float) -> None:
    pixels = images(count)
    shards = [part for part in np.array_split(pixels, [int(cut * count)]) if len(part)]
    np.testing.assert_allclose(mean_image(shards), pixels.mean(axis=0, dtype=np.float64), rtol=1e-12)


@pytest.mark.parametrize("kind", ["pca", "zca"])
def test_whitened_values_are_uncorrelated_with_equal_variance(kind: str) -> None:
    pixels = images(5000)
    transform = whitening(lambda: [pixels[:2000], pixels[2000:]], SHAPE, kind)
    values = PixelNormalization(transform)(torch.from_numpy(pixels)).flatten(1).double().numpy()
    covariance = np.cov(values.T)
    assert np.abs(values.mean(axis=0)).max() < 1e-3
    assert np.abs(covariance - np.diag(np.diag(covariance))).max() < 0.02
    assert np.diag(covariance).min() > 0.9
    assert np.diag(covariance).max() < 1.01


def test_zca_keeps_values_near_what_they_were_and_pca_orders_them() -> None:
    pixels = images(5000)
    matrix = whitening(lambda: [pixels], SHAPE, "zca").matrix
    assert matrix is not None
    np.testing.assert_allclose(matrix, matrix.T, atol=1e-6)
    flat = pixels.reshape(len(pixels), -1).astype(np.float64)
    pca = whitening(lambda: [pixels], SHAPE, "pca").matrix
    assert pca is not None
    spread = ((flat - flat.mean(0)) @ np.linalg.inv(pca).T).std(0)
    assert list(spread) == sorted(spread)


def test_large_images_are_refused_in_one_line() -> None:
    with pytest.raises(SettingsError, match="12,288 values; expected at most 4,096"):
        whitening(list, (64, 64, 3), "pca")


@pytest.mark.parametrize("normalization", ["mean_image", "pca_whitening", "zca_whitening"])
def test_a_snapshot_is_normalized_as_the_setting_says_up_to_the_exported_model(
    normalization: str, digits: DatasetReference
) -> None:
    stats = measure_channel_stats(digits, StatsSettings.model_validate({"normalization": normalization}), Said())
    pixels, _ = read_split(digits, "train")
    transform = read_transform(stats.transform_uri)
    np.testing.assert_allclose(transform.shift, pixels.mean(axis=0), rtol=1e-6)
    classifier = build_classifier(ConvNetSettings(kind="convnet", channels=(4,)), (8, 8, 1), 10, stats, 0)
    given = torch.from_numpy(pixels[:5])
    values = classifier.normalization(given)
    expected = (pixels[:5] - pixels.mean(axis=0)).reshape(5, -1)
    expected = expected if transform.matrix is None else expected @ transform.matrix
    np.testing.assert_allclose(values.permute(0, 2, 3, 1).reshape(5, -1), expected, atol=1e-3)
    model = ProbabilityModel(classifier).eval()
    exported = torch.export.export(model, (given,), dynamic_shapes=({0: torch.export.Dim("images")},)).module()
    torch.testing.assert_close(exported(given[:3]), model(given[:3]))
    assert "normalization.shift" in classifier.state_dict()


def test_a_transform_without_matrix_only_shifts() -> None:
    transform = PixelTransform(np.full((2, 2, 3), 7, dtype=np.float32), None)
    pixels = torch.full((1, 2, 2, 3), 10, dtype=torch.uint8)
    assert PixelNormalization(transform)(pixels).tolist() == [[[[3.0, 3.0]] * 2] * 3]


def test_a_sample_is_not_enough_for_every_pixel() -> None:
    with pytest.raises(SettingsError, match=r"stats\.mode=sampled: mean_image is taken over every image"):
        load_config(DEFAULT_CONFIG, ["stats.mode=sampled", "stats.normalization=mean_image"])
