"""The mean image, and PCA and ZCA whitening (ledger rows D2 and D3), over all training images."""

import math
from collections.abc import Callable, Iterable
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from sanefit.components.foundation.errors import SettingsError
from sanefit.components.foundation.image_dataset.pixel_transform import PixelTransform

MOST_VALUES = 4096  # the covariance of more fills memory: 64x64x1, or 36x36x3
SOFTENING = 1e-3  # of the mean eigenvalue: what hardly varies is noise, and would be blown up


def mean_image(blocks: Iterable[NDArray[np.uint8]]) -> NDArray[np.float64]:
    """The mean of every pixel, exact but for the last rounding, (height, width, channels).

    Args:
        blocks: uint8 (images, height, width, channels) each.
    """
    total: NDArray[np.int64] | None = None
    images = 0
    for block in blocks:
        block_sum = block.sum(axis=0, dtype=np.int64)
        total = block_sum if total is None else total + block_sum
        images += len(block)
    assert total is not None  # a snapshot has training images
    mean: NDArray[np.float64] = total / images
    return mean


def whitening(
    blocks: Callable[[], Iterable[NDArray[np.uint8]]], shape: tuple[int, int, int], kind: Literal["pca", "zca"]
) -> PixelTransform:
    """Turn images so that their values are uncorrelated with equal variance.

    With the covariance U diag(v) U^T of the centered values, PCA multiplies by U diag(v + e)^(-1/2),
    ZCA by U diag(v + e)^(-1/2) U^T (Bell & Sejnowski 1997); e is a thousandth of the mean of v.

    Args:
        blocks: gives every image once, whenever it is called: uint8 (images, height, width, channels) each.
        shape: (height, width, channels) of an image.
        kind: ``pca`` or ``zca``.

    Raises:
        SettingsError: when an image has more than 4,096 values.
    """
    values = math.prod(shape)
    if values > MOST_VALUES:
        raise SettingsError(
            f"stats.normalization={kind}_whitening: images of {shape[1]}x{shape[0]}x{shape[2]} have {values:,} values; "
            f"expected at most {MOST_VALUES:,}; lower data.image_size, or set stats.normalization=channel_mean_std"
        )
    mean = mean_image(blocks())
    eigenvalues, vectors = np.linalg.eigh(_covariance(blocks(), mean))
    scaled = vectors / np.sqrt(np.maximum(eigenvalues, 0) + SOFTENING * eigenvalues.mean())
    matrix = scaled if kind == "pca" else scaled @ vectors.T
    return PixelTransform(mean.astype(np.float32), matrix.astype(np.float32))


def _covariance(blocks: Iterable[NDArray[np.uint8]], mean: NDArray[np.float64]) -> NDArray[np.float64]:
    flat = mean.ravel()
    products = np.zeros((flat.size, flat.size))
    images = 0
    for block in blocks:
        centered = block.reshape(-1, flat.size) - flat
        products += centered.T @ centered
        images += len(centered)
    return products / images
