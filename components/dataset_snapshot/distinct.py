"""Which of the images that were read are used: one of each content, in one class; and what names them all."""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from sanefit.components.dataset_snapshot.split_ledger import HELD_OUT_FIRST
from sanefit.components.foundation.errors import DataError
from sanefit.components.foundation.schemas.data_settings import DataSettings
from sanefit.components.foundation.schemas.images import SPLITS, SplitName


@dataclass(frozen=True, slots=True)
class ListedImage:
    """One image of a source: the digest of its pixels, its class, and the split that the source puts it in.

    ``broken``: why it is no image, if it is none. ``excluded``: whether ``data.exclude`` leaves it out.
    """

    digest: bytes
    class_name: str
    split: SplitName | None
    path: str = ""
    broken: str = ""
    excluded: bool = False


@dataclass(frozen=True)
class Conflict:
    """One content in several classes."""

    digest: bytes
    paths: list[str]
    class_names: list[str]


@dataclass(frozen=True)
class Distinct:
    """Which images of a listing are used: one of each content, none of a content that lies in several classes.

    ``indices``: of those used, rising. ``copies_of``: by index of one that is used, those of all its copies.
    ``duplicates``: copies left out inside their class.
    """

    indices: list[int]
    copies_of: dict[int, list[int]]
    duplicates: int
    conflicts: list[Conflict]


def distinct_images(images: Sequence[ListedImage]) -> Distinct:
    """Images of one content, by their digests: one is used, none when they lie in several classes, nor one excluded.

    Of copies in several splits of the source, that of the test split, then of validation.
    """
    copies: dict[bytes, list[int]] = defaultdict(list)
    for index, image in enumerate(images):
        if not image.excluded:
            copies[image.digest].append(index)
    indices: list[int] = []
    copies_of: dict[int, list[int]] = {}
    duplicates = 0
    conflicts = []
    for digest, same in copies.items():
        if images[same[0]].broken:
            indices += same  # each is a file that is no image, whatever class it would be of
            continue
        classes = sorted({images[index].class_name for index in same})
        if len(classes) > 1:
            conflicts.append(Conflict(digest, sorted(images[index].path for index in same), classes))
        else:
            indices.append(min(same, key=lambda index: HELD_OUT_FIRST.index(images[index].split or "train")))
            copies_of[indices[-1]] = same
            duplicates += len(same) - 1
    return Distinct(sorted(indices), copies_of, duplicates, sorted(conflicts, key=lambda conflict: conflict.paths))


def require_classes(settings: DataSettings, images: list[ListedImage]) -> None:
    """Raise DataError unless there are two classes, each with an image for each split."""
    source, per_class = settings.source, Counter(image.class_name for image in images)
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


def require_splits(settings: DataSettings, images: list[ListedImage]) -> None:
    """Raise DataError unless every class is trained, and there is something to judge by."""
    per_class = Counter(image.class_name for image in images)
    trained = {image.class_name for image in images if image.split == "train"}
    if missing := sorted(set(per_class) - trained):
        raise DataError(
            f"class {missing[0]!r} has no image in the training split ({per_class[missing[0]]} in all); "
            f"expected at least 1; {_advice(settings, 'train', f'add images of class {missing[0]!r}')}"
        )
    for split in SPLITS:
        if not any(image.split == split for image in images):
            raise DataError(
                f"the {split} split is empty: {len(images)} images in all; expected at least 1 image; "
                f"{_advice(settings, split, 'add images')}"
            )


def _advice(settings: DataSettings, split: SplitName, by_content: str) -> str:
    if settings.splits == "own":
        return f"add images to the source's own {split} split, or set data.splits=by_content"
    if settings.group is not None:
        return f"{by_content}, or set data.group so that a class has three groups or more"
    return by_content


def fingerprint_of(
    settings: DataSettings, images: Iterable[ListedImage], placed: Mapping[bytes, tuple[SplitName, bytes]]
) -> str:
    """SHA-256, in hex, of all that decides a snapshot's content; the order of images does not.

    Args:
        settings: how images are decoded, and how many may be broken.
        images: all of the source.
        placed: the split and the bundle of those that are used, by the digest of their pixels.
    """
    digest = hashlib.sha256(f"5 {settings.decoding} {settings.max_bad_fraction!r} {settings.splits}".encode())
    for image in sorted(images, key=storage_order):
        split, bundle = ("excluded", b"") if image.excluded else placed.get(image.digest, ("", b""))
        digest.update(image.digest + image.class_name.encode() + b"\0" + split.encode() + b"\0" + bundle)
    return digest.hexdigest()


def storage_order(image: ListedImage) -> tuple[bytes, str]:
    """By digest: shuffled, and the same whatever the source's order."""
    return image.digest, image.class_name
