"""A file's bytes to pixels: the same in a snapshot and in a service that takes files."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from sanefit.components.foundation.errors import DataError
from sanefit.components.foundation.image_dataset.decoding import decode_picture, scale
from sanefit.components.foundation.image_dataset.picture_content import as_gray

# Times the wanted size: means stay within 0.2 of 255, standard deviations within 0.3 % (docs/benchmarks.md).
REDUCED_TO = 2


@dataclass(frozen=True)
class DecodedImage:
    """One image.

    ``pixels``: uint8 (height, width, 1 or 3), contiguous. ``unscaled``: the same before it was scaled, as it was
    decoded. ``size``: width and height of the file, at full size.
    ``mode``, ``file_format``: of the file, as Pillow calls them; no format where pixels are all that there is.
    ``highest_level``: of 16-bit gray, else 0.
    """

    pixels: NDArray[np.uint8]
    unscaled: NDArray[np.uint8]
    size: tuple[int, int]
    mode: str
    file_format: str = ""
    highest_level: int = 0


@dataclass(frozen=True)
class Preparation:
    """How files become pixels; as in ``DataSettings``."""

    image_size: int | tuple[int, int] | None
    background: tuple[int, int, int]
    bit_depth: int
    large_jpegs: Literal["full", "reduced"] = "full"

    @property
    def metadata(self) -> dict[str, Any]:
        """What JSON and YAML can hold of it."""
        size = list(self.image_size) if isinstance(self.image_size, tuple) else self.image_size
        known = {"image_size": size, "background": list(self.background), "bit_depth": self.bit_depth}
        return known if self.large_jpegs == "full" else {**known, "large_jpegs": self.large_jpegs}

    @classmethod
    def from_metadata(cls, known: Mapping[str, Any]) -> "Preparation":
        """What ``metadata`` gave, among other values perhaps.

        Raises:
            KeyError: when one is missing.
        """
        size, large_jpegs = known["image_size"], known.get("large_jpegs", "full")
        sides = tuple(size) if isinstance(size, list) else size
        return cls(sides, tuple(known["background"]), known["bit_depth"], large_jpegs)

    @property
    def least_side(self) -> int | None:
        """As ``decode_picture`` takes it."""
        if self.image_size is None or self.large_jpegs == "full":
            return None
        return REDUCED_TO * (self.image_size if isinstance(self.image_size, int) else max(self.image_size))


def decode_file(content: bytes, path: str, preparation: Preparation) -> DecodedImage:
    """One channel where the image is gray.

    Raises:
        DataError: when it is no whole image.
    """
    picture = decode_picture(content, path, preparation.background, preparation.bit_depth, preparation.least_side)
    pixels, image_size = as_gray(picture.pixels), preparation.image_size
    scaled = pixels if image_size is None else scale(pixels, image_size)
    return DecodedImage(
        np.ascontiguousarray(scaled), pixels, picture.size, picture.mode, picture.file_format, picture.highest_level
    )


def pixels_for(
    content: bytes, path: str, preparation: Preparation, image_shape: tuple[int, int, int]
) -> NDArray[np.uint8]:
    """What a network of this image shape takes: uint8 (height, width, channels).

    A gray image in a colored set has three equal channels; of a colored one in a gray set, the brightness counts.

    Raises:
        DataError: when the file is no whole image, or of another size.
    """
    return fitted(decode_file(content, path, preparation).pixels, path, image_shape)


def fitted(pixels: NDArray[np.uint8], path: str, image_shape: tuple[int, int, int]) -> NDArray[np.uint8]:
    """The same of an image that is decoded and scaled: uint8 (height, width, 1 or 3) to (height, width, channels).

    Raises:
        DataError: when it is of another size.
    """
    height, width, channels = image_shape
    if pixels.shape[:2] != (height, width):
        raise DataError(
            f"{path!r} is {pixels.shape[1]}x{pixels.shape[0]} pixels; expected {width}x{height}, for the model was "
            "trained without data.image_size; scale it"
        )
    if pixels.shape[2] < channels:
        return np.repeat(pixels, channels, axis=2)
    if pixels.shape[2] > channels:
        return np.asarray(Image.fromarray(pixels).convert("L"))[:, :, np.newaxis]
    return pixels
