"""Classes that are written beside the picture."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits
from torch import Tensor, nn

from sanefit.components.sanity_checks.checks.shortcuts import check_shortcuts
from sanefit.components.sanity_checks.file_features import encoded_bytes
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


def with_files(sound: Setup, facts: Callable[[Tensor, torch.Generator], list[Tensor]]) -> Setup:
    """Files that say what ``facts`` makes of labels: bytes, width, height, format."""
    random = torch.Generator().manual_seed(5)
    train, validation = (
        torch.stack(facts(labels, random), 1) for labels in (sound.train_labels, sound.validation_labels)
    )
    return replace(sound, train_files=train, validation_files=validation)


def chance(labels: Tensor, random: torch.Generator) -> Tensor:
    return torch.randint(900, 1100, labels.shape, generator=random)


@pytest.mark.parametrize(
    ("column", "words"),
    [(None, ""), (0, "the length of the file alone"), (1, "the size before scaling"), (3, "the format of the file")],
)
def test_classes_in_the_files_are_told(column: int | None, words: str) -> None:
    def facts(labels: Tensor, random: torch.Generator) -> list[Tensor]:
        made = [chance(labels, random), chance(labels, random), chance(labels, random), torch.zeros_like(labels)]
        if column == 3:
            made[3] = labels
        elif column is not None:
            made[column] = made[column] + 1000 * labels
        return made

    gate = check_shortcuts(with_files(setup_with(""), facts))
    assert gate is not None
    assert gate.verdict == ("warn" if words else "pass")
    assert words in gate.fix
    assert ("in one way" in gate.fix) == bool(words)


@pytest.mark.parametrize("quality", [60, 97])
def test_files_are_longer_where_pictures_are_busier(quality: int) -> None:
    sound = setup_with("")
    busy = {}
    for split, labels in (("train", sound.train_labels), ("validation", sound.validation_labels)):
        noise = getattr(sound, f"{split}_pixels").float() - 100
        busy[f"{split}_pixels"] = (128 + noise * labels[:, None, None, None] / 2).clamp(0, 255).to(torch.uint8)
    sound = replace(sound, **busy)
    made = []
    for pixels in (sound.train_pixels[:], sound.validation_pixels[:]):
        length = encoded_bytes(pixels, quality).long()
        made.append(torch.cat([length, *[torch.full_like(length, value) for value in (SIDE, SIDE, 0)]], 1))
    gate = check_shortcuts(replace(sound, train_files=made[0], validation_files=made[1]))
    assert gate is not None
    assert "the length of the file 1.000" in gate.measured or "the length of the file 0.9" in gate.measured
    assert gate.verdict == "pass"


@pytest.mark.parametrize("side", [1, 3])
def test_a_mark_in_a_corner_is_told_though_the_picture_tells_the_classes_too(side: int) -> None:
    data = load_digits()
    labels = torch.from_numpy(data.target).long()
    pixels = torch.from_numpy((data.images * 15).astype(np.uint8))[..., None]
    pixels = pixels.repeat_interleave(4, 1).repeat_interleave(4, 2)
    sound = Setup(nn.Identity(), 10, pixels[:1400], labels[:1400], pixels[1400:], labels[1400:], learned=0.95)
    gate = check_shortcuts(sound)
    assert gate is not None
    assert gate.verdict == "pass"
    pixels[:, :side, -side:] = (25 * labels).to(torch.uint8)[:, None, None, None]
    gate = check_shortcuts(sound)
    assert gate is not None
    assert gate.verdict == "warn"
    assert "the corner pixels" in gate.fix
