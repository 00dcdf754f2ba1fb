"""Put the images of a data set in splits: what belongs together is found, dealt, and written down for good."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from sanefit.components.dataset_snapshot.dealing import Belonging, bundles_of, classes_too_alike, deal
from sanefit.components.dataset_snapshot.decoded_images import DecodedImages
from sanefit.components.dataset_snapshot.digest_table import Digests, are_among, as_rows, digests_in
from sanefit.components.dataset_snapshot.listed_images import ListedImages
from sanefit.components.dataset_snapshot.near_duplicates import near_duplicate_pairs
from sanefit.components.dataset_snapshot.own_splits import keep_own_splits
from sanefit.components.dataset_snapshot.recalled_splits import files_of, hold_out_copies, new_splits, recall
from sanefit.components.dataset_snapshot.sequences import sequence_advice
from sanefit.components.dataset_snapshot.split_codes import NO_SPLIT, Codes, DigestSplits, code_of
from sanefit.components.dataset_snapshot.split_ledger import (
    Pair,
    SplitLedger,
    ledger_folder,
    read_ledger,
    write_ledger,
)
from sanefit.components.foundation.errors import DataError
from sanefit.components.foundation.image_dataset.splits import digest_rows
from sanefit.components.foundation.schemas.data_settings import DataSettings
from sanefit.components.foundation.step_lines.step_log import Say
from sanefit.components.foundation.storage.layout import Storage

SHOWN = 3


@dataclass(frozen=True)
class ImagesInSplits:
    """``images``: each with its split; ``bundles``: of each, as ``bundles_of`` gives it.

    ``near``: pairs of numbers of images that are nearly the same.
    """

    images: ListedImages
    bundles: Digests
    near: list[tuple[int, int]]
    settings: DataSettings
    ledger_folder: str
    new_splits: DigestSplits
    new_near: set[Pair]

    def without(self, digests: Digests) -> "ImagesInSplits":
        """What is left when the images with these digests are taken out; what is written down is the same."""
        if not len(digests):
            return self
        kept = np.flatnonzero(~np.isin(self.images.digests, digests))
        place_of = {number: place for place, number in enumerate(kept.tolist())}
        return replace(
            self,
            images=self.images.chosen(kept),
            bundles=self.bundles[kept],
            near=[(place_of[one], place_of[other]) for one, other in self.near if {one, other} <= place_of.keys()],
        )

    def write(self) -> None:
        """Write down what is new, so that it stays.

        Raises:
            StorageError: when it cannot be written.
        """
        write_ledger(self.ledger_folder, self.new_splits, self.new_near, self.settings)


def put_in_splits(
    images: ListedImages,
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
    searched, _ = ledger.split_of.arrays()
    if settings.splits == "by_content":  # a source's own splits begin with its own word
        recall(images, ledger, storage, decoded, say)
    new_near = _near_new_ones(images, decoded, searched, workers)
    pairs = sorted(ledger.near | new_near)
    number_of = _numbers_of(pairs, images)
    here = [(number_of[one], number_of[other]) for one, other in pairs if one in number_of and other in number_of]
    alike = _alike_classes(images, here, say)
    near = [pair for pair in here if not {images.class_name(number) for number in pair} <= alike]
    if settings.splits == "by_content":
        hold_out_copies(images, number_of, pairs, alike, ledger)
    belonging = Belonging(near, groups)
    if settings.splits == "by_content":
        _say_fractions(images, ledger, settings, say)
        codes = deal(images, belonging, ledger.split_of, settings)
        _require_known_groups(images, groups, codes, ledger, settings)
        _say_what_leaks(images, codes, decoded, settings, say)
    else:
        codes = keep_own_splits(images, belonging, ledger, settings, say)
    placed = replace(images, codes=codes)
    return ImagesInSplits(
        images=placed,
        bundles=bundles_of(images, belonging),
        near=near,
        settings=settings,
        ledger_folder=folder,
        new_splits=new_splits(placed, files_of(images, decoded), groups, searched, ledger),
        new_near=new_near,
    )


def _numbers_of(pairs: Iterable[Pair], images: ListedImages) -> dict[bytes, int]:
    """By their digests those images that some pair names."""
    named = digests_in(sorted({digest for pair in pairs for digest in pair}))
    numbers = np.flatnonzero(are_among(images.digests, named))
    return dict(zip(digest_rows(as_rows(images.digests[numbers])), numbers.tolist(), strict=True))


def _alike_classes(images: ListedImages, near: Sequence[tuple[int, int]], say: Say) -> set[str]:
    """Classes whose images are nearly the same throughout: there, pairs are no copies."""
    alike = classes_too_alike(images, near)
    if alike:
        some = ", ".join(sorted(alike)[:SHOWN])
        say(f"the images of {len(alike):,} classes, as {some}, are nearly the same throughout: each is dealt by itself")
    return alike


def _require_known_groups(
    images: ListedImages,
    groups: Sequence[Sequence[bytes]],
    codes: Codes,
    ledger: SplitLedger,
    settings: DataSettings,
) -> None:
    """Raise DataError when groups are new to images that were dealt one by one, and most would be held out for it."""
    if settings.group is None:
        return
    train = code_of("train")
    out = np.flatnonzero((codes != train) & (ledger.split_of.codes(images.digests) == train))
    moved = sum(not any(group in ledger.split_of for group in groups[number]) for number in out.tolist())
    if moved:
        raise DataError(
            f"data.group={settings.group!r} is new here: {moved:,} training images would be held out, as one "
            "of each group was before; expected groups from the first run on; choose another storage (--workdir)"
        )


def _say_what_leaks(
    images: ListedImages, codes: Codes, decoded: DecodedImages, settings: DataSettings, say: Say
) -> None:
    if settings.group is not None:
        return
    advice = sequence_advice(images, codes, decoded.thumbnails_of(images.digests))
    if advice:
        say(
            "warning: images whose numbers follow each other show nearly the same, as frames of a film do, and lie in "
            f"different splits, which flatters every accuracy; set data.group='{advice}', and another --workdir"
        )


def _say_fractions(images: ListedImages, ledger: SplitLedger, settings: DataSettings, say: Say) -> None:
    validation, test = settings.validation_fraction, settings.test_fraction
    if not ledger.fractions or (validation, test) in ledger.fractions:
        return
    known = int((ledger.split_of.codes(images.digests) != NO_SPLIT).sum())
    say(
        f"data.validation_fraction={validation:g} and data.test_fraction={test:g} are those of new images; {known:,} "
        "that are known stay in their split; to deal all anew, choose another storage"
    )


def _near_new_ones(images: ListedImages, decoded: DecodedImages, searched: Digests, workers: int) -> set[Pair]:
    """Pairs of near-duplicates of which one at least was not compared before; those that are gone are compared too."""
    ordered = images.digests[~are_among(images.digests, searched)]
    if not len(ordered):
        return set()
    ordered.sort()
    known = searched[decoded.place_of.find(searched)[0]]
    if len(known):
        ordered = np.concatenate([known, ordered])
    pairs = near_duplicate_pairs(decoded.thumbnails_of(ordered), len(known), workers)
    found = zip(*(digest_rows(as_rows(ordered[pairs[:, side]])) for side in (0, 1)), strict=True)
    return {(min(pair), max(pair)) for pair in found}
