"""What a source gives, listed and read."""

import tempfile
from dataclasses import dataclass
from pathlib import Path

from sanefit.components.foundation.image_dataset.sources.listing import list_source
from sanefit.components.foundation.schemas.images import SplitName


@dataclass(frozen=True)
class ReadSourceImage:
    class_name: str
    path: str
    content: bytes
    split: SplitName | None


def read_all(source: str, *, own_splits: bool = False) -> list[ReadSourceImage]:
    with tempfile.TemporaryDirectory() as scratch:
        images = list_source(source, Path(scratch), folders="own_splits" if own_splits else "classes").images
        return [ReadSourceImage(i.class_name, i.path, i.location.read(), i.split) for i in images]


def files_passed_over(source: str) -> int:
    with tempfile.TemporaryDirectory() as scratch:
        return list_source(source, Path(scratch)).passed_over.total()
