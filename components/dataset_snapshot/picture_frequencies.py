"""What pictures are compared by: the low frequencies of their thumbnails.

Coefficients of the discrete cosine transform, as in perceptual hashes (Zauner 2010), but whitened, each by its spread
over the data set, and not cut to bits. So two photographs of different things are as good as uncorrelated, whatever all
pictures of the set have in common.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from sanefit.components.foundation.image_dataset.picture_content import THUMBNAIL_SIDE

Floats = NDArray[np.float32]
Thumbnails = NDArray[np.uint8]
Cut = tuple[float, float]  # shares of a side that are cut off at its start and its end

FREQUENCIES, LOW_FREQUENCIES = 8, 6  # along each side; the lowest ones bear a crop
CUTS: tuple[Cut, ...] = ((0, 0), (0.03, 0.03), (0.06, 0.06), (0.1, 0.1), (0, 0.05), (0.05, 0), (0, 0.1), (0.1, 0))
UNCUT: tuple[Cut, ...] = ((0, 0),)
THUMBNAILS_AT_ONCE = 1024
WHITENED_BY = 20_000
FAINT = 0.06  # of the largest spread: what photographs have at the highest frequency; below that, noise is compared


class ManyThumbnails(Protocol):
    """Thumbnails that need not be in memory in this order: some of them, uint8 (some, side, side), or how many."""

    def __len__(self) -> int: ...
    def __getitem__(self, numbers: slice | NDArray[np.int64], /) -> Thumbnails: ...


@dataclass(frozen=True)
class Whitening:
    """What the coefficients of a data set are compared by: float32 (frequencies,) each."""

    mean: Floats
    scale: Floats


def whitening_of(thumbnails: ManyThumbnails) -> Whitening:
    """From the coefficients of a data set, or of a part of a large one."""
    coefficients = _of_length_one(_coefficients(thumbnails[:: -(-len(thumbnails) // WHITENED_BY)]))
    spread = coefficients.std(axis=0)
    return Whitening(coefficients.mean(axis=0), 1 / np.maximum(spread, FAINT * max(float(spread.max()), 1e-6)))


def low_frequencies(thumbnails: ManyThumbnails, whitening: Whitening) -> Floats:
    """The lowest coefficients, whitened, of length 1; 0 for a picture without contrast: float32 (pictures, some)."""
    rows, columns = np.divmod(np.arange(1, FREQUENCIES**2), FREQUENCIES)
    lowest = np.flatnonzero((rows < LOW_FREQUENCIES) & (columns < LOW_FREQUENCIES))
    found = np.empty((len(thumbnails), len(lowest)), dtype=np.float32)
    for start in range(0, len(thumbnails), THUMBNAILS_AT_ONCE):
        part = thumbnails[start : start + THUMBNAILS_AT_ONCE]
        coefficients = _coefficients(part)
        white = (_of_length_one(coefficients) - whitening.mean) * whitening.scale
        white[np.ptp(part, axis=(1, 2)) == 0] = 0
        found[start : start + len(white)] = _of_length_one(white[:, lowest])
    return found


def window_similarity(
    one: Thumbnails, other: Thumbnails, whitening: Whitening, *, rows: Sequence[Cut], columns: Sequence[Cut]
) -> Floats:
    """Of the window of each picture that is most similar to its partner: correlation, float32 (pictures,).

    Args:
        one: uint8 (pictures, side, side), those with windows.
        other: uint8 (pictures, side, side), their partners, whole.
        whitening: of the data set.
        rows, columns: what is cut off; windows are all combinations.
    """
    whole = _of_length_one((_of_length_one(_coefficients(other)) - whitening.mean) * whitening.scale)
    windows = _in_windows(one, _windows(tuple(rows)), _windows(tuple(columns)))
    similarity: Floats = _similarity(windows, whole, whitening).max(axis=1)
    return similarity


@cache
def _windows(cuts: tuple[Cut, ...]) -> Floats:
    return np.concatenate([_window(*cut) for cut in cuts])


def _similarity(coefficients: Floats, whole: Floats, whitening: Whitening) -> Floats:
    """Correlation of whitened windows with a whole picture.

    With c the coefficients, m their mean, s the scale and u the whole picture, of length 1: z = s(c/|c| - m), and
    z·u/|z|, multiplied out, so that the windows are gone over but a few times.

    Args:
        coefficients: float32 (pictures, windows, frequencies).
        whole: float32 (pictures, frequencies).
        whitening: of the data set.

    Returns:
        float32 (pictures, windows); -1 for a window without contrast.
    """
    mean, scale = whitening.mean, whitening.scale
    squares = (coefficients * coefficients) @ np.stack([np.ones_like(scale), scale**2], axis=1)
    length = np.sqrt(np.maximum(squares[..., 0], 1e-12))
    along_mean = coefficients @ (scale**2 * mean) / length
    white_length = np.sqrt(
        np.maximum(squares[..., 1] / length**2 - 2 * along_mean + (scale * mean) @ (scale * mean), 1e-12)
    )
    along = np.matmul(coefficients, (whole * scale)[:, :, np.newaxis])[..., 0] / length
    similarity: Floats = (along - (whole @ (scale * mean))[:, np.newaxis]) / white_length
    similarity[squares[..., 0] <= 1e-6] = -1
    return similarity


def _of_length_one(vectors: Floats) -> Floats:
    length = np.sqrt(np.einsum("...i,...i->...", vectors, vectors))[..., np.newaxis]
    unit: Floats = vectors / np.maximum(length, np.float32(1e-6))
    return unit


def _coefficients(thumbnails: Thumbnails) -> Floats:
    """All but the mean: float32 (pictures, frequencies)."""
    found = np.empty((len(thumbnails), FREQUENCIES**2 - 1), dtype=np.float32)
    for start in range(0, len(thumbnails), THUMBNAILS_AT_ONCE):
        some = thumbnails[start : start + THUMBNAILS_AT_ONCE]
        found[start : start + len(some)] = _in_windows(some, _window(0, 0), _window(0, 0))[:, 0]
    return found


def _in_windows(thumbnails: Thumbnails, rows: Floats, columns: Floats) -> Floats:
    """The coefficients of each picture's windows, all but the mean.

    Args:
        thumbnails: uint8 (pictures, side, side).
        rows, columns: as ``_window`` gives them, one below the other.

    Returns:
        float32 (pictures, windows, frequencies).
    """
    found = rows @ thumbnails.astype(np.float32) @ columns.T
    shape = (len(thumbnails), len(rows) // FREQUENCIES, FREQUENCIES, len(columns) // FREQUENCIES, FREQUENCIES)
    apart = found.reshape(shape).swapaxes(2, 3)
    return np.ascontiguousarray(apart.reshape(len(thumbnails), shape[1] * shape[3], FREQUENCIES**2)[:, :, 1:])


@cache
def _window(before: float, after: float) -> Floats:
    """From a side's values to the frequencies of what is left of it: float32 (frequencies, side)."""
    places = np.arange(THUMBNAIL_SIDE)
    cosines = np.cos(np.pi * (places + 0.5) * np.arange(FREQUENCIES)[:, np.newaxis] / THUMBNAIL_SIDE)
    read_at = (before + (1 - before - after) * (places + 0.5) / THUMBNAIL_SIDE) * THUMBNAIL_SIDE - 0.5
    read_at = read_at.clip(0, THUMBNAIL_SIDE - 1)
    left = np.minimum(read_at.astype(np.int64), THUMBNAIL_SIDE - 2)
    resampled = np.zeros((THUMBNAIL_SIDE, THUMBNAIL_SIDE))
    resampled[places, left] = 1 - (read_at - left)
    resampled[places, left + 1] = read_at - left
    return (cosines @ resampled).astype(np.float32)
