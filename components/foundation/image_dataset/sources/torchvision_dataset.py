"""``torchvision:NAME``: one of torchvision's own data sets, as in ``torchvision:CIFAR10``.

It lies in, or is downloaded to, ``datasets/`` below ``$TORCH_HOME`` (by default ``~/.cache/torch``).
"""

import functools
import inspect
import io
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sanefit.components.foundation.errors import DataError
from sanefit.components.foundation.image_dataset.sources.source_image import (
    ListingRequest,
    SourceImage,
    SourceListing,
)
from sanefit.components.foundation.schemas.images import SplitName

PARTS: dict[str, SplitName] = {"train": "train", "val": "validation", "test": "test"}
LABELS = ("targets", "labels", "_labels", "y")  # torchvision has no one name for them


@dataclass(frozen=True, slots=True)
class TorchvisionItem:
    """An image of one of torchvision's data sets, as a PNG file. ``split``: which of its parts."""

    name: str
    split: str
    number: int

    def read(self) -> bytes:
        """The image as a PNG file, which loses nothing."""
        image = _opened(self.name, self.split)[self.number][0]
        buffer = io.BytesIO()
        image.save(buffer, "PNG", compress_level=1)
        return buffer.getvalue()

    def state(self) -> bytes:
        """Which image it is: torchvision's data sets do not change."""
        return repr(self).encode("utf-8", "surrogateescape")


def list_images(request: ListingRequest) -> SourceListing:
    """Every image of its training part; or of all its parts, when its own splits are asked for.

    Args:
        request: the place is a class of ``torchvision.datasets`` whose labels are classes.

    Raises:
        DataError: when there is none of this name, or it cannot be had.
    """
    name, own_splits = request.place, request.own_splits
    parameters = inspect.signature(_dataset_class(name)).parameters
    has_parts = "train" in parameters or "split" in parameters
    if own_splits and not has_parts:
        raise DataError(
            f"data.source='torchvision:{name}' has no splits of its own; expected a data set that has; "
            "set data.splits=by_content"
        )
    listing = SourceListing()
    for part in PARTS if own_splits else ["train" if has_parts else ""]:
        dataset = _opened(name, part)
        if dataset is None:
            continue
        labels = _labels(name, dataset)
        names = _class_names(dataset, labels)
        for number, label in enumerate(labels):
            item = TorchvisionItem(name, part, number)
            split = PARTS[part] if own_splits else None
            listing.images.append(SourceImage(names[label], f"{name}/{part}/{number:07d}", item, split))
    return listing


def _dataset_class(name: str) -> Any:
    try:
        from torchvision import datasets
    except ImportError:
        raise DataError(
            f"data.source='torchvision:{name}' needs torchvision, which this step's image has not; expected the image "
            "with torch; compile the pipeline with this source rather than set it for one run"
        ) from None
    known, base = getattr(datasets, name, None), datasets.VisionDataset
    if not (isinstance(known, type) and issubclass(known, base) and known is not base):
        raise DataError(
            f"data.source='torchvision:{name}': there is none of this name in torchvision.datasets; expected one, as "
            "in torchvision:CIFAR10; correct it"
        )
    return known


@functools.lru_cache(maxsize=len(PARTS))
def _opened(name: str, part: str) -> Any:
    """The data set with its images as PIL ones; None when it has no such part."""
    dataset_class = _dataset_class(name)
    parameters = inspect.signature(dataset_class).parameters
    arguments: dict[str, Any] = {}
    if "root" in parameters:
        home = os.environ.get("TORCH_HOME", "~/.cache/torch")
        arguments["root"] = str(Path(home).expanduser() / "datasets")
    if "download" in parameters or "kwargs" in parameters:
        arguments["download"] = True
    if "split" in parameters:
        arguments["split"] = part
    elif "train" in parameters:
        if part == "val":
            return None
        arguments["train"] = part == "train"
    try:
        return dataset_class(**arguments)
    except ValueError as error:
        if "split" in parameters and part in str(error):  # an unknown value for it
            return None
        raise _unavailable(name, error) from error
    except Exception as error:
        # Each data set raises what its files and its server make it stumble over.
        raise _unavailable(name, error) from error


def _labels(name: str, dataset: Any) -> list[int]:
    found = next((getattr(dataset, attribute) for attribute in LABELS if hasattr(dataset, attribute)), None)
    if found is None:
        found = [dataset[number][1] for number in range(len(dataset))]
    try:
        labels = [int(label) for label in found]
    except (TypeError, ValueError):
        labels = []
    if len(labels) != len(dataset):
        raise DataError(
            f"data.source='torchvision:{name}' has labels that are no classes; expected one class for each image; "
            "choose a data set for classification"
        )
    return labels


def _class_names(dataset: Any, labels: Sequence[int]) -> dict[int, str]:
    known = getattr(dataset, "classes", None)
    if isinstance(known, Sequence) and all(isinstance(name, str) for name in known) and max(labels) < len(known):
        return dict(enumerate(known))
    return {label: str(label) for label in set(labels)}


def _unavailable(name: str, error: Exception) -> DataError:
    reason = " ".join(str(error).split())[:200] or type(error).__name__
    return DataError(
        f"data.source='torchvision:{name}' cannot be had: {reason}; expected its files in $TORCH_HOME/datasets, or a "
        "server that gives them; download it, or use another source"
    )
