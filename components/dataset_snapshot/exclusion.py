"""``data.exclude``: which images of a source are left out."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from sanefit.components.dataset_snapshot.distinct import Distinct, distinct_images
from sanefit.components.dataset_snapshot.listed_images import ListedImages
from sanefit.components.foundation.image_dataset.excluded_names import read_excluded_names
from sanefit.components.foundation.image_dataset.image_names import name_in_source
from sanefit.components.foundation.image_dataset.sources.source_image import SourceImage
from sanefit.components.foundation.schemas.data_settings import DataSettings
from sanefit.components.foundation.schemas.images import ExcludedImage
from sanefit.components.foundation.step_lines.step_log import Say
from sanefit.components.foundation.storage.layout import SUSPECTED_LABELS


def named_in(settings: DataSettings, images: Sequence[SourceImage], say: Say) -> frozenset[int]:
    """Numbers of the images that ``data.exclude`` names; a warning about names that no image has.

    Args:
        settings: the file, and the source.
        images: as listed.
        say: prints a line.

    Raises:
        DataError: as ``read_excluded_names``.
    """
    if settings.exclude is None:
        return frozenset()
    names = {name_in_source(settings.source, name) for name in read_excluded_names(settings.exclude)}
    found = {number: name_in_source(settings.source, image.path) for number, image in enumerate(images)}
    named = frozenset(number for number, name in found.items() if name in names)
    images_of = Counter(found[number] for number in named)
    unknown = names - images_of.keys()
    shared = {name: count for name, count in images_of.items() if count > 1}
    if shared:
        say(
            f"warning: data.exclude={settings.exclude!r} names {sum(shared.values()):,} images that share "
            f"{len(shared):,} name{'s' * (len(shared) > 1)}, as {min(shared)!r}; all of them are left out"
        )
    if unknown:
        say(
            f"warning: data.exclude={settings.exclude!r} names {len(unknown):,} images that the source has not, as "
            f"{min(unknown)!r}; expected names as {SUSPECTED_LABELS} and the page have them; correct the file"
        )
    return named


def with_copies_excluded(images: ListedImages, named: frozenset[int]) -> ListedImages:
    """The same images, each one marked that is named, or shows what a named one of its class does."""
    if not named:
        return images
    wrong = images.chosen(np.array(sorted(named)))
    excluded = np.zeros(len(images), dtype=np.bool_)
    for label in np.unique(wrong.labels):
        same = images.labels == label
        excluded[same] = np.isin(images.digests[same], wrong.digests[wrong.labels == label])
    return replace(images, excluded=excluded)


def dealt_images(listed: ListedImages, images: ListedImages, distinct: Distinct) -> Distinct:
    """Which images are dealt into splits: those used and those excluded, so that the others lie as beside them.

    Args:
        listed: before any was excluded.
        images: the same, marked.
        distinct: those of them that are used, and broken ones.
    """
    before = distinct_images(listed) if images.excluded.any() else distinct
    excluded = before.indices[images.excluded[before.indices]]
    dealt = np.concatenate([distinct.indices, excluded])
    dealt = dealt[~np.isin(dealt, list(images.broken))]
    return replace(distinct, indices=np.sort(dealt), copies_of=before.copies_of | distinct.copies_of)


def excluded_images(images: ListedImages, source: str) -> list[ExcludedImage]:
    """Those that are left out, by their names in ``data.source``."""
    excluded = [
        ExcludedImage(path=name_in_source(source, images.path(number)), class_name=images.class_name(number))
        for number in np.flatnonzero(images.excluded).tolist()
    ]
    return sorted(excluded, key=lambda image: image.path)
