"""Take a snapshot: read a source once to name its content, once more to decode it."""

import tempfile
from pathlib import Path

import numpy as np

from components.dataset_snapshot.listing import (
    Distinct,
    ListedImage,
    distinct_images,
    fingerprint_of,
    list_images,
    require_enough,
)
from components.dataset_snapshot.packing import decode_images, write_split
from components.dataset_snapshot.publishing import local_folder, s3_folder
from components.foundation import object_store
from components.foundation.artifacts import SPLITS, DatasetReference, Manifest, Shard, SplitName
from components.foundation.image_dataset.shards import MANIFEST_FILE, read_manifest
from components.foundation.image_dataset.sources.source_image import SourceListing
from components.foundation.settings import DataSettings
from components.foundation.step_log import Say

SHOWN = 3


def take_snapshot(settings: DataSettings, storage: str, say: Say) -> DatasetReference:
    """Read, verify and split the images of a source and keep them as shards.

    The snapshot's folder is named by its fingerprint: the same images, classes and settings
    give the same snapshot, in whatever order the source lists them, and it is written once.
    Equal images are kept once. Equal images of several classes, and broken files, are left out; the
    manifest lists them.

    Args:
        settings: the source, the image size and the fractions of the splits.
        storage: a folder or ``s3://`` prefix; the snapshot goes to ``snapshots/`` below it.
        say: prints a line.

    Raises:
        DataError: when images are missing, of several sizes, too few, or too many of them broken.
        StorageError: when the storage cannot be written.
    """
    listing = SourceListing(own_splits=settings.splits == "own")
    images = list_images(settings, listing)
    distinct = distinct_images(images)
    require_enough(settings.source, [images[index] for index in distinct.indices])
    fingerprint = fingerprint_of(settings, images)
    dataset = DatasetReference(
        folder_uri=object_store.join(storage, "snapshots", fingerprint[:16]), fingerprint=fingerprint
    )
    if object_store.exists(object_store.join(dataset.folder_uri, MANIFEST_FILE)):
        say(f"{settings.source}: unchanged, snapshot {fingerprint[:16]} is there already")
    else:
        publish = s3_folder if object_store.is_s3(dataset.folder_uri) else local_folder
        with publish(dataset.folder_uri) as folder:
            _write_snapshot(settings, images, distinct, fingerprint, listing.ignored_files, folder, say)
    _describe(read_manifest(dataset), say)
    return dataset


def _write_snapshot(
    settings: DataSettings,
    images: list[ListedImage],
    distinct: Distinct,
    fingerprint: str,
    ignored_files: int,
    folder: Path,
    say: Say,
) -> None:
    with tempfile.TemporaryFile(dir=folder) as scratch:
        decoded = decode_images(settings, images, distinct.indices, scratch, say)
        require_enough(settings.source, decoded.images)  # what was broken may have been the last of its class
        class_names = sorted({image.class_name for image in decoded.images})
        scratch.flush()
        pixels = np.memmap(scratch, dtype=np.uint8, mode="r", shape=(len(decoded.images), *decoded.shape))
        shards: list[Shard] = []
        for split in SPLITS:
            shards += write_split(split, decoded.images, class_names, pixels, folder)
        del pixels
    counts: dict[SplitName, dict[str, int]] = {
        split: {
            name: sum(1 for image in decoded.images if image.split == split and image.class_name == name)
            for name in class_names
        }
        for split in SPLITS
    }
    manifest = Manifest(
        fingerprint=fingerprint,
        class_names=class_names,
        image_shape=decoded.shape,
        images_per_class=counts,
        ignored_files=ignored_files,
        duplicates=distinct.duplicates,
        label_conflicts=distinct.conflicts,
        quarantined=decoded.quarantined,
        shards=shards,
    )
    (folder / MANIFEST_FILE).write_text(manifest.model_dump_json(indent=1))


def _describe(manifest: Manifest, say: Say) -> None:
    totals = {split: sum(counts.values()) for split, counts in manifest.images_per_class.items()}
    height, width, channels = manifest.image_shape
    say(
        f"{sum(totals.values()):,} images of {width}x{height}x{channels} in {len(manifest.class_names)} classes: "
        + ", ".join(f"{count:,} {split}" for split, count in totals.items())
    )
    if manifest.ignored_files:
        plural = "s" * (manifest.ignored_files > 1)
        say(f"passed over {manifest.ignored_files} file{plural}: no image's suffix, or in no class folder")
    if manifest.duplicates:
        say(f"left out {manifest.duplicates:,} duplicates: their class has the same image already")
    for conflict in manifest.label_conflicts[:SHOWN]:
        say(
            f"warning: label conflict, the same image in classes {', '.join(conflict.class_names)}: "
            f"{', '.join(conflict.paths[:SHOWN])}; left out"
        )
    if len(manifest.label_conflicts) > SHOWN:
        say(f"warning: {len(manifest.label_conflicts):,} label conflicts in all; the manifest lists them")
    for bad in manifest.quarantined[:SHOWN]:
        say(f"warning: quarantined, {bad.reason}")
    if len(manifest.quarantined) > SHOWN:
        say(f"warning: {len(manifest.quarantined):,} files quarantined in all; the manifest lists them")
    for split in ("validation", "test"):
        if absent := [name for name, count in manifest.images_per_class[split].items() if count == 0]:
            say(f"warning: no {split} image of class {', '.join(absent)}")
    say(f"fingerprint {manifest.fingerprint[:16]}")
