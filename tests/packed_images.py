"""Image files packed as webdataset and Hugging Face's datasets pack them."""

import io
import json
import tarfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

Labeled = Sequence[tuple[str, bytes]]
"""Class and content of images."""


def write_tar(path: Path, members: Sequence[tuple[str, bytes]]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w") as tar:
        for name, content in members:
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return path


def write_shard(path: Path, images: Labeled, *, first: int = 0, suffix: str = "png") -> Path:
    """As webdataset's TarWriter: keys of nine digits, the class as text."""
    members = []
    for number, (class_name, content) in enumerate(images, start=first):
        members += [(f"{number:09d}.cls", class_name.encode()), (f"{number:09d}.{suffix}", content)]
    return write_tar(path, members)


def write_shards(folder: Path, images: Labeled, per_shard: int, name: str = "train") -> str:
    """The pattern that names them all."""
    starts = range(0, len(images), per_shard)
    for shard, start in enumerate(starts):
        write_shard(folder / f"{name}-{shard:06d}.tar", images[start : start + per_shard], first=start)
    return f"webdataset:{folder}/{name}-{{000000..{len(starts) - 1:06d}}}.tar"


IMAGE_TYPE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])


def embedded(images: Labeled, class_names: Sequence[str], metadata: Mapping[str, Any] | None = None) -> pa.Table:
    """The table that ``datasets`` writes for the features Image and ClassLabel.

    Args:
        images: of the classes.
        class_names: in the order of their numbers.
        metadata: instead of what it writes.
    """
    schema = pa.schema([("image", IMAGE_TYPE), ("label", pa.int64())])
    features = {"image": {"_type": "Image"}, "label": {"names": list(class_names), "_type": "ClassLabel"}}
    described = {"info": {"features": features}} if metadata is None else metadata
    columns = {
        "image": [{"bytes": content, "path": f"{number:04d}.png"} for number, (_, content) in enumerate(images)],
        "label": [class_names.index(name) for name, _ in images],
    }
    return pa.table(columns, schema.with_metadata({"huggingface": json.dumps(described)}))


def write_embedded(
    folder: Path, images: Labeled, files: int, name: str = "train", class_names: Sequence[str] = (), group: int = 100
) -> str:
    """So many files of a split, as ``push_to_hub`` names them; the source that is their folder."""
    folder.mkdir(parents=True, exist_ok=True)
    names = class_names or sorted({class_name for class_name, _ in images})
    for number in range(files):
        path = folder / f"{name}-{number:05d}-of-{files:05d}.parquet"
        pq.write_table(embedded(images[number::files], names), path, row_group_size=group)
    return f"parquet:{folder}"
