"""Images that are changed at random, against torchvision image by image, and whoever changes them."""

import math
from typing import Any, get_args

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torchvision.transforms import v2
from torchvision.transforms.v2 import functional as library

from sanefit.components.foundation.image_dataset import operation_policies, random_resized_crop
from sanefit.components.foundation.image_dataset.augmentation import AUGMENTATIONS, FURTHER, augment, keys_of
from sanefit.components.foundation.image_dataset.batches import BatchPart
from sanefit.components.foundation.image_dataset.image_operations import OPERATIONS
from sanefit.components.foundation.image_dataset.operation_policies import rand_space, trivial_space
from sanefit.components.foundation.schemas.training import Augmentation

KINDS = get_args(Augmentation)
# torchvision's names, in its order.
LIBRARY = dict(zip(OPERATIONS, v2.TrivialAugmentWide._AUGMENTATION_SPACE, strict=True))


def some_pixels(images: int = 12, height: int = 20, width: int = 26, channels: int = 3) -> Tensor:
    """Smooth, as photographs are, so that an operation that is wrong shows."""
    random = torch.Generator().manual_seed(images)
    coarse = torch.rand(images, channels, 5, 6, generator=random)
    smooth = torch.nn.functional.interpolate(coarse, (height, width), mode="bicubic", align_corners=False)
    return (smooth * 255).clamp(0, 255).round().to(torch.uint8).permute(0, 2, 3, 1)


def keys_for(kind: Augmentation, seed: int = 0) -> Tensor:
    return torch.randint(0, 2**32, (keys_of(kind),), generator=torch.Generator().manual_seed(seed))


def by_torchvision(image: Tensor, name: str, magnitude: float) -> Tensor:
    """One operation on (channels, height, width), as torchvision's policies apply it."""
    policy: Any = v2.TrivialAugmentWide()
    units = {"posterize": 8 - round(magnitude), "solarize": (255 - magnitude) / 255}
    applied: Tensor = policy._apply_image_or_video_transform(
        image, LIBRARY[name], units.get(name, magnitude), policy.interpolation, policy._fill
    )
    return applied


def assert_nearly(changed: Tensor, expected: Tensor) -> None:
    """But for halves that are rounded otherwise: a gray level here and there, or the neighbor of a pixel."""
    assert changed.dtype == expected.dtype == torch.uint8
    differ = (changed.int() - expected.int()).abs() > 2
    assert differ.float().mean() < 0.02


def test_names_and_largest_magnitudes_are_torchvisions() -> None:
    spaces: dict[Any, Any] = {v2.TrivialAugmentWide: trivial_space(64, 48), v2.RandAugment: rand_space(64, 48)}
    for policy, space in spaces.items():
        assert [name.lower() for name in policy._AUGMENTATION_SPACE] == [name.replace("_", "") for name in space]
        for name, largest in space.items():
            magnitudes, signed = policy._AUGMENTATION_SPACE[LIBRARY[name]]
            assert OPERATIONS[name].signed == signed
            end = magnitudes(31, 64, 48)
            units = {"posterize": lambda bits: 8 - bits, "solarize": lambda share: 255 * (1 - share)}
            expected = 0.0 if end is None else float(units.get(name, float)(end[-1]))
            assert largest == pytest.approx(expected)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("name", OPERATIONS)
def test_an_operation_is_torchvisions_with_a_magnitude_for_each_image(name: str, channels: int) -> None:
    images = some_pixels(channels=channels).permute(0, 3, 1, 2)
    largest = trivial_space(20, 26)[name]
    share = torch.linspace(-1 if OPERATIONS[name].signed else 0, 1, len(images))
    changed = OPERATIONS[name].operate(images, share * largest)
    for image, one, magnitude in zip(images, changed, (share * largest).tolist(), strict=True):
        assert_nearly(one, by_torchvision(image, name, magnitude))


@pytest.mark.parametrize("name", [name for name in OPERATIONS if name not in ("autocontrast", "equalize", "solarize")])
def test_an_operation_of_magnitude_0_does_nothing(name: str) -> None:
    images = some_pixels().permute(0, 3, 1, 2)
    assert torch.equal(OPERATIONS[name].operate(images, torch.zeros(len(images))), images)


@pytest.mark.parametrize("channels", [1, 3])
def test_trivial_augment_takes_one_operation_for_each_image(channels: int) -> None:
    pixels = some_pixels(200, channels=channels)
    uniform = torch.rand(3, 200, generator=torch.Generator().manual_seed(1))
    changed = operation_policies.trivial_augment(pixels, uniform)
    names = [name for name in OPERATIONS if channels == 3 or name != "color"]
    space = trivial_space(20, 26)
    for image, one, (which, bin_, sign) in zip(pixels, changed, uniform.T.tolist(), strict=True):
        name = names[int(which * len(names))]
        magnitude = math.floor(bin_ * 31) / 30 * space[name]
        signed = -magnitude if OPERATIONS[name].signed and sign < 0.5 else magnitude
        assert_nearly(one.permute(2, 0, 1), by_torchvision(image.permute(2, 0, 1), name, signed))


def test_rand_augment_takes_two_of_magnitude_9() -> None:
    pixels = some_pixels(150)
    uniform = torch.rand(4, 150, generator=torch.Generator().manual_seed(1))
    changed = operation_policies.rand_augment(pixels, uniform)
    names, space = list(OPERATIONS), rand_space(20, 26)
    for image, one, numbers in zip(pixels, changed, uniform.T.tolist(), strict=True):
        expected = image.permute(2, 0, 1)
        for which, sign in (numbers[:2], numbers[2:]):
            name = names[int(which * len(names))]
            magnitude = 9 / 30 * space[name] * (-1 if OPERATIONS[name].signed and sign < 0.5 else 1)
            expected = by_torchvision(expected, name, magnitude)
        assert_nearly(one.permute(2, 0, 1), expected)


@pytest.mark.parametrize(("side", "least"), [(32, 0.25), (80, 0.08)])
def test_a_resized_crop_is_torchvisions_of_the_same_part(side: int, least: float) -> None:
    pixels = some_pixels(60, side, side + 4)
    uniform = torch.rand(4, 60, generator=torch.Generator().manual_seed(2))
    changed = random_resized_crop.resized_crop(pixels, uniform)
    for image, one, (area, ratio, row, column) in zip(pixels, changed, uniform.T.tolist(), strict=True):
        size = side * (side + 4) * (least + (1 - least) * area)
        aspect = (4 / 3) ** (2 * ratio - 1)
        height, width = min(side, round((size / aspect) ** 0.5)), min(side + 4, round((size * aspect) ** 0.5))
        top, left = int(row * (side - height + 1)), int(column * (side + 4 - width + 1))
        expected = library.resized_crop(image.permute(2, 0, 1), top, left, height, width, [side, side + 4])
        assert_nearly(one.permute(2, 0, 1), expected)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("kind", KINDS)
def test_pixels_stay_pixels_and_are_not_touched(kind: Augmentation, channels: int) -> None:
    pixels = some_pixels(9, 8, 8, channels)
    before = pixels.clone()
    changed = augment(pixels, kind, keys_for(kind))
    assert torch.equal(pixels, before)
    assert (changed.dtype, changed.shape) == (torch.uint8, pixels.shape)
    assert torch.equal(changed, pixels) == (kind == "none")
    assert torch.equal(augment(pixels, kind, keys_for(kind)), changed)
    if kind in FURTHER:
        plain = "flip" if kind == "resized_crop" else "flip_crop"
        assert not torch.equal(changed, augment(pixels, plain, keys_for(kind)[:3]))


@settings(deadline=None, max_examples=40)
@given(st.sampled_from(KINDS), st.integers(1, 17), st.integers(1, 4), st.integers(0, 5))
def test_a_batch_that_is_dealt_to_processes_is_changed_as_one(
    kind: Augmentation, images: int, ranks: int, seed: int
) -> None:
    """To the last bit: an image's change depends on its place in the whole batch alone."""
    pixels, keys = some_pixels(images, 9, 11), keys_for(kind, seed)
    whole = augment(pixels, kind, keys)
    for part in (BatchPart(rank, ranks) for rank in range(min(ranks, images))):
        assert torch.equal(augment(part.of(pixels), kind, keys, part), part.of(whole))


def test_the_simple_kinds_are_what_they_always_were() -> None:
    """Sums of earlier versions: what was trained before is trained again to the same digits."""
    pixels = torch.arange(6 * 20 * 20 * 3).reshape(6, 20, 20, 3).mul(7919).remainder(251).to(torch.uint8)
    weights = torch.arange(pixels.numel()).reshape(pixels.shape).remainder(9973)
    keys = torch.tensor([11, 22, 33])
    sums = {kind: int((augment(pixels, kind, keys).long() * weights).sum()) for kind in ("flip", "crop", "flip_crop")}
    assert sums == SUMS


SUMS = {"flip": 3240240968, "crop": 3192842734, "flip_crop": 3193175560}


def test_every_kind_has_its_place() -> None:
    assert set(FURTHER) < set(AUGMENTATIONS)
    assert [keys_of(kind) for kind in ("none", "flip", "resized_crop", "rand_augment")] == [3, 3, 7, 7]
