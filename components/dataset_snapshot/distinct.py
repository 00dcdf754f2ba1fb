"""Which of the images that were read are used: one of each content, in one class; and what names them all."""

import hashlib
from collections import Counter, defaultdict
from dataclasses import dataclass

from sanefit.components.foundation.errors import DataError
from sanefit.components.foundation.schemas.images import SPLITS, DataSettings, LabelConflict, SplitName

HELD_OUT_FIRST: tuple[SplitName, ...] = ("test", "validation", "train")


@dataclass(frozen=True, slots=True)
class ListedImage:
    """One image of a source: its content, class and split; ``broken``: why it is no image, if it is none."""

    digest: bytes
    class_name: str
    split: SplitName
    path: str = ""
    broken: str = ""


@dataclass(frozen=True)
class Distinct:
    """Which images of a listing are used: one of each content, none of a content that lies in several classes.

    ``indices``: of those used, rising. ``duplicates``: copies left out inside their class.
    """

    indices: list[int]
    duplicates: int
    conflicts: list[LabelConflict]


def distinct_images(images: list[ListedImage]) -> Distinct:
    """Images of one content, by their digests: one is used, none when they lie in several classes.

    Of copies in several splits, that of the test split, then of validation: nothing held out is trained on.
    """
    copies: dict[bytes, list[int]] = defaultdict(list)
    for index, image in enumerate(images):
        copies[image.digest].append(index)
    indices: list[int] = []
    duplicates = 0
    conflicts = []
    for same in copies.values():
        classes = sorted({images[index].class_name for index in same})
        if len(classes) > 1:
            conflicts.append(LabelConflict(paths=sorted(images[i].path for i in same), class_names=classes))
        else:
            indices.append(min(same, key=lambda index: HELD_OUT_FIRST.index(images[index].split)))
            duplicates += len(same) - 1
    return Distinct(sorted(indices), duplicates, sorted(conflicts, key=lambda conflict: conflict.paths))


def require_enough(settings: DataSettings, images: list[ListedImage]) -> None:
    """Raise DataError unless there are two classes, and every class can be trained and judged."""
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
    trained = {image.class_name for image in images if image.split == "train"}
    if missing := sorted(set(per_class) - trained):
        raise DataError(
            f"class {missing[0]!r} has no image in the training split ({per_class[missing[0]]} in all); "
            "expected at least 1; "
            f"{_advice(settings, 'train', 'lower data.validation_fraction and data.test_fraction')}"
        )
    for split in SPLITS:
        if not any(image.split == split for image in images):
            raise DataError(
                f"the {split} split is empty: {len(images)} images in all; expected at least 1 image; "
                f"{_advice(settings, split, f'raise data.{split}_fraction')}"
            )


def _advice(settings: DataSettings, split: SplitName, by_content: str) -> str:
    if settings.splits == "own":
        return f"add images to the source's own {split} split, or set data.splits=by_content"
    return f"add images or {by_content}"


def fingerprint_of(settings: DataSettings, images: list[ListedImage]) -> str:
    """SHA-256, in hex, of all that decides a snapshot's content; the order of images does not."""
    digest = hashlib.sha256(
        f"2 {settings.image_size} {settings.validation_fraction!r} {settings.test_fraction!r} "
        f"{settings.background} {settings.max_bad_fraction!r} {settings.splits}".encode()
    )
    for image in sorted(images, key=storage_order):
        digest.update(image.digest + image.class_name.encode() + b"\0" + image.split.encode() + b"\0")
    return digest.hexdigest()


def storage_order(image: ListedImage) -> tuple[bytes, str]:
    """By digest: shuffled, and the same whatever the source's order."""
    return image.digest, image.class_name
