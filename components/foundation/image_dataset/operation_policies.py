"""Which operations change each image of a batch, and how much: TrivialAugment and RandAugment.

The spaces are torchvision's, but that no image is moved by more than its side.
"""

from collections.abc import Mapping

import torch
from torch import Tensor

from sanefit.components.foundation.image_dataset.image_operations import OPERATIONS

TRIVIAL_NUMBERS, RAND_NUMBERS = 3, 4  # uniform, for each image
BINS = 30  # steps of a magnitude, from 0
RAND_OPERATIONS, RAND_MAGNITUDE = 2, 9 / BINS

Space = Mapping[str, float]  # of an operation, the largest magnitude


def trivial_space(height: int, width: int) -> Space:
    """Of TrivialAugment Wide (Müller & Hutter 2021), in each operation's unit."""
    moves = {"translate_x": min(32.0, width), "translate_y": min(32.0, height), "rotate": 135.0}
    return _space(0.99, 0.99, {**moves, "posterize": 6.0, "solarize": 255.0})


def rand_space(height: int, width: int) -> Space:
    """Of RandAugment (Cubuk et al. 2020), in each operation's unit."""
    moves = {"translate_x": 150 / 331 * width, "translate_y": 150 / 331 * height, "rotate": 30.0}
    return _space(0.3, 0.9, {**moves, "posterize": 4.0, "solarize": 255.0})


def trivial_augment(pixels: Tensor, uniform: Tensor) -> Tensor:
    """One operation on each image, of any magnitude.

    Args:
        pixels: uint8 (images, height, width, channels); gray images take no color operation; not changed.
        uniform: float (3, images) in [0, 1), on the CPU, where what is to be done is looked at without waiting.
    """
    space = trivial_space(*pixels.shape[1:3])
    share = (uniform[1] * (BINS + 1)).floor() / BINS
    return _operated(pixels, space, uniform[0], share, uniform[2])


def rand_augment(pixels: Tensor, uniform: Tensor) -> Tensor:
    """Two operations on each image, one after the other, of magnitude 9 of 30.

    Args:
        pixels: as for ``trivial_augment``.
        uniform: float (4, images), likewise.
    """
    space = rand_space(*pixels.shape[1:3])
    share = torch.full((len(pixels),), RAND_MAGNITUDE)
    for which, sign in uniform.split(RAND_NUMBERS // RAND_OPERATIONS):
        pixels = _operated(pixels, space, which, share, sign)
    return pixels


def _space(shear: float, blend: float, others: Space) -> Space:
    blends = dict.fromkeys(("brightness", "color", "contrast", "sharpness"), blend)
    given = {"shear_x": shear, "shear_y": shear, **blends, **others}
    return {name: given.get(name, 0.0) for name in OPERATIONS}


def _operated(pixels: Tensor, space: Space, which: Tensor, share: Tensor, sign: Tensor) -> Tensor:
    """All images of an operation at once. ``which``, ``share``, ``sign``: (images,), on the CPU."""
    is_gray = pixels.shape[3] == 1
    names = [name for name in space if not (is_gray and OPERATIONS[name].needs_color)]
    chosen = (which * len(names)).long()
    images = pixels.permute(0, 3, 1, 2)
    changed = images.clone()
    for number in chosen.unique().tolist():
        operation, where = OPERATIONS[names[number]], (chosen == number).nonzero().flatten()
        magnitude = share[where] * space[names[number]]
        if operation.signed:
            magnitude = torch.where(sign[where] < 0.5, -magnitude, magnitude)
        place = where.to(pixels.device)
        changed[place] = operation.operate(images[place], magnitude.to(pixels.device))
    return changed.permute(0, 2, 3, 1)
