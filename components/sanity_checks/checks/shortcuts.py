"""M2: the classes are not written where nobody would look: in a corner, in the border."""

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from sanefit.components.sanity_checks.check import Measurement
from sanefit.components.sanity_checks.nearest_neighbours import AT_ONCE, nearest_neighbours, thumbnails
from sanefit.components.sanity_checks.null_control import IMAGES, class_weights
from sanefit.components.sanity_checks.setup import Setup

NEARLY = 0.02  # of accuracy
MOST_OF_THE_WAY = 0.5  # from chance to 1: less is a hint, not a shortcut
MORE_THAN_INSIDE = 0.2  # of accuracy
MOST_VALUES = 2**28  # bytes of images
SMALLEST_SIDE = 6  # pixels: of a smaller image the border is most


def check_shortcuts(setup: Setup) -> Measurement | None:
    """Warns when the corners or the border alone tell the classes about as the network does, and the inside does not.

    By the nearest training images (``nearest_neighbours``), accuracy as the mean over classes. What colors and a
    blurred thumbnail tell is said: they may well be what the classes differ in. None where no network was trained, or
    the images are too small to have an inside.
    """
    if setup.learned is None or min(setup.train_pixels.shape[1:3]) < SMALLEST_SIDE:
        return None
    known, labels = setup.images(IMAGES, MOST_VALUES)
    asked = setup.validation_pixels[:IMAGES]
    told = {
        name: max(_accuracy(setup, part(known), labels, part(asked)) for part in parts) for name, parts in PARTS.items()
    }
    chance = 1 / setup.classes
    enough = max(chance + MOST_OF_THE_WAY * (1 - chance), setup.learned - NEARLY)
    hidden = [
        name
        for name in ("the corner pixels", "the border")
        if told[name] >= enough and told[name] >= told["the thumbnail of the inside"] + MORE_THAN_INSIDE
    ]
    return Measurement(
        verdict="warn" if hidden else "pass",
        measured=f"network {setup.learned:.3f}; " + ", ".join(f"{name} {told[name]:.3f}" for name in told),
        expected=f"corner and border more than {NEARLY} below the network, or no more than the inside tells",
        fix=f"a shortcut: {' and '.join(hidden)} alone tell the classes; look how these images were made, and crop it "
        "away"
        if hidden
        else "",
    )


def _accuracy(setup: Setup, features: Tensor, labels: Tensor, asked: Tensor) -> float:
    truth = setup.validation_labels[:IMAGES]
    right = (nearest_neighbours(features, labels, asked) == truth).double()
    return float((class_weights(truth) * right).sum())


def _corner(pixels: Tensor, row: int, column: int) -> Tensor:
    return pixels[:, row, column].float()


def _side(pixels: Tensor, axis: int, place: int) -> Tensor:
    side = pixels.select(axis, place).float()
    return torch.cat([side.mean(1), side.std(1)], 1)


def _border(pixels: Tensor) -> Tensor:
    return torch.cat([side(pixels) for side in SIDES], 1)


CORNERS = tuple(partial(_corner, row=row, column=column) for row in (0, -1) for column in (0, -1))
SIDES = tuple(partial(_side, axis=axis, place=place) for axis in (1, 2) for place in (0, -1))


def _mean_and_contrast(pixels: Tensor) -> Tensor:
    parts = [part.float().flatten(1, 2) for part in pixels.split(AT_ONCE)]
    return torch.cat([torch.cat([part.mean(1), part.std(1)], 1) for part in parts])


def _inside(pixels: Tensor) -> Tensor:
    return thumbnails(pixels, border=1)


PARTS: dict[str, tuple[Callable[[Tensor], Tensor], ...]] = {
    "the corner pixels": CORNERS,
    "the border": (*SIDES, _border),
    "mean and contrast": (_mean_and_contrast,),
    "a blurred thumbnail": (thumbnails,),
    "the thumbnail of the inside": (_inside,),
}
