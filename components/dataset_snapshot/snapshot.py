"""Take a snapshot: read a source once to name its content, once more to decode it."""

import hashlib
import shutil
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import IO

import numpy as np
from numpy.typing import NDArray

from components.foundation import object_store
from components.foundation.artifacts import SPLITS, DatasetReference, Manifest, Shard, SplitName
from components.foundation.errors import DataError, StorageError
from components.foundation.image_dataset.decoding import decode
from components.foundation.image_dataset.shards import MANIFEST_FILE, SHARD_BYTES, read_manifest, write_shard
from components.foundation.image_dataset.sources import SourceListing, digits_pixels, read_source
from components.foundation.image_dataset.splits import content_digest, split_of
from components.foundation.settings import DataSettings
from components.foundation.step_log import Say

PROGRESS_EVERY = 10_000


@dataclass(frozen=True)
class ListedImage:
    """One image as the first reading found it."""

    digest: bytes
    class_name: str
    split: SplitName


def take_snapshot(settings: DataSettings, storage: str, say: Say) -> DatasetReference:
    """Read, verify and split the images of a source and keep them as shards.

    The snapshot's folder is named by its fingerprint: the same images, classes and settings
    give the same snapshot, in whatever order the source lists them, and it is written once.

    Args:
        settings: the source, the image size and the fractions of the splits.
        storage: a folder or ``s3://`` prefix; the snapshot goes to ``snapshots/`` below it.
        say: prints a line.

    Raises:
        DataError: when images are missing, broken, of several sizes, or too few.
        StorageError: when the storage cannot be written.
    """
    listing = SourceListing()
    images = list_images(settings, listing)
    class_names = sorted({image.class_name for image in images})
    require_enough(settings.source, images)
    fingerprint = fingerprint_of(settings, images)
    dataset = DatasetReference(
        folder_uri=object_store.join(storage, "snapshots", fingerprint[:16]), fingerprint=fingerprint
    )
    if object_store.exists(object_store.join(dataset.folder_uri, MANIFEST_FILE)):
        say(f"{settings.source}: unchanged, snapshot {fingerprint[:16]} is there already")
    else:
        publish = _s3_folder if object_store.is_s3(dataset.folder_uri) else _local_folder
        with publish(dataset.folder_uri) as folder:
            _write_snapshot(settings, images, class_names, fingerprint, listing.ignored_files, folder, say)
    _describe(read_manifest(dataset), say)
    return dataset


def list_images(settings: DataSettings, listing: SourceListing) -> list[ListedImage]:
    """The first reading: digest, class and split of every image, in the source's order."""
    images = []
    for image in read_source(settings.source, listing):
        digest = content_digest(image.content)
        split = split_of(digest, settings.validation_fraction, settings.test_fraction)
        images.append(ListedImage(digest, image.class_name, split))
    return images


def require_enough(source: str, images: list[ListedImage]) -> None:
    """Raise DataError unless there are two classes, and every class can be trained and judged."""
    per_class = Counter(image.class_name for image in images)
    if not images:
        raise DataError(
            f"data.source={source!r} holds no images; expected one folder per class with image files in it; "
            "correct the path or add images"
        )
    if len(per_class) < 2:
        raise DataError(
            f"data.source={source!r} has 1 class, {next(iter(per_class))!r}; expected at least 2 class folders; "
            "add another class"
        )
    fewest, count = min(per_class.items(), key=lambda item: item[1])
    if count < len(SPLITS):
        raise DataError(
            f"class {fewest!r} has {count} image{'s' * (count > 1)}; expected at least {len(SPLITS)}, one for each "
            "of training, validation and test; add images or remove the class"
        )
    trained = {image.class_name for image in images if image.split == "train"}
    if missing := sorted(set(per_class) - trained):
        raise DataError(
            f"class {missing[0]!r} has no image in the training split ({per_class[missing[0]]} in all); "
            "expected at least 1; add images or lower data.validation_fraction and data.test_fraction"
        )
    for split in SPLITS:
        if not any(image.split == split for image in images):
            raise DataError(
                f"the {split} split is empty: {len(images)} images in all; expected at least 1 image; "
                f"add images or raise data.{split}_fraction"
            )


def fingerprint_of(settings: DataSettings, images: list[ListedImage]) -> str:
    """SHA-256, in hex, of all that decides a snapshot's content; the order of images does not."""
    digest = hashlib.sha256(
        f"1 {settings.image_size} {settings.validation_fraction!r} {settings.test_fraction!r}".encode()
    )
    for image in sorted(images, key=_storage_order):
        digest.update(image.digest + image.class_name.encode() + b"\0")
    return digest.hexdigest()


def _storage_order(image: ListedImage) -> tuple[bytes, str]:
    return image.digest, image.class_name


def _write_snapshot(
    settings: DataSettings,
    images: list[ListedImage],
    class_names: list[str],
    fingerprint: str,
    ignored_files: int,
    folder: Path,
    say: Say,
) -> None:
    with tempfile.TemporaryFile(dir=folder) as scratch:
        shape = _decode_all(settings, images, scratch, say)
        scratch.flush()
        pixels = np.memmap(scratch, dtype=np.uint8, mode="r", shape=(len(images), *shape))
        shards: list[Shard] = []
        for split in SPLITS:
            shards += _write_split(split, images, class_names, pixels, folder)
        del pixels
    counts: dict[SplitName, dict[str, int]] = {
        split: {
            name: sum(1 for image in images if image.split == split and image.class_name == name)
            for name in class_names
        }
        for split in SPLITS
    }
    manifest = Manifest(
        fingerprint=fingerprint,
        class_names=class_names,
        image_shape=shape,
        images_per_class=counts,
        ignored_files=ignored_files,
        shards=shards,
    )
    (folder / MANIFEST_FILE).write_text(manifest.model_dump_json(indent=1))


def _decode_all(
    settings: DataSettings, images: list[ListedImage], scratch: IO[bytes], say: Say
) -> tuple[int, int, int]:
    """The second reading: append every image's pixels to ``scratch``; the common shape."""
    shape: tuple[int, int, int] | None = None
    first_path = ""
    source = read_source(settings.source, SourceListing())
    for number, (listed, image) in enumerate(zip_longest(images, source), start=1):
        if listed is None or image is None or content_digest(image.content) != listed.digest:
            place = f"{image.path!r} in " if image else ""
            raise DataError(f"{place}{settings.source!r} changed while it was read; expected images at rest; run again")
        pixels = (
            digits_pixels(image.content)
            if settings.source == "digits"
            else decode(image.content, image.path, settings.image_size)
        )
        if shape is None:
            shape, first_path = (pixels.shape[0], pixels.shape[1], pixels.shape[2]), image.path
        if pixels.shape != shape:
            raise DataError(
                f"{image.path!r} is {pixels.shape[1]}x{pixels.shape[0]} pixels but {first_path!r} is "
                f"{shape[1]}x{shape[0]}; expected images of one size; set data.image_size to resize them"
            )
        scratch.write(pixels.tobytes())
        if number % PROGRESS_EVERY == 0:
            say(f"decoded {number:,} of {len(images):,} images")
    assert shape is not None
    return shape


def _write_split(
    split: SplitName,
    images: list[ListedImage],
    class_names: list[str],
    pixels: NDArray[np.uint8],
    folder: Path,
) -> Iterator[Shard]:
    """Shards in the order of the digests: shuffled, and the same whatever the source's order."""
    label_of = {name: label for label, name in enumerate(class_names)}
    members = sorted(
        (index for index, image in enumerate(images) if image.split == split),
        key=lambda index: _storage_order(images[index]),
    )
    per_shard = max(1, SHARD_BYTES // pixels[0].nbytes)
    for number, start in enumerate(range(0, len(members), per_shard)):
        chosen = members[start : start + per_shard]
        labels = np.array([label_of[images[index].class_name] for index in chosen], dtype=np.int64)
        yield write_shard(folder, split, number, pixels[chosen], labels)


@contextmanager
def _s3_folder(folder_uri: str) -> Iterator[Path]:
    """A local folder whose files go to ``folder_uri`` when the body succeeds."""
    with tempfile.TemporaryDirectory() as temporary:
        yield Path(temporary)
        files = sorted(Path(temporary).iterdir(), key=lambda path: path.name == MANIFEST_FILE)
        for path in files:  # the manifest last: a reader finds a whole snapshot or none
            object_store.upload_file(path, object_store.join(folder_uri, path.name))


@contextmanager
def _local_folder(folder_uri: str) -> Iterator[Path]:
    """A folder that becomes ``folder_uri`` when the body succeeds, and vanishes when it fails."""
    final = Path(folder_uri)
    try:
        final.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=final.parent, prefix=".partial-", ignore_cleanup_errors=True) as partial:
            inside = Path(partial) / "snapshot"
            inside.mkdir()
            yield inside
            _rename_unless_published(inside, final)
    except OSError as error:
        raise StorageError(
            f"cannot write {folder_uri!r}: {error.strerror}; expected room in a writable work directory; set --workdir"
        ) from error


def _rename_unless_published(folder: Path, final: Path) -> None:
    if final.exists() and not (final / MANIFEST_FILE).is_file():  # somebody's leftovers
        shutil.rmtree(final)
    try:
        folder.rename(final)
    except OSError:
        if not (final / MANIFEST_FILE).is_file():  # else another run published the same images first
            raise


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
    for split in ("validation", "test"):
        if absent := [name for name, count in manifest.images_per_class[split].items() if count == 0]:
            say(f"warning: no {split} image of class {', '.join(absent)}")
    say(f"fingerprint {manifest.fingerprint[:16]}")
