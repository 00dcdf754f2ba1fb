"""How many of many shifts ``sanefit drift`` finds, and how many samples without one it leaves alone.

A convnet is trained on nine classes of CIFAR-10, or a two-layer network on nine digits; the tenth class is a new one.
Training, validation and later images are drawn anew for each repetition of an undrifted sample; the model stays. The
thresholds are the command's defaults.
"""

import argparse
import io
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from figures import print_figure
from listed_sources import read_all
from numpy.typing import NDArray
from PIL import Image, ImageFilter
from scipy.ndimage import rotate

from sanefit.components.foundation.classifiers.classifier import ProbabilityModel, build_classifier
from sanefit.components.foundation.image_dataset.decoding import decode
from sanefit.components.foundation.schemas.drift import DriftSettings
from sanefit.components.foundation.schemas.networks import ConvNetSettings, NetworkSettings, TwoLayerSettings
from sanefit.components.foundation.schemas.statistics import ChannelStats
from sanefit.components.model_registry.drift.drift import DriftReport, compare
from sanefit.components.model_registry.drift.image_sample import ImageSample, image_statistics, sample_of

Pixels = NDArray[np.uint8]
Labels = NDArray[np.int64]
Shift = Callable[[Pixels, np.random.Generator], Pixels]
UNDRIFTED, DRAWS = 20, 3


@dataclass(frozen=True)
class Split:
    pixels: Pixels
    labels: Labels

    def drawn(self, images: int, random: np.random.Generator) -> "Split":
        return self.part(random.permutation(len(self.labels))[:images])

    def first(self, images: int) -> "Split":
        return Split(self.pixels[:images], self.labels[:images])

    def part(self, numbers: Labels) -> "Split":
        return Split(self.pixels[numbers], self.labels[numbers])


@dataclass(frozen=True)
class Setting:
    """``old``: images of the nine classes that the model was not trained on. ``new``: of the tenth."""

    name: str
    train: Split
    old: Split
    new: Split
    model: ProbabilityModel
    validation: int
    images: int


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cifar10", type=Path, help="archive of CIFAR-10's training images")
    parser.add_argument("--undrifted", type=int, default=UNDRIFTED, help="samples without a shift")
    parser.add_argument("--draws", type=int, default=DRAWS, help="samples of each shift")
    given = parser.parse_args()
    setting = _cifar10(given.cifar10) if given.cifar10 else _digits()
    _undrifted(setting, given.undrifted)
    _shifts(setting, given.draws)


def _undrifted(setting: Setting, samples: int) -> None:
    called: list[list[str]] = []
    seconds = []
    for seed in range(samples):
        reference, later = _drawn(setting, seed)
        started = time.perf_counter()
        report = _compared(setting, reference, later.first(setting.images), seed)
        seconds.append(time.perf_counter() - started)
        called += [[one.name for one in report.drifted]] if report.drifted else []
    print_figure(
        f"drift: {setting.name}, undrifted samples left alone",
        samples - len(called),
        "samples",
        samples,
        images=setting.images,
        validation_images=setting.validation,
        called=called,
        seconds_each=round(float(np.median(seconds)), 1),
    )


def _shifts(setting: Setting, draws: int) -> None:
    found = {}
    for name, shifted in shifts_of(setting).items():
        times = 0
        named: set[str] = set()
        for seed in range(draws):
            reference, later = _drawn(setting, 1000 + seed)
            today = shifted(later, np.random.default_rng(seed)).first(setting.images)
            report = _compared(setting, reference, today, seed)
            times += bool(report.drifted)
            named |= {one.name for one in report.drifted}
        found[name] = times
        print_figure(f"drift: {setting.name}, {name}, found", times, "samples", draws, by=sorted(named))
    print_figure(
        f"drift: {setting.name}, shifts found in every sample",
        sum(times == draws for times in found.values()),
        "shifts",
        len(found),
        missed={name: draws - times for name, times in found.items() if times < draws},
    )


def _drawn(setting: Setting, seed: int) -> tuple[ImageSample, Split]:
    """A reference and later images, more than are drawn; they share no image."""
    random = np.random.default_rng(seed)
    order = random.permutation(len(setting.old.labels))
    validation = setting.old.part(order[: setting.validation])
    later = setting.old.part(order[setting.validation :])
    statistics = image_statistics(setting.train.drawn(2000, random).pixels)
    return sample_of(statistics, _answers(setting, validation.pixels)), later


def _compared(setting: Setting, reference: ImageSample, later: Split, seed: int) -> DriftReport:
    today = sample_of(image_statistics(later.pixels), _answers(setting, later.pixels))
    return compare(reference, today, later.pixels.shape[3], DriftSettings(), seed)


@torch.no_grad()
def _answers(setting: Setting, pixels: Pixels) -> NDArray[np.float32]:
    parts = [setting.model(torch.from_numpy(pixels[start : start + 500])) for start in range(0, len(pixels), 500)]
    return np.asarray(torch.cat(parts))


def shifts_of(setting: Setting) -> dict[str, Callable[[Split, np.random.Generator], Split]]:
    """By name; those of color are left out of gray images. Each is given more images than are drawn."""
    of_pixels: dict[str, Shift] = {
        **{f"brightness x {factor}": _times(factor) for factor in (0.6, 0.8, 1.2, 1.4)},
        **{f"contrast x {factor}": _contrast(factor) for factor in (0.6, 0.8)},
        **{f"gamma {gamma}": _gamma(gamma) for gamma in (0.7, 1.4)},
        **{
            f"blur, sigma {sigma}": _each(lambda one, s=sigma: one.filter(ImageFilter.GaussianBlur(s)))
            for sigma in (0.5, 1)
        },
        **{f"noise, sigma {sigma}": _noise(sigma) for sigma in (5, 15)},
        **{f"JPEG of quality {quality}": _each(lambda one, q=quality: _jpeg(one, q)) for quality in (10, 30)},
        **{f"cropped to {share:.0%}": _each(lambda one, s=share: _crop(one, s)) for share in (0.7, 0.85)},
        "smaller, on black": _each(_smaller),
        "turned by up to 30 degrees": _turned,
        "upside down": lambda pixels, _: pixels[:, ::-1],
        "inverted": lambda pixels, _: 255 - pixels,
        "a black square on it": _covered,
    }
    if setting.train.pixels.shape[3] == 3:
        of_pixels |= {
            "new camera: warmer, gamma 1.2": _camera((1.15, 1.0, 0.85), 1.2),
            "new camera: cooler, gamma 0.9": _camera((0.92, 1.0, 1.08), 0.9),
            "gray": _each(lambda one: one.convert("L").convert("RGB")),
            "red and blue exchanged": lambda pixels, _: pixels[..., ::-1],
        }
    shifts = {name: _of_pixels(shift, setting.images) for name, shift in of_pixels.items()}
    shifts |= {f"one class x {factor}": _more_of_one(factor) for factor in (2, 4)}
    shifts["half of the classes gone"] = _half_gone
    return shifts | {
        f"{share:.0%} of a new class": _with_new(setting.new, share, setting.images) for share in (0.2, 0.5)
    }


def _of_pixels(shift: Shift, images: int) -> Callable[[Split, np.random.Generator], Split]:
    def shifted(split: Split, random: np.random.Generator) -> Split:
        first = split.first(images)
        return Split(np.ascontiguousarray(shift(first.pixels, random)), first.labels)

    return shifted


def _clipped(levels: NDArray[np.float64]) -> Pixels:
    return np.rint(np.clip(levels, 0, 255)).astype(np.uint8)


def _times(factor: float) -> Shift:
    return lambda pixels, _: _clipped(pixels * factor)


def _contrast(factor: float) -> Shift:
    return lambda pixels, _: _clipped(128 + (pixels.astype(np.float64) - 128) * factor)


def _gamma(gamma: float) -> Shift:
    return lambda pixels, _: _clipped(255 * (pixels / 255) ** gamma)


def _noise(sigma: float) -> Shift:
    return lambda pixels, random: _clipped(pixels + random.normal(0, sigma, pixels.shape))


def _camera(gains: tuple[float, float, float], gamma: float) -> Shift:
    return lambda pixels, _: _clipped(255 * np.clip(pixels * np.array(gains) / 255, 0, 1) ** gamma)


def _covered(pixels: Pixels, random: np.random.Generator) -> Pixels:
    covered, side = pixels.copy(), pixels.shape[1] // 4
    for image, (row, column) in zip(covered, random.integers(0, pixels.shape[1] - side, (len(pixels), 2)), strict=True):
        image[row : row + side, column : column + side] = 0
    return covered


def _turned(pixels: Pixels, random: np.random.Generator) -> Pixels:
    angles = random.uniform(-30, 30, len(pixels))
    turned = [
        rotate(one, angle, reshape=False, order=1, mode="nearest") for one, angle in zip(pixels, angles, strict=True)
    ]
    return np.stack(turned)


def _each(change: Callable[[Image.Image], Image.Image]) -> Shift:
    def changed(one: Pixels) -> Pixels:
        return np.asarray(change(Image.fromarray(one[..., 0] if one.shape[2] == 1 else one))).reshape(one.shape)

    return lambda pixels, _: np.stack([changed(one) for one in pixels])


def _jpeg(image: Image.Image, quality: int) -> Image.Image:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=quality)
    return Image.open(buffer)


def _crop(image: Image.Image, share: float) -> Image.Image:
    cut = (1 - share) / 2 * image.width
    return image.resize(image.size, Image.Resampling.BILINEAR, (cut, cut, image.width - cut, image.height - cut))


def _smaller(image: Image.Image) -> Image.Image:
    canvas = Image.new(image.mode, image.size)
    small = image.resize((image.width * 3 // 4, image.height * 3 // 4), Image.Resampling.BILINEAR)
    canvas.paste(small, (image.width // 8, image.height // 8))
    return canvas


def _more_of_one(factor: float) -> Callable[[Split, np.random.Generator], Split]:
    def shifted(split: Split, random: np.random.Generator) -> Split:
        """Images of other classes are left out, as many as it takes."""
        kept = (split.labels == 0) | (random.random(len(split.labels)) < 1 / factor)
        return split.part(np.flatnonzero(kept))

    return shifted


def _half_gone(split: Split, _: np.random.Generator) -> Split:
    return split.part(np.flatnonzero(split.labels % 2 == 0))


def _with_new(new: Split, share: float, images: int) -> Callable[[Split, np.random.Generator], Split]:
    def shifted(split: Split, random: np.random.Generator) -> Split:
        count = min(round(share * images), len(new.labels))
        kept, added = split.first(round(count / share) - count), new.drawn(count, random)
        return Split(np.concatenate([kept.pixels, added.pixels]), np.concatenate([kept.labels, added.labels]))

    return shifted


def _cifar10(archive: Path) -> Setting:
    read = read_all(f"tar:{archive}")
    classes = sorted({one.class_name for one in read})
    pixels = np.stack([decode(one.content, one.path) for one in read])
    labels = np.array([classes.index(one.class_name) for one in read])
    network = ConvNetSettings(kind="convnet", channels=(16, 32, 64), init="he", batch_norm=True)
    return _trained("CIFAR-10", Split(pixels, labels), network, (15_000, 2000, 2000), epochs=4)


def _digits() -> Setting:
    read = read_all("digits")
    pixels = np.stack([np.frombuffer(one.content, dtype=np.uint8).reshape(8, 8, 1) for one in read])
    labels = np.array([int(one.class_name) for one in read])
    network = TwoLayerSettings(kind="two_layer", hidden=64)
    return _trained("digits", Split(pixels, labels), network, (800, 300, 500), epochs=30)


def _trained(name: str, images: Split, network: NetworkSettings, sizes: tuple[int, int, int], epochs: int) -> Setting:
    """``sizes``: of the training images, the validation images, and a later sample."""
    new = images.labels == images.labels.max()
    old = images.part(np.random.default_rng(0).permutation(np.flatnonzero(~new)))
    train, rest = old.part(np.arange(sizes[0])), old.part(np.arange(sizes[0], len(old.labels)))
    levels = train.pixels.reshape(-1, train.pixels.shape[3])
    mean, std = levels.mean(axis=0).tolist(), levels.std(axis=0).tolist()
    stats = ChannelStats(
        normalization="channel_mean_std", images=1, mean=mean, std=std, shift=mean, scale=std, histogram=[]
    )
    classifier = build_classifier(network, train.pixels.shape[1:], int(train.labels.max()) + 1, stats, 0)
    optimizer = torch.optim.SGD(classifier.parameters(), lr=0.05, momentum=0.9, weight_decay=1e-3)
    generator = torch.Generator().manual_seed(0)
    for _ in range(epochs):
        for batch in torch.randperm(sizes[0], generator=generator).split(64):
            optimizer.zero_grad()
            scores = classifier(torch.from_numpy(train.pixels[batch]))
            torch.nn.functional.cross_entropy(scores, torch.from_numpy(train.labels[batch])).backward()
            optimizer.step()
    setting = Setting(
        name, train, rest, images.part(np.flatnonzero(new)), ProbabilityModel(classifier).eval(), *sizes[1:]
    )
    right = (_answers(setting, rest.pixels[:2000]).argmax(axis=1) == rest.labels[:2000]).mean()
    print_figure(f"drift: {name}, accuracy of the model on nine classes", round(float(right), 3), "share", 2000)
    return setting


if __name__ == "__main__":
    torch.set_num_threads(2)
    main()
