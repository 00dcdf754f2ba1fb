"""A version's record of the images that it was trained and chosen on, and of the test splits that judged it."""

import io
import tempfile
from pathlib import Path

import numpy as np

from sanefit.components.foundation.image_dataset.shards import DIGEST, read_index
from sanefit.components.foundation.schemas.images import DatasetReference, Manifest, SplitName
from sanefit.components.foundation.tracking.attached_files import attach_file, read_attached
from sanefit.components.foundation.tracking.connection import Client
from sanefit.components.foundation.tracking.models import tag_version, versions_of
from sanefit.components.foundation.tracking.tags import LOOK_TAG
from sanefit.components.model_registry.image_digests import Digests, overlap, sketch

SEEN_FILE = "training/seen_images.npy"  # among the files of a version's run
SAME_SPLIT = 0.5  # from this share of common images on, a test split is one that judged before


def digests_of(dataset: DatasetReference, split: SplitName, manifest: Manifest) -> Digests:
    """Of a split's images, in its order: uint64 (images,).

    Raises:
        DataError, StorageError: as ``read_index``.
    """
    column = np.ascontiguousarray(read_index(dataset, split, manifest)[:, DIGEST])
    return column.view(np.uint64)


def write_seen_images(tracking: Client, run_id: str, dataset: DatasetReference, manifest: Manifest) -> None:
    """Keep the digests of the training and validation splits with a run: 8 bytes for each image."""
    seen = np.sort(np.concatenate([digests_of(dataset, split, manifest) for split in ("train", "validation")]))
    with tempfile.TemporaryDirectory(prefix="sanefit-") as folder:
        file = Path(folder) / Path(SEEN_FILE).name
        np.save(file, seen)
        attach_file(tracking, run_id, file, str(Path(SEEN_FILE).parent))


def read_seen_images(tracking: Client, model_name: str, version: str) -> Digests | None:
    """What ``write_seen_images`` kept; None of a version that has no such record."""
    content = read_attached(tracking, model_name, version, SEEN_FILE)
    if content is None:
        return None
    seen: Digests = np.load(io.BytesIO(content))
    return seen


def note_look(tracking: Client, model_name: str, version: str, test: Digests) -> int:
    """Write down that this test split compares a version, and say which of its looks that is, from 1.

    A split that has half of its images in common with one that looked before counts as the same.
    """
    mine = sketch(test)
    looks = [
        known.tags[LOOK_TAG]
        for known in versions_of(tracking, model_name)
        if LOOK_TAG in known.tags and str(known.version) != version
    ]
    tag_version(tracking, model_name, version, LOOK_TAG, mine)
    return 1 + sum(overlap(mine, look) >= SAME_SPLIT for look in looks)
