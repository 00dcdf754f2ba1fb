"""``webdataset:PATH``: tar shards of samples, as webdataset, img2dataset and Hugging Face write and read them.

A sample is the members with one name up to the first dot of the base name: ``000123.jpg`` and ``000123.cls``.
"""

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from posixpath import normpath
from typing import NamedTuple

from sanefit.components.foundation.errors import DataError
from sanefit.components.foundation.image_dataset.sources.class_folders import (
    IMAGE_SUFFIXES,
    NEITHER,
    is_hidden,
    why_no_picture,
)
from sanefit.components.foundation.image_dataset.sources.file_splits import files_to_read
from sanefit.components.foundation.image_dataset.sources.listed_names import class_names_beside
from sanefit.components.foundation.image_dataset.sources.local_file import PartOfFile
from sanefit.components.foundation.image_dataset.sources.named_files import NamedFile, named_files
from sanefit.components.foundation.image_dataset.sources.source_image import ListingRequest, SourceImage, SourceListing
from sanefit.components.foundation.image_dataset.sources.tar_archive import each_member, opened_tar, place_of

LABELS = ("cls", "json")
KEYS = ("label", "class")  # of a sample's JSON object


class _Member(NamedTuple):
    """A file of a sample. ``ending``: what follows the key, in lower case."""

    name: str
    ending: str
    place: PartOfFile

    @property
    def suffix(self) -> str:
        return "." + self.ending.rpartition(".")[2]


def list_images(request: ListingRequest) -> SourceListing:
    """The image of every sample, in the order of the shards and their members; objects in S3 are fetched.

    A sample's class is the text of ``.cls``, else ``label`` or ``class`` in the object of ``.json``. Where a file
    ``classes.txt`` or ``classnames.txt`` lies beside the shards, whole numbers are lines of it, from 0.

    Args:
        request: the place is a shard, a folder of them or a pattern; the word train, val or test in a shard's name is
            its split.

    Raises:
        DataError: when a shard is missing, damaged or without images, or a sample's image or class cannot be told.
        StorageError: when S3 does not give a shard.
    """
    listing = SourceListing()
    folder, shards = named_files(request.place, ".tar")
    names = class_names_beside(folder)
    for shard, split in files_to_read(shards, listing, own_splits=request.own_splits):
        images = len(listing.images)
        listing.objects += shard.objects
        for key, members in _samples(shard, request.scratch, listing).items():
            image = _image_of(shard, key, members, listing)
            if image is not None:
                class_name = "" if request.of_no_class else names.of(*_told_label(shard, key, members))
                listing.images.append(SourceImage(class_name, f"{shard.name}/{image.name}", image.place, split))
        if len(listing.images) == images:
            raise DataError(
                f"data.source: shard {shard.uri!r} holds no image; expected samples as 000.jpg and 000.cls; pack it "
                "again, or remove it"
            )
    return listing


def _samples(shard: NamedFile, scratch: Path, listing: SourceListing) -> dict[str, list[_Member]]:
    """By key; ``listing`` takes what belongs to none."""
    samples: dict[str, list[_Member]] = {}
    with opened_tar(shard.local(), scratch, shard.uri) as tar:
        origin = shard.origin()
        for member in each_member(tar):
            name = normpath(member.name)
            folder, slash, base = name.rpartition("/")
            key, dot, ending = base.partition(".")
            if member.isdir() or is_hidden(name.split("/")):
                continue
            if member.isfile() and dot:
                place = place_of(tar, member, scratch, origin)
                samples.setdefault(folder + slash + key, []).append(_Member(name, ending.lower(), place))
            else:
                listing.pass_over(f"{shard.name}/{name}", why_no_picture("") if member.isfile() else NEITHER)
    return samples


def _image_of(shard: NamedFile, key: str, members: Sequence[_Member], listing: SourceListing) -> _Member | None:
    """The one picture of a sample, if it has any; ``listing`` takes its other files, but for those of the class."""
    [ending, times] = Counter(member.ending for member in members).most_common(1)[0]
    if times > 1:
        raise DataError(
            f"data.source: {shard.uri!r} has {key}.{ending} {times} times; expected each key once in a shard; give "
            "samples keys of their own"
        )
    pictures = [member for member in members if member.suffix in IMAGE_SUFFIXES]
    # "000.jpg" is the image beside "000.mask.png".
    chosen = [member for member in pictures if "." not in member.ending] or pictures
    if len(chosen) > 1:
        raise DataError(
            f"data.source: {shard.uri!r}: sample {key!r} has several images, "
            f"{', '.join('.' + member.ending for member in chosen)}; expected one; leave out the others"
        )
    for member in members:
        if member not in chosen and not (chosen and member.ending in LABELS):
            picture = member.suffix in IMAGE_SUFFIXES
            reason = "a further picture of a sample" if picture else why_no_picture(member.suffix)
            listing.pass_over(f"{shard.name}/{member.name}", reason)
    return chosen[0] if chosen else None


def _told_label(shard: NamedFile, key: str, members: Sequence[_Member]) -> tuple[str, str]:
    """What a sample says of its class, and which sample it is, for people."""
    return _label_of(shard, key, members), f"{shard.uri!r}: sample {key!r}"


def _label_of(shard: NamedFile, key: str, members: Sequence[_Member]) -> str:
    file_of = {member.ending: member for member in members}
    for ending in LABELS:
        if ending in file_of and (label := _label_in(shard, file_of[ending])):
            return label
    raise DataError(
        f"data.source: {shard.uri!r}: sample {key!r} tells no class ({', '.join('.' + ending for ending in file_of)}); "
        "expected .cls with a number or a name, or .json with label or class; add one"
    )


def _label_in(shard: NamedFile, member: _Member) -> str:
    """The class that a file tells; empty when it tells none."""
    content = member.place.read()
    try:
        label = content.decode().strip() if member.ending == "cls" else _label_in_json(json.loads(content))
        if len(label.splitlines()) > 1:
            raise ValueError("it has several lines")
    except (ValueError, RecursionError) as error:
        raise DataError(
            f"data.source: {shard.uri!r}: {member.name!r} tells no class: {str(error).splitlines()[0]}; expected one "
            "whole number or name, as text; correct it"
        ) from None
    return label


def _label_in_json(found: object) -> str:
    label = next((found[key] for key in KEYS if key in found), "") if isinstance(found, dict) else ""
    if isinstance(label, bool) or not isinstance(label, int | str):
        raise ValueError(f"it is {label!r:.50}")
    return str(label).strip()
