"""The splits that a source has itself."""

import numpy as np

from sanefit.components.dataset_snapshot.dealing import Belonging, deal
from sanefit.components.dataset_snapshot.listed_images import ListedImages
from sanefit.components.dataset_snapshot.split_codes import NO_SPLIT, Codes, code_of
from sanefit.components.dataset_snapshot.split_ledger import SplitLedger
from sanefit.components.foundation.schemas.data_settings import DataSettings
from sanefit.components.foundation.step_lines.step_log import Say


def keep_own_splits(
    images: ListedImages, belonging: Belonging, ledger: SplitLedger, settings: DataSettings, say: Say
) -> Codes:
    """Those of the source, but nothing that was held out is trained on; validation is carved out where it lacks."""
    train = code_of("train")
    codes = np.where(images.codes == NO_SPLIT, train, images.codes).astype(np.int8)
    if code_of("validation") not in codes:
        _carve_validation(codes, images, belonging, ledger, settings, say)
    before = ledger.split_of.codes(images.digests)
    held = np.flatnonzero((codes == train) & (before < train))
    if len(held):
        say(
            f"warning: {len(held):,} images of the source's training split, as {images.path(int(held[0]))}, were held "
            "out before, and still are; to begin anew, choose another storage"
        )
    return np.minimum(codes, before)


def _carve_validation(
    codes: Codes,
    images: ListedImages,
    belonging: Belonging,
    ledger: SplitLedger,
    settings: DataSettings,
    say: Say,
) -> None:
    pool = np.flatnonzero(codes == code_of("train"))
    place_of = {number: place for place, number in enumerate(pool.tolist())}
    near = [(place_of[one], place_of[other]) for one, other in belonging.near if one in place_of and other in place_of]
    among = Belonging(near, [belonging.groups[number] for number in pool.tolist()])
    dealt = deal(images.chosen(pool), among, ledger.split_of.without("test"), settings, ("train", "validation"))
    codes[pool] = dealt
    carved = int((dealt == code_of("validation")).sum())
    say(f"no validation split in the source: {carved:,} images of its training split become one, by their content")
