"""The splits that a source has itself."""

from collections import Counter
from collections.abc import Mapping, Sequence

from sanefit.components.dataset_snapshot.dealing import Belonging, deal
from sanefit.components.dataset_snapshot.distinct import ListedImage
from sanefit.components.dataset_snapshot.split_ledger import SplitLedger, most_held_out
from sanefit.components.foundation.schemas.data_settings import DataSettings
from sanefit.components.foundation.schemas.images import SplitName
from sanefit.components.foundation.step_lines.step_log import Say


def keep_own_splits(
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
