"""Take a snapshot: read what is new in a source, and write down which images it holds."""

import hashlib
from collections import Counter
from contextlib import closing
from pathlib import Path

import numpy as np

from sanefit.components.dataset_snapshot.decoded_images import DecodedImages, PartWriter, folder_of, read_decoded
from sanefit.components.dataset_snapshot.distinct import (
    ListedImage,
    distinct_images,
    fingerprint_of,
    require_enough,
    storage_order,
)
from sanefit.components.dataset_snapshot.new_images import (
    ListedSource,
    read_new_images,
    require_few_broken,
    sizes_differ,
    split_of_image,
)
from sanefit.components.dataset_snapshot.publishing import published, scratch_folder
from sanefit.components.foundation.image_dataset.shards import MANIFEST_FILE, read_manifest, snapshot_folder
from sanefit.components.foundation.image_dataset.sources.class_folders import NO_PICTURE
from sanefit.components.foundation.image_dataset.sources.listing import list_source
from sanefit.components.foundation.image_dataset.sources.location import identity_of
from sanefit.components.foundation.image_dataset.splits import split_of
from sanefit.components.foundation.machine.cores import usable_cores
from sanefit.components.foundation.schemas.images import (
    SPLITS,
    DatasetReference,
    DataSettings,
    Manifest,
    PassedOver,
    QuarantinedFile,
    SplitIndex,
    SplitName,
)
from sanefit.components.foundation.step_lines.step_log import Say
from sanefit.components.foundation.storage import object_store
from sanefit.components.foundation.storage.layout import Storage

SHOWN = 3


def take_snapshot(settings: DataSettings, storage: str, say: Say, workers: int | None = None) -> DatasetReference:
    """Read, verify and split the images of a source.

    The snapshot's folder is named by its fingerprint: the same images, classes and settings give the same snapshot,
    in whatever order the source lists them, and it is written once. Only images that no earlier snapshot in this
    storage read are read now. Equal images are kept once. Equal images of several classes, and broken files, are left
    out; the manifest lists them.

    Args:
        settings: the source, the image size and the fractions of the splits.
        storage: a folder or ``s3://`` prefix; the snapshot goes to ``snapshots/`` below it, pixels to ``decoded/``.
        say: prints a line.
        workers: processes that read; by default one for each core.

    Raises:
        DataError: when images are missing, of several sizes, too few, or too many of them broken.
        StorageError: when the storage cannot be written.
    """
    shared, decoded_folder = Storage(storage), folder_of(settings)
    decoded = read_decoded(shared, decoded_folder)
    with scratch_folder() as scratch, closing(PartWriter(shared, decoded_folder, scratch)) as writer:
        listing = list_source(settings.source, scratch, own_splits=settings.splits == "own")
        source = ListedSource(settings, listing.images, [identity_of(image.location) for image in listing.images])
        read_new_images(source, decoded, writer, scratch, workers or usable_cores(), say)
        images = _listed(source, decoded, say)
        distinct = distinct_images(images)
        chosen = [images[index] for index in distinct.indices]
        quarantined = [QuarantinedFile(path=image.path, reason=image.broken) for image in chosen if image.broken]
        require_few_broken(settings, [bad.reason for bad in quarantined], len(chosen), finished=True)
        kept = [image for image in chosen if not image.broken]
        require_enough(settings, kept)
        writer.write(decoded)
    fingerprint = fingerprint_of(settings, images)
    dataset = DatasetReference(storage=storage, fingerprint=fingerprint)
    folder = snapshot_folder(dataset)
    if object_store.exists(object_store.join(folder, MANIFEST_FILE)):
        say(f"{settings.source}: unchanged, snapshot {fingerprint[:16]} is there already")
    else:
        with published(folder, MANIFEST_FILE) as snapshot:
            manifest = _write_indices(kept, decoded, snapshot).model_copy(
                update={
                    "fingerprint": fingerprint,
                    "passed_over": [
                        PassedOver(reason=reason, files=files, example=listing.example_of[reason])
                        for reason, files in listing.passed_over.most_common()
                    ],
                    "duplicates": distinct.duplicates,
                    "label_conflicts": distinct.conflicts,
                    "quarantined": quarantined,
                }
            )
            (snapshot / MANIFEST_FILE).write_text(manifest.model_dump_json(indent=1))
    _describe(read_manifest(dataset), say)
    return dataset


def _listed(source: ListedSource, decoded: DecodedImages, say: Say) -> list[ListedImage]:
    """Each image with its split; of own splits without a validation split, that is taken out of the training split."""
    settings = source.settings
    carved = settings.splits == "own" and not any(image.split == "validation" for image in source.images)
    listed = []
    for image, identity in zip(source.images, source.identities, strict=True):
        digest = decoded.digest_of[identity]
        split = split_of_image(image, digest, settings)
        if carved and split == "train":
            split = split_of(digest, settings.validation_fraction, test_fraction=0)
        listed.append(ListedImage(digest, image.class_name, split, image.path, decoded.broken.get(identity, "")))
    if carved:
        count = sum(image.split == "validation" for image in listed)
        say(f"no validation split in the source: {count:,} images of its training split become one, by their content")
    return listed


def _write_indices(images: list[ListedImage], decoded: DecodedImages, folder: Path) -> Manifest:
    """Write each split's index; the images of a split are in the order of their digests.

    That is a shuffled order, and the same whatever the source's order, and wherever the pixels lie.
    """
    class_names = sorted({image.class_name for image in images})
    label_of = {name: label for label, name in enumerate(class_names)}
    used = sorted({decoded.place_of[image.digest][0] for image in images})
    number_of = {shard: number for number, shard in enumerate(used)}
    splits: dict[SplitName, SplitIndex] = {}
    counts: dict[SplitName, dict[str, int]] = {}
    for split in SPLITS:
        members = sorted((image for image in images if image.split == split), key=storage_order)
        places = [decoded.place_of[image.digest] for image in members]
        index = np.array(
            [
                (number_of[shard], row, label_of[image.class_name])
                for image, (shard, row) in zip(members, places, strict=True)
            ],
            dtype=np.int64,
        )
        path = folder / f"{split}.index.npy"
        np.save(path, index)
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        splits[split] = SplitIndex(images=len(members), index_file=path.name, index_sha256=digest)
        per_class = Counter(image.class_name for image in members)
        counts[split] = {name: per_class[name] for name in class_names}
    return Manifest(
        fingerprint="",
        class_names=class_names,
        image_shape=_common_shape(images, decoded),
        images_per_class=counts,
        splits=splits,
        shards=[decoded.shards[shard] for shard in used],
    )


def _common_shape(images: list[ListedImage], decoded: DecodedImages) -> tuple[int, int, int]:
    """Raise DataError when there are several: images known from earlier snapshots were not compared yet."""
    path_of: dict[tuple[int, int, int], str] = {}
    for image in images:
        path_of.setdefault(decoded.shapes[decoded.place_of[image.digest][0]], image.path)
    (shape, path), *others = path_of.items()
    for other, other_path in others:
        raise sizes_differ(other_path, other, path, shape)
    return shape


def _describe(manifest: Manifest, say: Say) -> None:
    totals = {split: sum(counts.values()) for split, counts in manifest.images_per_class.items()}
    height, width, channels = manifest.image_shape
    say(
        f"{sum(totals.values()):,} images of {width}x{height}x{channels} in {len(manifest.class_names)} classes: "
        + ", ".join(f"{count:,} {split}" for split, count in totals.items())
    )
    for passed in manifest.passed_over:
        level = "" if passed.reason.startswith(NO_PICTURE) else "warning: "  # a file of notes is nothing to worry about
        plural = "s" * (passed.files > 1)
        say(f"{level}passed over {passed.files:,} file{plural}, as {passed.example}: {passed.reason}")
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
