"""What a ledger, and all others of a storage, tell of images that are new to it; and what it does not tell yet."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from sanefit.components.dataset_snapshot.decoded_images import DecodedImages
from sanefit.components.dataset_snapshot.digest_table import Digests, DigestTable, are_among, digests_in
from sanefit.components.dataset_snapshot.earlier_splits import earlier_splits
from sanefit.components.dataset_snapshot.listed_images import ListedImages, Numbers
from sanefit.components.dataset_snapshot.split_codes import NO_SPLIT, DigestSplits
from sanefit.components.dataset_snapshot.split_ledger import Pair, SplitLedger
from sanefit.components.foundation.step_lines.step_log import Say
from sanefit.components.foundation.storage.layout import Storage


@dataclass(frozen=True)
class ShownFiles:
    """``digests``: of the files that show images; ``images``: which one each shows, int64 (files,)."""

    digests: Digests
    images: Numbers


def files_of(images: ListedImages, decoded: DecodedImages) -> ShownFiles:
    """The files that show images: they stay when images are decoded in another way."""
    files, shown = decoded.digest_of_file.items()
    numbers = DigestTable(np.int64)
    numbers.add(images.digests, np.arange(len(images)))
    known, number = numbers.find(shown)
    others = np.flatnonzero(known & (files != shown))
    return ShownFiles(files[others], number[others])


def recall(images: ListedImages, ledger: SplitLedger, storage: Storage, decoded: DecodedImages, say: Say) -> None:
    """Add to the ledger what is known of its new images: by their files, and from other data sets."""
    unknown = ledger.split_of.codes(images.digests) == NO_SPLIT
    if not unknown.any():
        return
    files = files_of(images, decoded)
    of_unknown = unknown[files.images]
    wanted = np.concatenate([images.digests[unknown], files.digests[of_unknown]])
    ledger.split_of.hold_out(*earlier_splits(storage, wanted, decoded.digest_of_file, say).arrays())
    by_file = np.full(len(images), NO_SPLIT, dtype=np.int8)
    np.minimum.at(by_file, files.images[of_unknown], ledger.split_of.codes(files.digests[of_unknown]))
    told = np.flatnonzero(by_file != NO_SPLIT)
    ledger.split_of.hold_out(images.digests[told], by_file[told])


def hold_out_copies(
    images: ListedImages,
    number_of: Mapping[bytes, int],
    pairs: Iterable[Pair],
    alike: set[str],
    ledger: SplitLedger,
) -> None:
    """Put new images where near-duplicates were that are not here any more: a whole set may be encoded anew."""
    gone = [
        (one, other)
        for pair in pairs
        for one, other in (pair, pair[::-1])
        if other not in number_of and one in number_of and images.class_name(number_of[one]) not in alike
    ]
    one_of, other_of = (digests_in(pair[side] for pair in gone) for side in (0, 1))
    before, there = ledger.split_of.codes(one_of), ledger.split_of.codes(other_of)
    told = np.flatnonzero((before == NO_SPLIT) & (there != NO_SPLIT))
    _, first = np.unique(one_of[told], return_index=True)  # the first of several that it was like
    ledger.split_of.hold_out(one_of[told[first]], there[told[first]])


def new_splits(
    images: ListedImages,
    files: ShownFiles,
    groups: Sequence[Sequence[bytes]],
    searched: Digests,
    ledger: SplitLedger,
) -> DigestSplits:
    """Of images, their files and their groups, what the ledger does not say yet."""
    of_groups = {
        group: code for code, of_image in zip(images.codes.tolist(), groups, strict=True) for group in of_image
    }
    found = DigestTable(np.int8)
    found.add(images.digests, images.codes)
    found.add(files.digests, images.codes[files.images])
    found.add(digests_in(of_groups), np.array(list(of_groups.values()), dtype=np.int8))
    digests, codes = found.items()
    new = ~are_among(digests, searched) | (ledger.split_of.codes(digests) != codes)
    splits = DigestSplits()
    splits.hold_out(digests[new], codes[new])
    return splits
