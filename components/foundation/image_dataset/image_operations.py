"""The operations of RandAugment and TrivialAugment, each on many images at once with a magnitude for each image.

torchvision has them for one magnitude at a time; where an operation mixes an image with a plainer one, it gives the
plainer one here.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

# Of uint8 (images, channels, height, width) and float (images,). Where it counts, 0 leaves an image as it is, but that
# ``_solarize`` blackens what is white.
Operate = Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class Operation:
    """``signed``: the magnitude may be negative, too. ``needs_color``: it does nothing to a gray image."""

    operate: Operate
    signed: bool = False
    needs_color: bool = False


def _identity(images: Tensor, _: Tensor) -> Tensor:
    return images


def _shear_x(images: Tensor, magnitude: Tensor) -> Tensor:
    """The upper left corner stays."""
    return _moved(images, x=(1.0, magnitude, magnitude * images.shape[2] / 2))


def _shear_y(images: Tensor, magnitude: Tensor) -> Tensor:
    return _moved(images, y=(magnitude, 1.0, magnitude * images.shape[3] / 2))


def _translate_x(images: Tensor, magnitude: Tensor) -> Tensor:
    """By whole pixels."""
    return _moved(images, x=(1.0, 0.0, -magnitude.trunc()))


def _translate_y(images: Tensor, magnitude: Tensor) -> Tensor:
    return _moved(images, y=(0.0, 1.0, -magnitude.trunc()))


def _rotate(images: Tensor, magnitude: Tensor) -> Tensor:
    """Degrees, counterclockwise."""
    angle = magnitude * (math.pi / 180)
    cos, sin = angle.cos(), angle.sin()
    return _moved(images, x=(cos, -sin, 0.0), y=(sin, cos, 0.0))


def _brightness(images: Tensor, magnitude: Tensor) -> Tensor:
    return _blend(images, torch.zeros_like(images), magnitude)


def _color(images: Tensor, magnitude: Tensor) -> Tensor:
    from torchvision.transforms.v2 import functional as library

    return _blend(images, library.adjust_saturation(images, 0.0), magnitude)


def _contrast(images: Tensor, magnitude: Tensor) -> Tensor:
    from torchvision.transforms.v2 import functional as library

    return _blend(images, library.adjust_contrast(images, 0.0), magnitude)


def _sharpness(images: Tensor, magnitude: Tensor) -> Tensor:
    from torchvision.transforms.v2 import functional as library

    return _blend(images, library.adjust_sharpness(images, 0.0), magnitude)


def _posterize(images: Tensor, magnitude: Tensor) -> Tensor:
    """``magnitude``: lowest bits that become 0."""
    bits = _each(magnitude.round().to(torch.uint8))
    return (images >> bits) << bits


def _solarize(images: Tensor, magnitude: Tensor) -> Tensor:
    """``magnitude``: how far below 255 the values begin that are inverted."""
    return torch.where(images >= _each(255 - magnitude), 255 - images, images)


def _autocontrast(images: Tensor, _: Tensor) -> Tensor:
    from torchvision.transforms.v2 import functional as library

    stretched: Tensor = library.autocontrast(images)
    return stretched


def _equalize(images: Tensor, _: Tensor) -> Tensor:
    from torchvision.transforms.v2 import functional as library

    equalized: Tensor = library.equalize(images)
    return equalized


OPERATIONS = {
    "identity": Operation(_identity),
    "shear_x": Operation(_shear_x, signed=True),
    "shear_y": Operation(_shear_y, signed=True),
    "translate_x": Operation(_translate_x, signed=True),
    "translate_y": Operation(_translate_y, signed=True),
    "rotate": Operation(_rotate, signed=True),
    "brightness": Operation(_brightness, signed=True),
    "color": Operation(_color, signed=True, needs_color=True),
    "contrast": Operation(_contrast, signed=True),
    "sharpness": Operation(_sharpness, signed=True),
    "posterize": Operation(_posterize),
    "solarize": Operation(_solarize),
    "autocontrast": Operation(_autocontrast),
    "equalize": Operation(_equalize),
}
Row = tuple[float | Tensor, float | Tensor, float | Tensor]


def _each(values: Tensor) -> Tensor:
    """(images,) as (images, 1, 1, 1)."""
    return values.reshape(-1, 1, 1, 1)


def _blend(images: Tensor, plain: Tensor, magnitude: Tensor) -> Tensor:
    """``plain`` at -1, the image at 0, as far beyond it at 1."""
    mixed = torch.lerp(plain.float(), images.float(), _each(1 + magnitude))
    return mixed.clamp_(0, 255).to(images.dtype)


def _moved(images: Tensor, *, x: Row = (1.0, 0.0, 0.0), y: Row = (0.0, 1.0, 0.0)) -> Tensor:
    """Each new pixel is the nearest to (x, y) applied to its place, in pixels from the center; black from outside."""
    count, (height, width) = len(images), images.shape[2:]
    units = ((1.0, height / width, 2 / width), (width / height, 1.0, 2 / height))  # of ``affine_grid``
    theta = torch.empty(count, 2, 3, device=images.device)
    for row, (values, unit) in enumerate(zip((x, y), units, strict=True)):
        for column in range(3):
            theta[:, row, column] = values[column] * unit[column]
    grid = functional.affine_grid(theta, [count, 1, height, width], align_corners=False)
    moved = functional.grid_sample(images.float(), grid, mode="nearest", align_corners=False)
    return moved.round_().to(images.dtype)
