"""M2: the classes are not written where nobody would look: in a corner, in the border, in the files."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from sanefit.components.sanity_checks.check import Measurement
from sanefit.components.sanity_checks.file_features import ENCODED_ANEW, FILE_FEATURES, LENGTH
from sanefit.components.sanity_checks.nearest_neighbours import AT_ONCE, nearest_neighbours, thumbnails
from sanefit.components.sanity_checks.null_control import IMAGES, class_weights
from sanefit.components.sanity_checks.setup import Setup

NEARLY = 0.02  # of accuracy
MOST_OF_THE_WAY = 0.5  # from chance to 1: less is a hint, not a shortcut
MORE = 0.2  # of accuracy, than the rest of the picture tells
MOST_VALUES = 2**28  # bytes of images
FEWEST_ASKED = 100
SMALLEST_SIDE = 8  # pixels: of a smaller image the border is most
Part = Callable[[Tensor], Tensor]


def check_shortcuts(setup: Setup) -> Measurement | None:
    """Warns where a part beside the picture tells the classes about as the network does, and the picture does not.

    By the nearest training images (``nearest_neighbours``), accuracy as the mean over classes. A corner or the border
    is a shortcut where the pixels a little farther in tell much less, or the inside does, by its thumbnail and
    contrast; a file's length, where that of the same pixels encoded anew tells much less; its format, and the
    picture's size before scaling, always. What colors and a blurred thumbnail tell is said: they may well be what the
    classes differ in. None where no network was trained, or the images are too small to have an inside.
    """
    if setup.learned is None or min(setup.train_pixels.shape[1:3]) < SMALLEST_SIDE:
        return None
    images = _drawn(setup)
    chance = 1 / setup.classes
    enough = max(chance + MOST_OF_THE_WAY * (1 - chance), setup.learned - NEARLY)
    told = {name: _accuracy(images, parts) for name, parts in SEEN.items()}
    hidden = []
    for name, (parts, farther_in) in HIDDEN.items():
        told[name] = _accuracy(images, parts)
        if told[name] >= enough and told[name] >= min(told[INSIDE], _accuracy(images, farther_in)) + MORE:
            hidden.append(name)
    for name, feature in FILE_FEATURES.items() if images.files else ():
        told[name] = _told_by_files(images, feature)
        if told[name] >= enough and (name != LENGTH or told[name] >= _accuracy(images, ENCODED_ANEW) + MORE):
            hidden.append(name)
    return Measurement(
        verdict="warn" if hidden else "pass",
        measured=f"accuracy of the network {setup.learned:.3f}; of the nearest training images, compared by "
        + ", ".join(f"{name} {value:.3f}" for name, value in told.items()),
        expected=f"corner, border and files below {enough:.3f} (the higher of {NEARLY} below the network and halfway "
        f"from chance to 1), or less than {MORE} above what the rest of the picture tells",
        fix=f"a shortcut: {' and '.join(hidden)} alone can tell the classes apart; look at how these images were "
        f"made, and {_remedy(hidden)}"
        if hidden
        else "",
    )


@dataclass(frozen=True)
class _Images:
    """To know, and to be asked: pixels, labels, and what their files tell, if that is known."""

    pixels: tuple[Tensor, Tensor]
    labels: tuple[Tensor, Tensor]
    files: tuple[Tensor, Tensor] | None


def _drawn(setup: Setup) -> _Images:
    known = setup.drawn(IMAGES, MOST_VALUES)
    asked = torch.arange(min(max(len(known), FEWEST_ASKED), IMAGES, len(setup.validation_labels)))
    files = None
    if setup.train_files is not None and setup.validation_files is not None:
        files = setup.train_files[known], setup.validation_files[asked]
    return _Images(
        pixels=(setup.train_pixels[known], setup.validation_pixels[asked]),
        labels=(setup.train_labels[known], setup.validation_labels[asked]),
        files=files,
    )


def _accuracy(images: _Images, parts: Sequence[Part]) -> float:
    """Of the part that tells most."""
    return max(_told((part(images.pixels[0]), part(images.pixels[1])), images.labels) for part in parts)


def _told_by_files(images: _Images, feature: Part) -> float:
    assert images.files is not None
    return _told((feature(images.files[0]), feature(images.files[1])), images.labels)


def _told(features: tuple[Tensor, Tensor], labels: tuple[Tensor, Tensor]) -> float:
    """Accuracy of what the nearest training images say, each class weighing the same."""
    right = (nearest_neighbours(features[0], labels[0], features[1]) == labels[1]).double()
    return float((class_weights(labels[1]) * right).sum())


def _remedy(hidden: Sequence[str]) -> str:
    if set(hidden) & FILE_FEATURES.keys():
        return "write the files of all classes in one way (size, format and quality)"
    return "crop or mask that part in every image"


def _inward(pixels: Tensor, place: int, axis: int, *, farther: bool) -> int:
    """The first or last place on an axis; or one farther in, beyond what a frame or a mark covers."""
    depth = max(3, pixels.shape[axis] // 8) if farther else 0
    return depth if place == 0 else pixels.shape[axis] - 1 - depth


def _corner(pixels: Tensor, row: int, column: int, *, farther: bool) -> Tensor:
    return pixels[:, _inward(pixels, row, 1, farther=farther), _inward(pixels, column, 2, farther=farther)].float()


def _side(pixels: Tensor, axis: int, place: int, *, farther: bool) -> Tensor:
    side = pixels.select(axis, _inward(pixels, place, axis, farther=farther)).float()
    return torch.cat([side.mean(1), side.std(1)], 1)


def _border(pixels: Tensor, *, farther: bool) -> Tensor:
    return torch.cat([_side(pixels, axis, place, farther=farther) for axis, place in PLACES], 1)


def _mean_and_contrast(pixels: Tensor) -> Tensor:
    parts = [part.float().flatten(1, 2) for part in pixels.split(AT_ONCE)]
    return torch.cat([torch.cat([part.mean(1), part.std(1)], 1) for part in parts])


def _inside(pixels: Tensor) -> Tensor:
    return thumbnails(pixels, border=1)


def _contrast_inside(pixels: Tensor) -> Tensor:
    return _mean_and_contrast(pixels[:, 1:-1, 1:-1])


PLACES = tuple((axis, place) for axis in (1, 2) for place in (0, -1))


def _corners(*, farther: bool) -> tuple[Part, ...]:
    return tuple(partial(_corner, row=row, column=column, farther=farther) for row in (0, -1) for column in (0, -1))


def _borders(*, farther: bool) -> tuple[Part, ...]:
    sides = (partial(_side, axis=axis, place=place, farther=farther) for axis, place in PLACES)
    return (*sides, partial(_border, farther=farther))


HIDDEN = {
    "the corner pixels": (_corners(farther=False), _corners(farther=True)),
    "the border": (_borders(farther=False), _borders(farther=True)),
}
INSIDE = "the inside"
SEEN: dict[str, tuple[Part, ...]] = {
    "mean and contrast": (_mean_and_contrast,),
    "a blurred thumbnail": (thumbnails,),
    INSIDE: (_inside, _contrast_inside),
}
