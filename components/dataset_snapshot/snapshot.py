"""Take a snapshot: read what is new in a source, and write down which images it holds."""

import itertools
from collections.abc import Sequence
from contextlib import closing

import numpy as np

from sanefit.components.dataset_snapshot.decoded_images import DecodedImages, all_there, folder_of, read_decoded
from sanefit.components.dataset_snapshot.described import describe
from sanefit.components.dataset_snapshot.digest_table import DIGEST, Digests, DigestTable, are_among, digests_in
from sanefit.components.dataset_snapshot.distinct import (
    Distinct,
    distinct_images,
    fingerprint_of,
    require_classes,
    require_splits,
)
from sanefit.components.dataset_snapshot.exclusion import dealt_images, excluded_images, named_in, with_copies_excluded
from sanefit.components.dataset_snapshot.groups import groups_of
from sanefit.components.dataset_snapshot.listed_images import ListedImages
from sanefit.components.dataset_snapshot.manifest import Found, names_of, passed_over, write_indices
from sanefit.components.dataset_snapshot.new_images import (
    ListedSource,
    identities_of,
    listed_in,
    read_new_images,
    require_few_broken,
    sizes_differ,
)
from sanefit.components.dataset_snapshot.part_writer import PartWriter
from sanefit.components.dataset_snapshot.publishing import published, scratch_folder
from sanefit.components.dataset_snapshot.source_objects import keep_objects
from sanefit.components.dataset_snapshot.split_codes import NO_SPLIT, Codes
from sanefit.components.dataset_snapshot.splitting import ImagesInSplits, put_in_splits
from sanefit.components.foundation.errors import StorageError
from sanefit.components.foundation.image_dataset.decoding import unused_bits
from sanefit.components.foundation.image_dataset.image_names import keep_names
from sanefit.components.foundation.image_dataset.shards import read_manifest, snapshot_folder
from sanefit.components.foundation.image_dataset.sources.listing import list_source
from sanefit.components.foundation.machine.cores import usable_cores
from sanefit.components.foundation.schemas.data_settings import DataSettings
from sanefit.components.foundation.schemas.images import DatasetReference, QuarantinedFile
from sanefit.components.foundation.step_lines.step_log import Say
from sanefit.components.foundation.storage import object_store
from sanefit.components.foundation.storage.last_use import mark_used
from sanefit.components.foundation.storage.layout import MANIFEST_FILE, SHORT, Storage

ATTEMPTS = 3


def take_snapshot(settings: DataSettings, storage: str, say: Say, workers: int | None = None) -> DatasetReference:
    """Read, verify and split the images of a source.

    The snapshot's folder is named by its fingerprint: the same images, classes and settings give the same snapshot,
    in whatever order the source lists them, and it is written once; beside it, what they are called now. Only images
    that no earlier snapshot in this storage read are read now. An image is what its pixels are: equal ones are kept
    once. Equal images of several classes, broken files, and what ``data.exclude`` names are left out; the manifest
    lists them. Each image stays in the split that it was put in first, by the ledger in ``splits/``.

    Args:
        settings: the source, the image size and the fractions of the splits.
        storage: a folder or ``s3://`` prefix; the snapshot goes to ``snapshots/`` below it, pixels to ``decoded/``.
        say: prints a line.
        workers: processes that read; by default one for each core.

    Raises:
        DataError: when images are missing, of several sizes, too few, or too many of them broken.
        StorageError: when the storage cannot be written.
    """
    for _ in range(ATTEMPTS):
        dataset = _snapshot(settings, storage, say, workers or usable_cores())
        mark_used(snapshot_folder(dataset))
        if all_there(dataset):
            return dataset
        say("`sanefit gc` has removed some of its pixels meanwhile; reading these images again")
    raise StorageError(
        f"snapshot {dataset.fingerprint[:SHORT]}: its pixels were removed {ATTEMPTS} times while it was taken; "
        "expected that of `sanefit gc` once at most; run again"
    )


def _snapshot(settings: DataSettings, storage: str, say: Say, cores: int) -> DatasetReference:
    shared, decoded_folder = Storage(storage), folder_of(settings)
    decoded = read_decoded(shared, decoded_folder)
    with scratch_folder() as scratch, closing(PartWriter(shared, decoded_folder, scratch)) as writer:
        listing = list_source(
            settings.source,
            scratch,
            folders=settings.folders,
            group_column=settings.group_column,
            class_from=settings.class_from or "",
        )
        named = named_in(settings, listing.images, say)
        source = ListedSource(settings, listing.images, identities_of(listing.images), named)
        groups = groups_of(listing.images, settings.group)
        read_new_images(source, decoded, writer, scratch, cores, say)
        listed = listed_in(source, decoded)
        del source  # its identities have told all
        images = with_copies_excluded(listed, named)
        distinct = distinct_images(images)
        quarantined = [
            QuarantinedFile(path=images.path(number), reason=images.broken[number])
            for number in distinct.indices[np.isin(distinct.indices, list(images.broken))].tolist()
        ]
        require_few_broken(settings, [bad.reason for bad in quarantined], len(distinct.indices), finished=True)
        used = images.chosen(distinct.indices[~np.isin(distinct.indices, list(images.broken))])
        if warning := unused_bits(_highest_level(images, decoded), settings.bit_depth):
            say(warning)
        require_classes(settings, used)
        writer.write(decoded)
    _require_one_size(used, decoded)
    del used
    decoded.digest_of = DigestTable(DIGEST)  # it has told all: memory for the search for near-duplicates
    dealt = dealt_images(listed, images, distinct)
    dealt_of = images.chosen(dealt.indices)
    placed = put_in_splits(dealt_of, _groups_of(dealt, groups), decoded, settings, shared, cores, say)
    placed = placed.without(dealt_of.digests[dealt_of.excluded])
    require_splits(settings, placed.images)
    placed.write()
    fingerprint = fingerprint_of(settings, images, *_placed_in(images, placed))
    dataset = DatasetReference(storage=storage, fingerprint=fingerprint)
    there = object_store.exists(object_store.join(snapshot_folder(dataset), MANIFEST_FILE))
    if there and _names_what_is_there(dataset, decoded):
        say(f"{settings.source}: unchanged, snapshot {fingerprint[:16]} is there already")
    else:
        with published(snapshot_folder(dataset), MANIFEST_FILE, in_place_of_another=there) as snapshot:
            found = Found(listing, distinct, quarantined, excluded_images(images, settings.source), placed)
            manifest = write_indices(fingerprint, found, decoded, snapshot)
            (snapshot / MANIFEST_FILE).write_text(manifest.model_dump_json(indent=1))
    keep_names(dataset, names_of(placed.images, settings.source))
    keep_objects(dataset, listing.objects, say)
    describe(read_manifest(dataset), passed_over(listing), say)
    return dataset


def _names_what_is_there(dataset: DatasetReference, decoded: DecodedImages) -> bool:
    """Whether the pixels of a snapshot still lie where it says: `sanefit gc` may have removed them."""
    return {shard.path for shard in read_manifest(dataset).shards} <= {shard.path for shard in decoded.shards}


def _highest_level(images: ListedImages, decoded: DecodedImages) -> int:
    if not decoded.highest_level:
        return 0
    deep = digests_in(decoded.highest_level)
    here = are_among(deep, np.sort(images.digests))
    return max(itertools.compress(decoded.highest_level.values(), here.tolist()), default=0)


def _groups_of(dealt: Distinct, groups: Sequence[bytes]) -> list[Sequence[bytes]]:
    """Of each image that is dealt, the groups of all its copies."""
    found: list[Sequence[bytes]] = [(groups[number],) if groups[number] else () for number in dealt.indices.tolist()]
    for number, copies in dealt.copies_of.items():
        place = int(np.searchsorted(dealt.indices, number))
        if place < len(found) and dealt.indices[place] == number:
            found[place] = sorted({groups[copy] for copy in copies} - {b""})
    return found


def _placed_in(images: ListedImages, placed: ImagesInSplits) -> tuple[Codes, Digests]:
    """The split and the bundle of each listed image's content."""
    numbers = DigestTable(np.int64)
    numbers.add(placed.images.digests, np.arange(len(placed.images)))
    known, number = numbers.find(images.digests)
    codes, bundles = np.full(len(images), NO_SPLIT, dtype=np.int8), np.zeros(len(images), dtype=DIGEST)
    codes[known], bundles[known] = placed.images.codes[number[known]], placed.bundles[number[known]]
    return codes, bundles


def _require_one_size(images: ListedImages, decoded: DecodedImages) -> None:
    """Raise DataError when there are several: images known from earlier snapshots were not compared yet."""
    shards = decoded.places(images.digests)[:, 0]
    first_of: dict[tuple[int, int], int] = {}
    for shard, first in zip(*(found.tolist() for found in np.unique(shards, return_index=True)), strict=True):
        size = decoded.shapes[shard][:2]
        first_of[size] = min(first, first_of.get(size, first))
    if len(first_of) > 1:
        (size, first), (other_size, other), *_ = sorted(first_of.items(), key=lambda item: item[1])
        raise sizes_differ(images.path(other), other_size, images.path(first), size)
