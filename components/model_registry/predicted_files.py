"""Answers of a registered model for image files, wherever they are: decoded side by side, as in training."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sanefit.components.foundation.errors import DataError, SettingsError
from sanefit.components.foundation.image_dataset.batch_size import images_at_once
from sanefit.components.foundation.image_dataset.prepared_pixels import Preparation, pixels_for
from sanefit.components.foundation.image_dataset.reading import contents_of
from sanefit.components.foundation.image_dataset.sources.class_folders import IMAGE_SUFFIXES
from sanefit.components.foundation.image_dataset.sources.listing import list_source
from sanefit.components.foundation.image_dataset.sources.local_file import local_file
from sanefit.components.foundation.image_dataset.sources.source_image import SourceImage
from sanefit.components.foundation.machine.parallel_work import working_in_parallel
from sanefit.components.foundation.schemas.sources import kind_of, of_known_kind
from sanefit.components.foundation.tracking.models import load_pixels_model, model_metadata, why_not_loaded
from sanefit.components.foundation.unsure import REJECT_BELOW, UNSURE, label_names

AT_ONCE = 256
NEEDED = ("class_names", "image_shape", "image_size", "background", "bit_depth")


@dataclass(frozen=True)
class Answers:
    """Of some images.

    ``paths``: where they are. ``probabilities``: float32 (paths, classes). ``labels``: what each is called, a class's
    name or ``unsure``. ``broken``: why others are no images.
    """

    paths: list[str]
    probabilities: NDArray[np.float32]
    labels: list[str]
    broken: list[str]

    @property
    def highest(self) -> list[float]:
        """The probability of each image's most probable class."""
        found: list[float] = self.probabilities.max(axis=1).tolist()
        return found


@dataclass
class Predictor:
    """A model, how files become pixels for it, and below which probability it is unsure.

    ``passed_over``: reasons why files were not taken, with counts.
    """

    class_names: list[str]
    image_shape: tuple[int, int, int]
    preparation: Preparation
    model: Any
    reject_below: float = 0.0
    passed_over: dict[str, int] = field(default_factory=dict)

    @property
    def labels(self) -> list[str]:
        """Whatever an image may be called."""
        return [*self.class_names, UNSURE]

    def answer(self, images: Sequence[SourceImage], workers: int) -> Iterator[Answers]:
        """Batch by batch, in order.

        Args:
            images: where they are.
            workers: processes that read and decode.
        """
        size = images_at_once(self.image_shape, AT_ONCE)
        batches = (
            _Batch(list(images[start : start + size]), self.preparation, self.image_shape)
            for start in range(0, len(images), size)
        )
        with working_in_parallel(workers) as in_parallel:
            for paths, pixels, broken in in_parallel(_read, batches):
                found = self.model.predict(pixels) if paths else np.empty((0, len(self.class_names)), dtype=np.float32)
                best, sure = found.argmax(axis=1).tolist(), found.max(axis=1).tolist()
                yield Answers(paths, found, label_names(best, sure, self.class_names, self.reject_below), broken)


@dataclass(frozen=True)
class _Batch:
    images: list[SourceImage]
    preparation: Preparation
    image_shape: tuple[int, int, int]


def load_predictor(model_uri: str) -> Predictor:
    """A registered model that takes pixels.

    Args:
        model_uri: as ``models:/NAME@champion``; MLflow is connected.

    Raises:
        SettingsError: when there is no such model, or it does not say how files become pixels.
    """
    if reason := why_not_loaded(model_uri):
        raise SettingsError(f"{model_uri!r} cannot be loaded ({reason}); expected models:/NAME@champion; correct it")
    known = model_metadata(model_uri)
    missing = [key for key in NEEDED if key not in known]
    if missing:
        raise SettingsError(
            f"{model_uri!r} does not say its {missing[0]}; expected a version that this version of sanefit registered; "
            "register it anew"
        )
    return Predictor(
        known["class_names"],
        tuple(known["image_shape"]),
        Preparation.from_metadata(known),
        load_pixels_model(model_uri),
        known.get(REJECT_BELOW, 0.0),
    )


def find_images(places: Sequence[str], scratch: Path, passed_over: dict[str, int]) -> list[SourceImage]:
    """Every image of some files, folders, archives and prefixes of object stores: as these are given, then by names.

    Args:
        places: paths, or sources as in ``data.source``.
        scratch: a folder that stays until the images are read.
        passed_over: takes how many files were not taken, by the reason.

    Raises:
        DataError: when there is nothing at a place.
    """
    images: list[SourceImage] = []
    for place in places:
        path = Path(place)
        if path.suffix.lower() in IMAGE_SUFFIXES and "://" not in place:
            if not path.is_file():
                raise DataError(f"no file {place!r}; expected an image, a folder or an archive; correct the path")
            images.append(SourceImage("", place, local_file(place)))
            continue
        listing = list_source(_of_files(place), scratch, folders="nothing")
        images += listing.images
        for reason, files in listing.passed_over.items():
            passed_over[reason] = passed_over.get(reason, 0) + files
    if not images:
        raise DataError(f"{', '.join(places)}: no image there; expected JPEG, PNG or the like; correct the path")
    return images


def _of_files(place: str) -> str:
    try:
        source = of_known_kind(place)
    except ValueError as error:
        raise DataError(f"{place!r}: {error}; correct it") from None
    if not kind_of(source).has_paths:
        raise DataError(
            f"{place!r}: expected image files, a folder, an archive, s3://…, gs://… or az://…; give one of these"
        )
    return source


def _read(batch: _Batch) -> tuple[list[str], NDArray[np.uint8], list[str]]:
    paths, pixels, broken = [], [], []
    for image, content in zip(batch.images, contents_of(batch.images), strict=True):
        try:
            pixels.append(pixels_for(content, image.path, batch.preparation, batch.image_shape))
            paths.append(image.path)
        except DataError as error:
            broken.append(str(error).split(";")[0])
    stacked = np.stack(pixels) if pixels else np.empty((0, *batch.image_shape), dtype=np.uint8)
    return paths, stacked, broken
