"""Which of the images that were read are used: one of each content, in one class; and what names them all."""

import hashlib
from dataclasses import dataclass

import numpy as np

from sanefit.components.dataset_snapshot.digest_table import Digests, as_bytes, as_rows
from sanefit.components.dataset_snapshot.listed_images import ListedImages, Numbers
from sanefit.components.dataset_snapshot.split_codes import HELD_OUT_FIRST, NO_SPLIT, SPLIT_OF_CODE, Codes, code_of
from sanefit.components.foundation.errors import DataError
from sanefit.components.foundation.image_dataset.splits import digest_rows
from sanefit.components.foundation.schemas.data_settings import DataSettings
from sanefit.components.foundation.schemas.images import SPLITS, SplitName

HASHED_AT_ONCE = 10_000


@dataclass(frozen=True)
class Conflict:
    """One content in several classes."""

    digest: bytes
    paths: list[str]
    class_names: list[str]


@dataclass(frozen=True)
class Distinct:
    """Which images of a listing are used: one of each content, none of a content that lies in several classes.

    ``indices``: of those used, rising, int64. ``copies_of``: by index of one that is used, those of all its copies,
    where there are several. ``duplicates``: copies left out inside their class.
    """

    indices: Numbers
    copies_of: dict[int, list[int]]
    duplicates: int
    conflicts: list[Conflict]


def distinct_images(images: ListedImages) -> Distinct:
    """Images of one content, by their digests: one is used, none when they lie in several classes, nor one excluded.

    Of copies in several splits of the source, that of the test split, then of validation.
    """
    numbers = np.flatnonzero(~images.excluded)
    numbers = numbers[np.argsort(images.digests[numbers], kind="stable")]
    digests = images.digests[numbers]
    first = np.flatnonzero(np.concatenate([[True], digests[1:] != digests[:-1]])[: len(numbers)])
    counts = np.diff(first, append=len(numbers))
    used = [numbers[first[counts == 1]]]
    copies_of: dict[int, list[int]] = {}
    duplicates = 0
    conflicts = []
    for start, count in zip(first[counts > 1].tolist(), counts[counts > 1].tolist(), strict=True):
        same = numbers[start : start + count].tolist()
        if same[0] in images.broken:
            used.append(np.array(same))  # each is a file that is no image, whatever class it would be of
            continue
        classes = sorted({images.class_name(index) for index in same})
        if len(classes) > 1:
            paths = sorted(images.path(index) for index in same)
            conflicts.append(Conflict(as_bytes(images.digests[same[0]]), paths, classes))
        else:
            index = min(same, key=lambda index: HELD_OUT_FIRST.index(images.split(index) or "train"))
            used.append(np.array([index]))
            copies_of[index] = same
            duplicates += len(same) - 1
    conflicts.sort(key=lambda conflict: conflict.paths)
    return Distinct(np.sort(np.concatenate(used)), copies_of, duplicates, conflicts)


def require_classes(settings: DataSettings, images: ListedImages) -> None:
    """Raise DataError unless there are two classes, each with an image for each split."""
    source, per_class = settings.source, images.per_class()
    if not len(images):
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


def require_splits(settings: DataSettings, images: ListedImages) -> None:
    """Raise DataError unless every class is trained, and there is something to judge by."""
    per_class = images.per_class()
    trained = images.chosen(np.flatnonzero(images.codes == code_of("train"))).per_class()
    if missing := sorted(per_class.keys() - trained.keys()):
        raise DataError(
            f"class {missing[0]!r} has no image in the training split ({per_class[missing[0]]} in all); "
            f"expected at least 1; {_advice(settings, 'train', f'add images of class {missing[0]!r}')}"
        )
    for split in SPLITS:
        if not (images.codes == code_of(split)).any():
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


def fingerprint_of(settings: DataSettings, images: ListedImages, codes: Codes, bundles: Digests) -> str:
    """SHA-256, in hex, of all that decides a snapshot's content; the order of images does not.

    Args:
        settings: how images are decoded, and how many may be broken.
        images: all of the source.
        codes, bundles: the split and the bundle of each one's content; NO_SPLIT where it is not used.
    """
    digest = hashlib.sha256(f"5 {settings.decoding} {settings.max_bad_fraction!r} {settings.splits}".encode())
    kinds = len(SPLIT_OF_CODE) + 1
    kind = images.labels * kinds + np.where(images.excluded, kinds - 1, codes)
    texts = [
        f"{name}\0{split or ''}\0".encode() for name in images.class_names for split in (*SPLIT_OF_CODE, "excluded")
    ]
    order = storage_order(images)
    for start in range(0, len(order), HASHED_AT_ONCE):
        some = order[start : start + HASHED_AT_ONCE]
        contents, ends = digest_rows(as_rows(images.digests[some])), digest_rows(as_rows(bundles[some]))
        unused = images.excluded[some] | (codes[some] == NO_SPLIT)
        rows = zip(contents, kind[some].tolist(), ends, unused.tolist(), strict=True)
        digest.update(b"".join(content + texts[number] + (b"" if none else end) for content, number, end, none in rows))
    return digest.hexdigest()


def storage_order(images: ListedImages) -> Numbers:
    """By digest, then by class: shuffled, and the same whatever the source's order; int64 (images,)."""
    return np.lexsort((images.labels, images.digests))
