"""The mean image, and PCA and ZCA whitening (ledger rows D2 and D3), over all training images."""

from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from components.foundation.errors import SettingsError
from components.foundation.image_dataset.pixel_transform import PixelTransform

BLOCK_IMAGES = 512
MOST_VALUES = 4096  # the covariance of more fills memory: 64x64x1, or 36x36x3
SOFTENING = 1e-3  # of the mean eigenvalue: what hardly varies is noise, and would be blown up


def mean_image(shards: Sequence[NDArray[np.uint8]]) -> NDArray[np.float64]:
    """The mean of every pixel, exact but for the last rounding, (height, width, channels).

    Args:
        shards: uint8 (images, height, width, channels) each.
    """
    total = np.sum([_blocks_sum(shard) for shard in shards], axis=0)
    mean: NDArray[np.float64] = total / sum(len(shard) for shard in shards)
    return mean


def whitening(shards: Sequence[NDArray[np.uint8]], kind: Literal["pca", "zca"]) -> PixelTransform:
    """Turn images so that their values are uncorrelated with equal variance.

    With the covariance U diag(v) U^T of the centred values, PCA multiplies by U diag(v + e)^(-1/2),
    ZCA by U diag(v + e)^(-1/2) U^T (Bell & Sejnowski 1997); e is a thousandth of the mean of v.

    Args:
        shards: uint8 (images, height, width, channels) each.
        kind: ``pca`` or ``zca``.

    Raises:
        SettingsError: when an image has more than 4,096 values.
    """
    shape = shards[0].shape[1:]
    values = int(np.prod(shape))
    if values > MOST_VALUES:
        raise SettingsError(
            f"stats.normalization={kind}_whitening: images of {shape[1]}x{shape[0]}x{shape[2]} have {values:,} values; "
            f"expected at most {MOST_VALUES:,}; lower data.image_size, or set stats.normalization=channel_mean_std"
        )
    mean = mean_image(shards)
    eigenvalues, vectors = np.linalg.eigh(_covariance(shards, mean))
    scaled = vectors / np.sqrt(np.maximum(eigenvalues, 0) + SOFTENING * eigenvalues.mean())
    matrix = scaled if kind == "pca" else scaled @ vectors.T
    return PixelTransform(mean.astype(np.float32), matrix.astype(np.float32))


def _blocks_sum(shard: NDArray[np.uint8]) -> NDArray[np.int64]:
    starts = range(0, len(shard), BLOCK_IMAGES)
    total: NDArray[np.int64] = sum(shard[start : start + BLOCK_IMAGES].sum(axis=0, dtype=np.int64) for start in starts)
    return total


def _covariance(shards: Sequence[NDArray[np.uint8]], mean: NDArray[np.float64]) -> NDArray[np.float64]:
    flat = mean.ravel()
    products = np.zeros((flat.size, flat.size))
    images = 0
    for shard in shards:
        for start in range(0, len(shard), BLOCK_IMAGES):
            centred = shard[start : start + BLOCK_IMAGES].reshape(-1, flat.size) - flat
            products += centred.T @ centred
            images += len(centred)
    return products / images
