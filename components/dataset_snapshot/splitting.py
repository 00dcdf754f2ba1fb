"""Put the images of a data set in splits: what belongs together is found, dealt, and written down for good."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from sanefit.components.dataset_snapshot.dealing import Belonging, bundles_of, classes_too_alike, deal
from sanefit.components.dataset_snapshot.decoded_images import DecodedImages
from sanefit.components.dataset_snapshot.distinct import ListedImage
from sanefit.components.dataset_snapshot.earlier_splits import earlier_splits
from sanefit.components.dataset_snapshot.near_duplicates import near_duplicate_pairs
from sanefit.components.dataset_snapshot.own_splits import keep_own_splits
from sanefit.components.dataset_snapshot.sequences import sequence_advice
from sanefit.components.dataset_snapshot.split_ledger import (
    Pair,
    SplitLedger,
    ledger_folder,
    read_ledger,
    write_ledger,
)
from sanefit.components.foundation.errors import DataError
from sanefit.components.foundation.schemas.data_settings import DataSettings
from sanefit.components.foundation.schemas.images import SplitName
from sanefit.components.foundation.step_lines.step_log import Say
from sanefit.components.foundation.storage.layout import Storage

SHOWN = 3


@dataclass(frozen=True)
class ImagesInSplits:
    """``images``: each with its split; ``bundles``: of each, as ``bundles_of`` gives it.

    ``near``: pairs of numbers of images that are nearly the same.
    """

    images: list[ListedImage]
    bundles: list[bytes]
    near: list[tuple[int, int]]
    settings: DataSettings
    ledger_folder: str
    new_splits: dict[bytes, SplitName]
    new_near: set[Pair]

    def without(self, digests: Collection[bytes]) -> "ImagesInSplits":
        """What is left when the images with these digests are taken out; what is written down is the same."""
        kept = [number for number, image in enumerate(self.images) if image.digest not in digests]
        place_of = {number: place for place, number in enumerate(kept)}
        return replace(
            self,
            images=[self.images[number] for number in kept],
            bundles=[self.bundles[number] for number in kept],
            near=[(place_of[one], place_of[other]) for one, other in self.near if {one, other} <= place_of.keys()],
        )

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
    files_of = _files_of(images, decoded)
    if settings.splits == "by_content":  # a source's own splits begin with its own word
        _recall(images, files_of, ledger, searched, storage, decoded, say)
    new_near = _near_new_ones(images, decoded, searched, workers)
    number_of = {image.digest: number for number, image in enumerate(images)}
    pairs = sorted(ledger.near | new_near)
    here = [(number_of[one], number_of[other]) for one, other in pairs if one in number_of and other in number_of]
    alike = _alike_classes(images, here, say)
    classes = [image.class_name for image in images]
    near = [(one, other) for one, other in here if not {classes[one], classes[other]} <= alike]
    if settings.splits == "by_content":
        _hold_out_copies(images, number_of, pairs, alike, ledger)
    belonging = Belonging(near, groups)
    if settings.splits == "by_content":
        _say_fractions(images, ledger, settings, say)
        splits = deal(images, belonging, ledger.split_of, settings)
        _require_known_groups(images, groups, splits, ledger, settings)
        _say_what_leaks(images, splits, decoded, settings, say)
    else:
        splits = keep_own_splits(images, belonging, ledger, settings, say)
    placed = [replace(image, split=split) for image, split in zip(images, splits, strict=True)]
    now = {image.digest: image.split for image in placed if image.split}
    now |= {file: now[digest] for digest, files in files_of.items() for file in files}
    now |= _of_groups(placed, groups)
    new_splits = {
        digest: split for digest, split in now.items() if digest not in searched or ledger.split_of[digest] != split
    }
    return ImagesInSplits(placed, bundles_of(images, belonging), near, settings, folder, new_splits, new_near)


def _files_of(images: Sequence[ListedImage], decoded: DecodedImages) -> dict[bytes, list[bytes]]:
    """The digests of the files that show each image: they stay when images are decoded in another way."""
    files: dict[bytes, list[bytes]] = {image.digest: [] for image in images}
    for file, digest in decoded.digest_of_file.items():
        if digest in files and file != digest:
            files[digest].append(file)
    return files


def _recall(
    images: Sequence[ListedImage],
    files_of: Mapping[bytes, Sequence[bytes]],
    ledger: SplitLedger,
    searched: set[bytes],
    storage: Storage,
    decoded: DecodedImages,
    say: Say,
) -> None:
    """Add to the ledger what is known of its new images: by their files, and from other data sets."""
    unknown = [image.digest for image in images if image.digest not in searched]
    if not unknown:
        return
    wanted = [*unknown, *(file for digest in unknown for file in files_of[digest])]
    for digest, split in earlier_splits(storage, wanted, decoded.digest_of_file, say).split_of.items():
        ledger.hold_out(digest, split)
    for digest in unknown:
        for file in files_of[digest]:
            if file in ledger.split_of:
                ledger.hold_out(digest, ledger.split_of[file])


def _alike_classes(images: Sequence[ListedImage], near: Sequence[tuple[int, int]], say: Say) -> set[str]:
    """Classes whose images are nearly the same throughout: there, pairs are no copies."""
    alike = classes_too_alike(images, near)
    if alike:
        some = ", ".join(sorted(alike)[:SHOWN])
        say(f"the images of {len(alike):,} classes, as {some}, are nearly the same throughout: each is dealt by itself")
    return alike


def _hold_out_copies(
    images: Sequence[ListedImage],
    number_of: Mapping[bytes, int],
    pairs: Iterable[Pair],
    alike: set[str],
    ledger: SplitLedger,
) -> None:
    """Put new images where near-duplicates were that are not here any more: a whole set may be encoded anew."""
    gone = ((one, other) for pair in pairs for one, other in (pair, pair[::-1]) if other not in number_of)
    for one, other in gone:
        is_new = one in number_of and one not in ledger.split_of
        if is_new and other in ledger.split_of and images[number_of[one]].class_name not in alike:
            ledger.hold_out(one, ledger.split_of[other])


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
    """Pairs of near-duplicates of which one at least was not compared before; those that are gone are compared too."""
    new = sorted(image.digest for image in images if image.digest not in searched)
    if not new:
        return set()
    known = sorted(digest for digest in searched if digest in decoded.place_of)
    ordered = [*known, *new]
    pairs = near_duplicate_pairs(decoded.thumbnails_of(ordered), len(known), workers)
    return {(min(pair), max(pair)) for pair in ((ordered[one], ordered[other]) for one, other in pairs.tolist())}


def _of_groups(images: Sequence[ListedImage], groups: Sequence[Sequence[bytes]]) -> dict[bytes, SplitName]:
    return {
        group: image.split for image, of_image in zip(images, groups, strict=True) for group in of_image if image.split
    }
