"""Write down what the files of images tell besides their pixels."""

import hashlib
import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from sanefit.components.dataset_snapshot.decoded_images import DecodedImages, Places
from sanefit.components.dataset_snapshot.rows_by_shard import rows_by_shard
from sanefit.components.foundation.image_dataset.file_facts import BYTES, FORMAT, HEIGHT, WIDTH
from sanefit.components.foundation.schemas.images import SplitName


def formats_of(places: Places, decoded: DecodedImages) -> list[str]:
    """Those of the files of the images at these places; empty unless all are known."""
    names: set[str] = set()
    for shard, _, rows in rows_by_shard(places):
        names.update(np.unique(decoded.formats[shard][rows]).tolist())
    return [] if "" in names else sorted(names)


def write_file_facts(
    folder: Path, split: SplitName, members: Places, formats: Sequence[str], decoded: DecodedImages
) -> dict[str, str]:
    """The file that ``read_file_facts`` reads, named by its content: equal pixels may come from different files.

    Args:
        folder: of the snapshot.
        split: which one.
        members: the places of its images, in the order of its index.
        formats: of all images; empty where they are not known, and nothing is written.
        decoded: what is known of the files.

    Returns:
        The fields of ``SplitIndex`` that name it.
    """
    if not formats:
        return {}
    facts = np.zeros((len(members), 4), dtype=np.int64)
    for shard, of_shard, rows in rows_by_shard(members):
        facts[of_shard, BYTES] = decoded.file_bytes[shard][rows]
        facts[of_shard, WIDTH], facts[of_shard, HEIGHT] = decoded.sizes[shard][rows].T
        facts[of_shard, FORMAT] = np.searchsorted(np.array(formats), decoded.formats[shard][rows])
    content = io.BytesIO()
    np.save(content, facts)
    digest = hashlib.sha256(content.getvalue()).hexdigest()
    name = f"{split}.facts-{digest[:16]}.npy"
    (folder / name).write_bytes(content.getvalue())
    return {"facts_file": name, "facts_sha256": digest}
