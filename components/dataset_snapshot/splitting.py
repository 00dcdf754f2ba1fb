"""Put the images of a data set in splits: what belongs together is found, dealt, and written down for good."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from sanefit.components.dataset_snapshot.dealing import Belonging, classes_too_alike, deal
from sanefit.components.dataset_snapshot.decoded_images import DecodedImages
from sanefit.components.dataset_snapshot.distinct import ListedImage
from sanefit.components.dataset_snapshot.earlier_splits import earlier_splits
from sanefit.components.dataset_snapshot.near_duplicates import near_duplicate_pairs
from sanefit.components.dataset_snapshot.sequences import sequence_advice
from sanefit.components.dataset_snapshot.split_ledger import (
    Pair,
    SplitLedger,
    ledger_folder,
    most_held_out,
    read_ledger,
    write_ledger,
)
from sanefit.components.foundation.errors import DataError
from sanefit.components.foundation.schemas.images import DataSettings, SplitName
from sanefit.components.foundation.step_lines.step_log import Say
from sanefit.components.foundation.storage.layout import Storage

SHOWN = 3


@dataclass(frozen=True)
class ImagesInSplits:
    """``images``: each with its split. ``near``: pairs of numbers of images that are nearly the same."""

    images: list[ListedImage]
    near: list[tuple[int, int]]
    settings: DataSettings
    ledger_folder: str
    new_splits: dict[bytes, SplitName]
    new_near: set[Pair]

    def write(self) -> None:
        """Write down what is new, so that it stays.

        Raises:
            StorageError: when it cannot be written.
        """
        write_ledger(self.ledger_folder, self.new_splits, self.new_near, self.settings)


def put_in_splits(
    images: Sequence[ListedImage],
    groups: Sequence[Sequence[bytes]],
    decoded: DecodedImages,
    settings: DataSettings,
    storage: Storage,
    workers: int,
    say: Say,
) -> ImagesInSplits:
    """Each image where it was before; a new one by its content, or where what it belongs to is.

    Args:
        images: one of each content, with the splits of the source, where those are asked for.
        groups: of each image, the digests of its groups.
        decoded: their thumbnails.
        settings: the shares of the splits, and who makes them.
        storage: has the ledger; nothing is written yet.
        workers: processes that compare pictures.
        say: prints a line.

    Raises:
        StorageError: when the ledger cannot be read.
    """
    folder = ledger_folder(settings, storage)
    ledger = read_ledger(folder)
    searched = set(ledger.split_of)
    unknown = [image.digest for image in images if image.digest not in searched]
    if unknown and settings.splits == "by_content":  # a source's own splits begin with its own word
        for digest, split in earlier_splits(storage, unknown, decoded.digest_of_file, say).split_of.items():
            ledger.hold_out(digest, split)
    new_near = _near_new_ones(images, decoded, searched, workers)
    number_of = {image.digest: number for number, image in enumerate(images)}
    near = [
        (number_of[one], number_of[other])
        for one, other in sorted(ledger.near | new_near)
        if one in number_of and other in number_of
    ]
    near = _without_alike_classes(images, near, say)
    belonging = Belonging(near, groups)
    if settings.splits == "by_content":
        _say_fractions(images, ledger, settings, say)
        splits = deal(images, belonging, ledger.split_of, settings)
        _require_known_groups(images, groups, splits, ledger, settings)
        _say_what_leaks(images, splits, decoded, settings, say)
    else:
        splits = _own(images, belonging, ledger, settings, say)
    placed = [replace(image, split=split) for image, split in zip(images, splits, strict=True)]
    now = {image.digest: image.split for image in placed if image.split}
    now |= _of_groups(placed, groups)
    new_splits = {
        digest: split for digest, split in now.items() if digest not in searched or ledger.split_of[digest] != split
    }
    return ImagesInSplits(placed, near, settings, folder, new_splits, new_near)


def _without_alike_classes(
    images: Sequence[ListedImage], near: Sequence[tuple[int, int]], say: Say
) -> list[tuple[int, int]]:
    """No pairs of classes whose images are nearly the same throughout: there, they are no copies."""
    alike = classes_too_alike(images, near)
    if alike:
        some = ", ".join(sorted(alike)[:SHOWN])
        say(f"the images of {len(alike):,} classes, as {some}, are nearly the same throughout: each is dealt by itself")
    classes = [image.class_name for image in images]
    return [(one, other) for one, other in near if not {classes[one], classes[other]} <= alike]


def _require_known_groups(
    images: Sequence[ListedImage],
    groups: Sequence[Sequence[bytes]],
    splits: Sequence[SplitName],
    ledger: SplitLedger,
    settings: DataSettings,
) -> None:
    """Raise DataError when groups are new to images that were dealt one by one, and most would be held out for it."""
    moved = sum(
        split != "train"
        and ledger.split_of.get(image.digest) == "train"
        and not any(group in ledger.split_of for group in of_image)
        for image, of_image, split in zip(images, groups, splits, strict=True)
    )
    if settings.group is not None and moved:
        raise DataError(
            f"data.group={settings.group!r} is new here: {moved:,} training images would be held out, as one "
            "of each group was before; expected groups from the first run on; choose another storage (--workdir)"
        )


def _say_what_leaks(
    images: Sequence[ListedImage],
    splits: Sequence[SplitName],
    decoded: DecodedImages,
    settings: DataSettings,
    say: Say,
) -> None:
    if settings.group is not None:
        return
    advice = sequence_advice(images, splits, decoded.thumbnails_of([image.digest for image in images]))
    if advice:
        say(
            "warning: images whose numbers follow each other show nearly the same, as frames of a film do, and lie in "
            f"different splits, which flatters every accuracy; set data.group='{advice}', and another --workdir"
        )


def _say_fractions(images: Sequence[ListedImage], ledger: SplitLedger, settings: DataSettings, say: Say) -> None:
    validation, test = settings.validation_fraction, settings.test_fraction
    if not ledger.fractions or (validation, test) in ledger.fractions:
        return
    known = sum(image.digest in ledger.split_of for image in images)
    say(
        f"data.validation_fraction={validation:g} and data.test_fraction={test:g} are those of new images; {known:,} "
        "that are known stay in their split; to deal all anew, choose another storage"
    )


def _near_new_ones(
    images: Sequence[ListedImage], decoded: DecodedImages, searched: set[bytes], workers: int
) -> set[Pair]:
    """Pairs of near-duplicates of which one at least was not compared before."""
    ordered = sorted((image.digest for image in images), key=lambda digest: (digest not in searched, digest))
    first_new = sum(digest in searched for digest in ordered)
    if first_new == len(ordered):
        return set()
    pairs = near_duplicate_pairs(decoded.thumbnails_of(ordered), first_new, workers)
    return {(min(pair), max(pair)) for pair in ((ordered[one], ordered[other]) for one, other in pairs.tolist())}


def _of_groups(images: Sequence[ListedImage], groups: Sequence[Sequence[bytes]]) -> dict[bytes, SplitName]:
    return {
        group: image.split for image, of_image in zip(images, groups, strict=True) for group in of_image if image.split
    }


def _own(
    images: Sequence[ListedImage], belonging: Belonging, ledger: SplitLedger, settings: DataSettings, say: Say
) -> list[SplitName]:
    """Those of the source, but nothing that was held out is trained on; validation is carved out where it lacks."""
    splits: list[SplitName] = [image.split or "train" for image in images]
    if "validation" not in splits:
        _carve_validation(splits, images, belonging, ledger, settings, say)
    held = [
        number
        for number, image in enumerate(images)
        if splits[number] == "train" and ledger.split_of.get(image.digest, "train") != "train"
    ]
    if held:
        say(
            f"warning: {len(held):,} images of the source's training split, as {images[held[0]].path}, were held out "
            "before, and still are; to begin anew, choose another storage"
        )
    return [
        most_held_out([split, ledger.split_of.get(image.digest, split)])
        for split, image in zip(splits, images, strict=True)
    ]


def _carve_validation(
    splits: list[SplitName],
    images: Sequence[ListedImage],
    belonging: Belonging,
    ledger: SplitLedger,
    settings: DataSettings,
    say: Say,
) -> None:
    pool = [number for number, split in enumerate(splits) if split == "train"]
    place_of = {number: place for place, number in enumerate(pool)}
    near = [(place_of[one], place_of[other]) for one, other in belonging.near if one in place_of and other in place_of]
    among = Belonging(near, [belonging.groups[number] for number in pool])
    known: Mapping[bytes, SplitName] = {
        digest: split for digest, split in ledger.split_of.items() if split in ("train", "validation")
    }
    dealt = deal([images[number] for number in pool], among, known, settings, ("train", "validation"))
    for number, split in zip(pool, dealt, strict=True):
        splits[number] = split
    say(
        f"no validation split in the source: {Counter(dealt)['validation']:,} images of its training split become one, "
        "by their content"
    )
