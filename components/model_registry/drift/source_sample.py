"""New images of a source, drawn at random, as a version sees them."""

import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sanefit.components.foundation.errors import DataError
from sanefit.components.foundation.image_dataset.batch_size import images_at_once
from sanefit.components.foundation.image_dataset.prepared_pixels import fitted
from sanefit.components.foundation.image_dataset.reading import contents_of, decode_image, digest_of_image
from sanefit.components.foundation.image_dataset.sources.listing import list_source
from sanefit.components.foundation.image_dataset.sources.source_image import SourceImage
from sanefit.components.foundation.machine.parallel_work import InParallel, working_in_parallel
from sanefit.components.foundation.schemas.data_settings import DataSettings
from sanefit.components.foundation.schemas.sources import of_known_kind
from sanefit.components.model_registry.drift.image_sample import ImageSample, image_statistics, joined, sample_of
from sanefit.components.model_registry.image_digests import Digests, unseen
from sanefit.components.model_registry.predicted_files import Predictor

AT_ONCE = 256
MOST_READ = 10  # times as many images as are wanted, where most of them were seen
Tell = Callable[[int, int], None]


@dataclass
class DrawnImages:
    """``sample``: of the new ones; None when there is none. ``drawn``: of ``population`` images, so many were read:
    the new ones, those ``seen`` in training or validation, the ``repeated`` ones, and ``broken``, reasons of others.
    """

    population: int
    sample: ImageSample | None = None
    drawn: int = 0
    seen: int = 0
    repeated: int = 0
    broken: list[str] = field(default_factory=list)

    @property
    def images(self) -> int:
        """How many are new."""
        return self.drawn - self.seen - self.repeated - len(self.broken)


def settings_for(source: str, predictor: Predictor) -> DataSettings:
    """How images of a source become pixels for a model.

    Args:
        source: in a form of ``data.source``, or a path.
        predictor: the model.

    Raises:
        DataError: when it is of no known form.
    """
    try:
        known = of_known_kind(source)
    except ValueError as error:
        raise DataError(f"{source!r}: {error}; correct it") from None
    return DataSettings(source=known, **predictor.preparation.metadata)


def draw(
    data: DataSettings, predictor: Predictor, seen: Digests, images: int, seed: int, workers: int, tell: Tell
) -> DrawnImages:
    """Draw images without replacement until so many are new, or there are no more, or too many were read for that.

    New is an image that the version was neither trained nor validated on; equal ones count once. No more than a batch
    of pixels is held.

    Args:
        data: as ``settings_for`` gives it.
        predictor: the model.
        seen: of the version.
        images: how many new ones, above 0.
        seed: of the order.
        workers: processes that read and decode; the result does not depend on it.
        tell: is called with how many were read, and how many there are to read.

    Raises:
        DataError, StorageError: when the source cannot be read.
    """
    with tempfile.TemporaryDirectory(prefix="sanefit-") as scratch, working_in_parallel(workers) as in_parallel:
        listed = list_source(data.source, Path(scratch), folders="nothing").images
        order = np.random.default_rng(seed).permutation(len(listed))[: MOST_READ * images]
        found, parts, known = DrawnImages(len(listed)), [], seen
        while found.images < images and found.drawn < len(order):
            wanted = np.sort(order[found.drawn : found.drawn + images - found.images])  # sources are read forward
            for batch in _read_all([listed[number] for number in wanted.tolist()], data, predictor, in_parallel):
                new, known = _count(batch, seen, known, found)
                if new.any():
                    pixels = batch.pixels[new]
                    parts.append(sample_of(image_statistics(pixels), predictor.model.predict(pixels)))
                tell(found.drawn, min(len(order), found.drawn + images - found.images))
    found.sample = joined(parts) if parts else None
    return found


@dataclass(frozen=True)
class _Batch:
    """``digests``: uint64 (images,), as in ``Digests``. ``broken``: reasons of those that are no images."""

    pixels: NDArray[np.uint8]
    digests: Digests
    broken: list[str]


def _count(batch: _Batch, seen: Digests, known: Digests, found: DrawnImages) -> tuple[NDArray[np.bool_], Digests]:
    """Which images of a batch are new, bool (images,), and all digests known then."""
    first = np.zeros(len(batch.digests), dtype=np.bool_)
    first[np.unique(batch.digests, return_index=True)[1]] = True
    new, unknown = first & unseen(batch.digests, known), unseen(batch.digests, seen)
    found.drawn += len(batch.digests) + len(batch.broken)
    found.seen += int((~unknown).sum())
    found.repeated += int((unknown & ~new).sum())
    found.broken += batch.broken
    return new, np.concatenate([known, batch.digests[new]])


def _read_all(
    images: list[SourceImage], data: DataSettings, predictor: Predictor, in_parallel: InParallel
) -> Iterator[_Batch]:
    size = images_at_once(predictor.image_shape, AT_ONCE)
    batches = (images[start : start + size] for start in range(0, len(images), size))
    return in_parallel(partial(_read, data, predictor.image_shape), batches)


def _read(data: DataSettings, image_shape: tuple[int, int, int], images: list[SourceImage]) -> _Batch:
    pixels, digests, broken = [], [], []
    for image, content in zip(images, contents_of(images), strict=True):
        try:
            decoded = decode_image(image, content, data)
            pixels.append(fitted(decoded.pixels, image.path, image_shape))
            digests.append(digest_of_image(decoded, data)[:8])
        except DataError as error:
            broken.append(str(error).split(";")[0])
    stacked = np.stack(pixels) if pixels else np.empty((0, *image_shape), dtype=np.uint8)
    return _Batch(stacked, np.frombuffer(b"".join(digests), dtype=np.uint64), broken)
