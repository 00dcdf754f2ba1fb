"""Columns of images that a test has as objects, and what they say of splits, one by one."""

from collections.abc import Iterable

import numpy as np

from sanefit.components.dataset_snapshot.digest_table import digests_in
from sanefit.components.dataset_snapshot.listed_images import ListedImage, ListedImages
from sanefit.components.dataset_snapshot.split_codes import HELD_OUT_FIRST, code_of
from sanefit.components.foundation.schemas.images import SplitName


def listed_images(images: Iterable[ListedImage]) -> ListedImages:
    """Columns of images that there are as objects."""
    if isinstance(images, ListedImages):
        return images
    found = list(images)
    class_names = sorted({image.class_name for image in found})
    label_of = {name: label for label, name in enumerate(class_names)}
    return ListedImages(
        digests=digests_in(image.digest for image in found),
        class_names=class_names,
        labels=np.array([label_of[image.class_name] for image in found], dtype=np.int32),
        codes=np.array([code_of(image.split) for image in found], dtype=np.int8),
        source=[image.path for image in found],
        numbers=np.arange(len(found)),
        excluded=np.array([image.excluded for image in found], dtype=np.bool_),
        broken={number: image.broken for number, image in enumerate(found) if image.broken},
    )


def most_held_out(splits: Iterable[SplitName]) -> SplitName:
    """Test before validation before training; of at least one."""
    return min(splits, key=HELD_OUT_FIRST.index)
