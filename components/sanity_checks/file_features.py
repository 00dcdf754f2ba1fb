"""What the files of images tell besides their pixels, as features of the nearest neighbours."""

from collections.abc import Callable
from functools import partial

import simplejpeg
import torch
from torch import Tensor
from torch.nn import functional

from sanefit.components.foundation.image_dataset.file_facts import BYTES, FORMAT, HEIGHT, WIDTH

QUALITIES = (75, 90, 95, 100)
MOST_FORMATS = 32
LENGTH = "the length of the file"


def _length(facts: Tensor) -> Tensor:
    return facts[:, [BYTES]].float()


def _size(facts: Tensor) -> Tensor:
    return facts[:, [WIDTH, HEIGHT]].float()


def _format(facts: Tensor) -> Tensor:
    return functional.one_hot(facts[:, FORMAT], MOST_FORMATS).float()


FILE_FEATURES: dict[str, Callable[[Tensor], Tensor]] = {
    LENGTH: _length,
    "the size before scaling": _size,
    "the format of the file": _format,
}


def encoded_bytes(pixels: Tensor, quality: int) -> Tensor:
    """How long each picture is as a JPEG of one quality: float (images, 1). A busy picture takes more in any format.

    Args:
        pixels: uint8 (images, height, width, 1 or 3).
        quality: 1 to 100; which of them tells busy pictures apart best depends on how busy they are.
    """
    space = "GRAY" if pixels.shape[3] == 1 else "RGB"
    encoded = (simplejpeg.encode_jpeg(one.contiguous().numpy(), quality, space) for one in pixels)
    return torch.tensor([[float(len(one))] for one in encoded])


ENCODED_ANEW = tuple(partial(encoded_bytes, quality=quality) for quality in QUALITIES)
