"""Classes that are written beside the picture."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from sanefit.components.sanity_checks.checks.shortcuts import check_shortcuts
from sanefit.components.sanity_checks.setup import Setup

CLASSES, IMAGES, SIDE = 5, 600, 16


def images(seed: int) -> tuple[Tensor, Tensor]:
    """Noise, in which neighbors see nothing; a network may."""
    random = torch.Generator().manual_seed(seed)
    labels = torch.randint(0, CLASSES, (IMAGES,), generator=random)
    pixels = torch.randint(60, 140, (IMAGES, SIDE, SIDE, 3), dtype=torch.uint8, generator=random)
    return pixels, labels


def setup_with(written: str) -> Setup:
    (train, train_labels), (validation, validation_labels) = images(0), images(1)
    for pixels, labels in ((train, train_labels), (validation, validation_labels)):
        value = (20 + 40 * labels).to(torch.uint8)
        if written == "corner":
            pixels[:, 0, -1] = value[:, None]
        elif written == "border":
            pixels[:, 0] = value[:, None, None]
    setup = Setup(nn.Identity(), CLASSES, train, train_labels, validation, validation_labels)
    return replace(setup, learned=0.95)


@pytest.mark.parametrize(
    ("written", "words"), [("", ""), ("corner", "the corner pixels alone"), ("border", "the border")]
)
def test_classes_in_a_corner_or_the_border_are_told(written: str, words: str) -> None:
    gate = check_shortcuts(setup_with(written))
    assert gate is not None
    assert gate.verdict == ("warn" if written else "pass")
    assert words in gate.fix
    assert ("shortcut" in gate.fix) == bool(written)


def test_colors_that_fill_the_picture_are_no_shortcut() -> None:
    sound = setup_with("")
    train, validation = (
        (100 + 20 * labels[:, None, None, None] + pixels // 8).to(torch.uint8)
        for pixels, labels in (
            (sound.train_pixels[:], sound.train_labels),
            (sound.validation_pixels[:], sound.validation_labels),
        )
    )
    gate = check_shortcuts(replace(sound, train_pixels=train, validation_pixels=validation))
    assert gate is not None
    assert gate.verdict == "pass"


def test_nothing_is_said_where_nothing_was_trained_or_images_have_no_inside() -> None:
    sound = setup_with("")
    assert check_shortcuts(replace(sound, learned=None)) is None
    tiny = replace(
        sound, train_pixels=sound.train_pixels[:, :4, :4], validation_pixels=sound.validation_pixels[:, :4, :4]
    )
    assert check_shortcuts(tiny) is None
