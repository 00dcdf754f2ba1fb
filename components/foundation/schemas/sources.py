"""The kinds of ``data.source``: what is known of a source before any image of it is read.

A source is one file in ``image_dataset/sources/`` and one line here. The table names that file and does not import it:
whoever reads a configuration needs these facts, and must not load numpy, pyarrow or torch for them.
"""

import difflib
import functools
import re
from dataclasses import dataclass
from typing import Literal

ALLOWED = {"NAME": r"\w+", "BUCKET": r"[^/]+", "CONTAINER": r"[^/]+"}
FILES = "image files"
REMOTE = ("s3://", "gs://", "az://")  # what addresses in object stores begin with
TAR_SUFFIXES = (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz")
KIND_OF_FILE = {**dict.fromkeys(TAR_SUFFIXES, "tar"), ".zip": "zip", ".csv": "csv", ".parquet": "parquet"}


@dataclass(frozen=True)
class SourceKind:
    """One kind of source.

    ``form``: what users write; a word in capitals stands for their own: PATH for a file or folder, of this machine
    unless it is an address in an object store, NAME for letters, digits and underscores, BUCKET and CONTAINER for
    anything without a slash, any other word for anything. ``module``: the file in ``image_dataset/sources/`` whose
    ``list_images`` lists it. ``pixels``: (height, width, channels) of every image, where a source gives uint8 pixels
    rather than image files; nothing decodes or scales those. ``has_splits``: whether ``data.splits=own`` makes sense.
    ``is_table``: whether it has columns. ``has_paths``: whether the class of an image stands in its path.
    """

    form: str
    module: str
    pixels: tuple[int, int, int] | None = None
    has_splits: bool = True
    is_table: bool = False
    has_paths: bool = False

    @property
    def name(self) -> str:
        """What the form begins with, up to its colon."""
        return self.form.partition(":")[0]

    @property
    def content(self) -> str:
        """What its images are before they are decoded: equal words, equal decoding."""
        return FILES if self.pixels is None else self.name

    def place(self, source: str) -> str:
        """What the words in capitals stand for in ``source``, or the whole address; empty where there are none."""
        return source if source.startswith(REMOTE) else source.removeprefix(re.split("[A-Z]", self.form, maxsplit=1)[0])

    def fits(self, source: str) -> bool:
        """Whether ``source`` is of this form."""
        pattern = re.sub("[A-Z]+", lambda word: ALLOWED.get(word[0], ".+"), self.form)
        return re.fullmatch(pattern, source) is not None

    def on_this_machine(self, source: str) -> bool:
        """Whether ``source`` names a file or folder of this machine."""
        return "PATH" in self.form and not self.place(source).startswith(REMOTE)


# What the folders around an image say: its class; its split, too; or nothing, and every image is listed, of no class.
Folders = Literal["classes", "own_splits", "nothing"]

SOURCES = (
    SourceKind("digits", "digits", pixels=(8, 8, 1), has_splits=False),
    SourceKind("folder:PATH", "folder", has_paths=True),
    SourceKind("tar:PATH", "tar_archive", has_paths=True),
    SourceKind("zip:PATH", "zip_archive", has_paths=True),
    SourceKind("csv:PATH", "csv_table", is_table=True),
    SourceKind("parquet:PATH", "parquet_table", is_table=True),
    SourceKind("webdataset:PATH", "webdataset_shards"),
    SourceKind("torchvision:NAME", "torchvision_dataset"),
    SourceKind("s3://BUCKET/KEY", "object_prefix", has_paths=True),
    SourceKind("gs://BUCKET/KEY", "object_prefix", has_paths=True),
    SourceKind("az://CONTAINER/KEY", "object_prefix", has_paths=True),
)


@functools.cache
def kind_of(source: str) -> SourceKind:
    """The kind that a ``data.source`` is of.

    Raises:
        ValueError: naming all forms, when it is of none.
    """
    for kind in SOURCES:
        if kind.fits(source):
            return kind
    *others, last = (kind.form for kind in SOURCES)
    raise ValueError(f"expected {', '.join(others)} or {last}")


def of_known_kind(source: str) -> str:
    """The source, with its kind before it where only a path is given: ``photos`` is ``folder:photos``.

    Raises:
        ValueError: when it is of no known kind.
    """
    meant = difflib.get_close_matches(source.lower(), [kind.name for kind in SOURCES], n=1, cutoff=0.8)  # a slip
    if source and ":" not in source and not meant:
        ending = next((ending for ending in KIND_OF_FILE if source.lower().endswith(ending)), "")
        source = f"{KIND_OF_FILE.get(ending, 'folder')}:{source}"
    kind_of(source)
    return source
