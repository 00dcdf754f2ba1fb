"""Write down what the files of images tell besides their pixels."""

import hashlib
import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sanefit.components.dataset_snapshot.decoded_images import DecodedImages
from sanefit.components.dataset_snapshot.distinct import ListedImage
from sanefit.components.foundation.image_dataset.file_facts import BYTES, FORMAT, HEIGHT, WIDTH
from sanefit.components.foundation.schemas.images import SplitName


def formats_of(images: Sequence[ListedImage], decoded: DecodedImages) -> list[str]:
    """Those of the images' files; empty unless all are known."""
    places = _places(images, decoded)
    names: set[str] = set()
    for shard in np.unique(places[:, 0]).tolist():
        names.update(np.unique(decoded.formats[shard][places[places[:, 0] == shard, 1]]).tolist())
    return [] if "" in names else sorted(names)


def write_file_facts(
    folder: Path, split: SplitName, members: Sequence[ListedImage], formats: Sequence[str], decoded: DecodedImages
) -> dict[str, str]:
    """The file that ``read_file_facts`` reads, named by its content: equal pixels may come from different files.

    Args:
        folder: of the snapshot.
        split: which one.
        members: its images, in the order of its index.
        formats: of all images; empty where they are not known, and nothing is written.
        decoded: what is known of the files.

    Returns:
        The fields of ``SplitIndex`` that name it.
    """
    if not formats:
        return {}
    facts = np.zeros((len(members), 4), dtype=np.int64)
    places = _places(members, decoded)
    for shard in np.unique(places[:, 0]).tolist():
        of_shard = places[:, 0] == shard
        rows = places[of_shard, 1]
        facts[of_shard, BYTES] = decoded.file_bytes[shard][rows]
        facts[np.ix_(of_shard, (WIDTH, HEIGHT))] = decoded.sizes[shard][rows]
        facts[of_shard, FORMAT] = np.searchsorted(np.array(formats), decoded.formats[shard][rows])
    content = io.BytesIO()
    np.save(content, facts)
    digest = hashlib.sha256(content.getvalue()).hexdigest()
    name = f"{split}.facts-{digest[:16]}.npy"
    (folder / name).write_bytes(content.getvalue())
    return {"facts_file": name, "facts_sha256": digest}


def _places(images: Sequence[ListedImage], decoded: DecodedImages) -> NDArray[np.int64]:
    """Shard and row of each: int64 (images, 2)."""
    return np.array([decoded.place_of[image.digest] for image in images], dtype=np.int64).reshape(-1, 2)
