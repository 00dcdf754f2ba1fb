"""Rectangles of one color, where and as large as they are asked for."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from sanefit.components.foundation.image_dataset.batches import BatchPart
from sanefit.components.foundation.image_dataset.erasing import AREA, NUMBERS, erase

KEYS = torch.tensor([3, 1, 4, 1, 5])


def some_pixels(images: int, height: int = 24, width: int = 30) -> Tensor:
    """Without a pixel of its image's mean color."""
    random = torch.Generator().manual_seed(0)
    pixels = torch.randint(0, 2, (images, height, width, 3), generator=random) * 200 + 20
    return pixels.to(torch.uint8)


@pytest.mark.parametrize("probability", [0.25, 1.0])
def test_a_rectangle_of_its_mean_color_in_so_many_images(probability: float) -> None:
    pixels = some_pixels(400)
    before = pixels.clone()
    erased = erase(pixels, probability, KEYS)
    assert torch.equal(pixels, before)
    changed = (erased != pixels).all(dim=3)
    shares = []
    for image, new, where in zip(pixels, erased, changed, strict=True):
        if not where.any():
            continue
        rows, columns = where.any(dim=1).nonzero().flatten(), where.any(dim=0).nonzero().flatten()
        inside = new[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1].reshape(-1, 3)
        assert len(inside) == where.sum() == (new != image).any(dim=2).sum(), "nothing but one whole rectangle"
        assert torch.equal(inside, image.double().mean(dim=(0, 1)).round().to(torch.uint8).expand(len(inside), 3))
        shares.append(len(inside) / where.numel())
    assert len(shares) / 400 == pytest.approx(probability, abs=0.06)
    assert min(shares) > AREA[0] / 2
    assert max(shares) < AREA[1] * 1.1
    assert sum(shares) / len(shares) == pytest.approx(sum(AREA) / 2, abs=0.03)


def test_no_image_is_erased_with_probability_0() -> None:
    pixels = some_pixels(50)
    assert torch.equal(erase(pixels, 0.0, KEYS), pixels)


@settings(deadline=None, max_examples=30)
@given(st.integers(1, 17), st.integers(1, 4), st.lists(st.integers(0, 2**32 - 1), min_size=NUMBERS, max_size=NUMBERS))
def test_a_batch_that_is_dealt_to_processes_is_erased_as_one(images: int, ranks: int, keys: list[int]) -> None:
    pixels = some_pixels(images, 7, 5)
    whole = erase(pixels, 0.7, torch.tensor(keys))
    for part in (BatchPart(rank, ranks) for rank in range(min(ranks, images))):
        assert torch.equal(erase(part.of(pixels), 0.7, torch.tensor(keys), part), part.of(whole))
