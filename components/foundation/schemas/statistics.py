"""How pixels are normalized, and the statistics that say by what."""

from typing import Annotated, Literal

from pydantic import Field

from sanefit.components.foundation.schemas.bases import Artifact, PositiveFinite, Settings

Normalization = Literal["none", "channel_mean", "channel_mean_std", "mean_image", "pca_whitening", "zca_whitening"]


class StatsSettings(Settings):
    """How pixels are normalized, with the training split's statistics.

    ``mode``: ``exact`` reads every training image; ``sampled`` draws images at random until the interval around every
    channel's mean is no wider than ``tolerance`` to either side, in pixel units 0-255, with this ``confidence``.
    ``mean_image`` and the whitenings need every image, so they go with ``exact``; whitening takes images of at most
    4,096 values.
    """

    mode: Literal["exact", "sampled"] = "exact"
    tolerance: PositiveFinite = 1.0
    confidence: Annotated[float, Field(gt=0.5, lt=1)] = 0.95
    normalization: Normalization = "channel_mean_std"


class ChannelStats(Artifact):
    """Per channel, in pixel units 0-255: statistics of the training split, and how to normalize.

    A pixel p becomes (p - shift) / scale; with ``transform_uri``, what the file there says: see
    ``foundation/image_dataset/pixel_transform.py``. ``histogram`` is (channels, 256) pixel counts.
    ``images``: how many were read. ``half_width``: per channel, the interval around the mean to
    either side, at ``confidence``; 0 when every image was read.
    """

    normalization: Normalization
    images: int
    mean: list[float]
    std: list[float]
    shift: list[float]
    scale: list[float]
    histogram: list[list[int]]
    half_width: list[float] = Field(default=[])
    confidence: float | None = None
    transform_uri: str = ""
