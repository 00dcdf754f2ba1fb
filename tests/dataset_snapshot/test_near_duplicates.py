"""Copies of pictures are found, and pictures of other things are not."""

import io
import tracemalloc
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageEnhance, ImageFilter
from said import Said
from sklearn.datasets import load_digits

from sanefit.components.dataset_snapshot import near_duplicates, similar_pairs_in_cells
from sanefit.components.dataset_snapshot.near_duplicates import near_duplicate_pairs
from sanefit.components.dataset_snapshot.snapshot import take_snapshot
from sanefit.components.foundation.image_dataset.picture_content import thumbnail
from sanefit.components.foundation.image_dataset.shards import BUNDLE, LABEL, read_index, read_manifest
from sanefit.components.foundation.image_dataset.sources.listing import list_source
from sanefit.components.foundation.schemas.data_settings import DataSettings
from sanefit.components.foundation.schemas.images import SPLITS

Pixels = NDArray[np.uint8]
PLANTED = 300
FOUND = 0.95
FALSE = 0.001  # of all pictures


def encoded(picture: Image.Image, kind: str, **options: int) -> Image.Image:
    buffer = io.BytesIO()
    picture.save(buffer, kind, **options)
    return Image.open(buffer).convert("RGB")


def scaled(picture: Image.Image, share: float) -> Image.Image:
    return picture.resize((round(picture.width * share), round(picture.height * share)), Image.Resampling.BILINEAR)


def cropped(picture: Image.Image, left: int, top: int, right: int, bottom: int) -> Image.Image:
    return picture.crop((left, top, picture.width - right, picture.height - bottom))


COPIES: dict[str, Callable[[Image.Image], Image.Image]] = {
    "encoded as JPEG": lambda picture: encoded(picture, "JPEG", quality=40),
    "encoded as WebP": lambda picture: encoded(picture, "WEBP", quality=60),
    "half as large": lambda picture: scaled(picture, 0.5),
    "larger": lambda picture: scaled(picture, 1.7),
    "cropped at all sides": lambda picture: cropped(picture, 2, 2, 2, 2),
    "cropped at one side": lambda picture: cropped(picture, 3, 0, 0, 0),
    "brighter": lambda picture: ImageEnhance.Brightness(picture).enhance(1.2),
    "with more contrast": lambda picture: ImageEnhance.Contrast(picture).enhance(1.4),
    "blurred": lambda picture: picture.filter(ImageFilter.GaussianBlur(0.8)),
    "gray": lambda picture: picture.convert("L").convert("RGB"),
}


def small(picture: Image.Image) -> Pixels:
    return thumbnail(np.asarray(picture))


def alike(one: Image.Image, other: Image.Image) -> bool:
    """By another measure: the correlation of edges, at all pixels, where the middle of one fits the other best."""
    return max(_fit(one, other), _fit(other, one)) > 0.5


def _fit(one: Image.Image, other: Image.Image) -> float:
    inner = edges(one)[4:-4, 4:-4].ravel()
    best = -1.0
    for side in (30, 32, 34, 36):
        found = edges(other.resize((side, side), Image.Resampling.BILINEAR))
        height, width = found.shape[0] - 22, found.shape[1] - 22
        for row in range(height):
            for column in range(width):
                best = max(best, np.corrcoef(inner, found[row : row + 22, column : column + 22].ravel())[0, 1])
    return best


def edges(picture: Image.Image) -> NDArray[np.float64]:
    """How much light changes to the right and down."""
    gray = np.asarray(picture.convert("L"), dtype=np.float64)
    return np.hypot(gray[1:-1, 2:] - gray[1:-1, :-2], gray[2:, 1:-1] - gray[:-2, 1:-1])


@pytest.fixture(scope="module")
def photographs(cifar10_archive: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Image.Image]:
    """The 5,000 first ones of CIFAR-10, of all classes."""
    listed = list_source(f"tar:{cifar10_archive}", tmp_path_factory.mktemp("scratch")).images
    return [Image.open(io.BytesIO(image.location.read())).convert("RGB") for image in listed[::10]]


@pytest.mark.slow
@pytest.mark.parametrize("looked_in", [0, 6])
def test_planted_copies_are_found(
    photographs: list[Image.Image], looked_in: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Among all pairs, and in cells: six of 64 are a larger share than is looked in of a large set's, but of few."""
    if looked_in:
        monkeypatch.setattr(near_duplicates, "MOST_PAIRS", 0)
        monkeypatch.setattr(similar_pairs_in_cells, "LOOKED_IN", looked_in)
    random, copies = np.random.default_rng(0), list(COPIES.values())
    originals = random.choice(len(photographs), PLANTED, replace=False).tolist()
    planted = [small(copies[place % len(copies)](photographs[number])) for place, number in enumerate(originals)]
    thumbnails = np.stack([*(small(picture) for picture in photographs), *planted])
    pairs = near_duplicate_pairs(thumbnails, len(photographs), workers=1).tolist()
    found = [[number, len(photographs) + place] in pairs for place, number in enumerate(originals)]
    assert np.mean(found) >= FOUND
    unlike = [
        (one, other)
        for one, other in pairs
        if not alike(photographs[one], photographs[originals[other - len(photographs)]])
    ]
    assert len(unlike) <= FALSE * len(thumbnails)


@pytest.mark.slow
def test_what_is_called_a_copy_is_one_where_it_is_looked_at_in_full(photographs: list[Image.Image]) -> None:
    thumbnails = np.stack([small(picture) for picture in photographs])
    pairs = near_duplicate_pairs(thumbnails, 0, workers=1).tolist()
    unlike = [(one, other) for one, other in pairs if not alike(photographs[one], photographs[other])]
    assert pairs
    assert 2 * len(unlike) <= FALSE * len(photographs)


def test_no_two_digits_are_copies() -> None:
    scans = np.rint(load_digits().images * (255 / 16)).astype(np.uint8)[..., np.newaxis]
    thumbnails = np.stack([thumbnail(scan) for scan in scans])
    assert len(near_duplicate_pairs(thumbnails, 0, workers=1)) <= FALSE * len(scans) / 2


def shapes(count: int, seed: int = 0) -> list[Image.Image]:
    """Smooth pictures, all of them different."""
    random = np.random.default_rng(seed)
    rough = random.integers(50, 180, (count, 6, 6, 3), dtype=np.uint8)
    return [Image.fromarray(one).resize((48, 48), Image.Resampling.BICUBIC) for one in rough]


@pytest.mark.parametrize("kind", COPIES)
def test_a_copy_is_found_among_shapes(kind: str) -> None:
    pictures = shapes(60)
    thumbnails = np.stack([small(picture) for picture in [*pictures, COPIES[kind](pictures[17])]])
    assert near_duplicate_pairs(thumbnails, 60, workers=1).tolist() == [[17, 60]]
    assert near_duplicate_pairs(thumbnails, 0, workers=1).tolist() == [[17, 60]]


def test_pairs_of_known_pictures_are_not_looked_for_again() -> None:
    pictures = shapes(30)
    thumbnails = np.stack([small(picture) for picture in [*pictures, pictures[3], *shapes(3, seed=1)]])
    assert near_duplicate_pairs(thumbnails, 31, workers=1).tolist() == []


@pytest.mark.parametrize("count", [0, 1, 2, 5])
def test_few_pictures(count: int) -> None:
    thumbnails = np.stack([*(small(picture) for picture in shapes(count)), np.zeros((16, 16), np.uint8)])[:count]
    assert len(near_duplicate_pairs(thumbnails, 0, workers=1)) == 0


def test_pictures_without_contrast_are_nobody_s_copies() -> None:
    flat = np.full((20, 16, 16), 9, dtype=np.uint8)
    assert len(near_duplicate_pairs(flat, 0, workers=1)) == 0
    assert len(near_duplicate_pairs(np.concatenate([flat, [small(one) for one in shapes(20)]]), 0, workers=1)) == 0


def test_workers_do_not_change_what_is_found() -> None:
    pictures = shapes(200)
    thumbnails = np.stack([small(picture) for picture in [*pictures, *(scaled(one, 0.7) for one in pictures)]])
    one, three = (near_duplicate_pairs(thumbnails, 0, workers) for workers in (1, 3))
    np.testing.assert_array_equal(one, three)
    assert {(number, number + 200) for number in range(200)} <= set(map(tuple, one.tolist()))


def test_copies_share_a_split_and_are_listed(tmp_path: Path) -> None:
    for label, seed in (("cat", 0), ("dog", 1)):
        folder = tmp_path / "images" / label
        folder.mkdir(parents=True)
        for number, picture in enumerate(shapes(40, seed)):
            picture.save(folder / f"{number}.png")
            if number < 12:
                picture.save(folder / f"{number}-again.jpg", quality=70)
    said = Said()
    dataset = take_snapshot(DataSettings(source=f"folder:{tmp_path / 'images'}"), str(tmp_path / "storage"), said)
    manifest = read_manifest(dataset)
    assert manifest.near_duplicates == 24
    assert all(near.splits[0] == near.splits[1] for near in manifest.near_examples)
    for near in manifest.near_examples:
        assert {Path(path).stem.removesuffix("-again") for path in near.paths} == {
            Path(near.paths[0]).stem[:2].strip("-")
        }
    assert any("24 pairs of images are nearly the same" in line and "share a split" in line for line in said)
    bundles = Counter(bundle for split in SPLITS for bundle in read_index(dataset, split, manifest)[:, BUNDLE].tolist())
    assert Counter(bundles.values()) == {2: 24, 1: 56}


def test_images_of_a_group_are_of_one_bundle_in_whatever_order_they_come(tmp_path: Path) -> None:
    for number, picture in enumerate(shapes(60)):
        folder = tmp_path / "images" / ("cat" if number % 12 < 6 else "dog") / f"patient{number // 6}"
        folder.mkdir(parents=True, exist_ok=True)
        picture.save(folder / f"{number}.png")
    settings = DataSettings(source=f"folder:{tmp_path / 'images'}", group="folder:1")
    dataset = take_snapshot(settings, str(tmp_path / "storage"), Said())
    index = np.concatenate([read_index(dataset, split, read_manifest(dataset)) for split in SPLITS])
    assert Counter(Counter(index[:, BUNDLE].tolist()).values()) == {6: 10}
    assert all(len(set(index[index[:, BUNDLE] == bundle, LABEL])) == 1 for bundle in range(10))
    alone = take_snapshot(DataSettings(source=settings.source), str(tmp_path / "other"), Said())
    assert alone.fingerprint != dataset.fingerprint


def test_a_set_that_is_all_alike_takes_little_memory() -> None:
    random = np.random.default_rng(0)
    base = np.asarray(shapes(1)[0].convert("L").resize((16, 16)))
    thumbnails = (base + random.normal(0, 1, (6000, 16, 16))).clip(0, 255).astype(np.uint8)
    tracemalloc.start()
    pairs = near_duplicate_pairs(thumbnails, 0, workers=1)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 160 * 2**20
    assert len(pairs) <= 8 * len(thumbnails)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("shape", [(32, 32), (48, 20), (7, 90), (16, 16), (8, 8), (300, 200), (1200, 900)])
def test_a_thumbnail_is_as_pillow_s(shape: tuple[int, int], channels: int) -> None:
    random = np.random.default_rng(0)
    rough = Image.fromarray(random.integers(0, 256, (9, 9, 3), dtype=np.uint8))
    picture = rough.resize(shape[::-1], Image.Resampling.BICUBIC)
    gray = picture.convert("L")
    expected = np.asarray(gray.resize((16, 16), Image.Resampling.BILINEAR), dtype=int)
    pixels = np.asarray(gray)[..., np.newaxis] if channels == 1 else np.asarray(picture)
    difference = np.abs(thumbnail(pixels) - expected)
    assert difference.max() <= 1 if max(shape) <= 128 else difference.mean() <= 4
