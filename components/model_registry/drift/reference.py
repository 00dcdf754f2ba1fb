"""What a version keeps of the images that it was trained and validated on, for later ones to be compared with."""

import io
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sanefit.components.foundation.errors import SanefitError, StorageError, first_line
from sanefit.components.foundation.image_dataset.batch_size import images_at_once
from sanefit.components.foundation.image_dataset.shards import SplitImages, open_split
from sanefit.components.foundation.schemas.images import DatasetReference, Manifest
from sanefit.components.foundation.schemas.runs import RunReference
from sanefit.components.foundation.tracking.attached_files import attach_file, read_attached
from sanefit.components.foundation.tracking.connection import Client, connect
from sanefit.components.model_registry.champion_comparison import probabilities_of
from sanefit.components.model_registry.drift.image_sample import Floats, ImageSample, image_statistics, sample_of

REFERENCE_FILE = "drift/reference.npz"  # among the files of a version's run
FORMAT = 1
IMAGES = 2000  # of each split, at most: with SCORES numbers of each, less than a megabyte
AT_ONCE = 256


@dataclass(frozen=True)
class DriftReference:
    """``sample``: statistics of training images; scores, confidence and classes of validation images, for a model is
    surer of those that it was trained on. ``train``, ``validation``: how many there were.
    """

    sample: ImageSample
    train: int
    validation: int


def keep_reference(run: RunReference, model_uri: str, dataset: DatasetReference, manifest: Manifest, seed: int) -> None:
    """Keep it with a version's run: images drawn at random from both splits.

    Args:
        run: of the version.
        model_uri: of the model that takes pixels.
        dataset, manifest: the snapshot.
        seed: of what is drawn.
    """
    train, validation = (open_split(dataset, split, manifest=manifest) for split in ("train", "validation"))
    sample = sample_of(statistics_of(_drawn(train, seed)), probabilities_of(model_uri, _drawn(validation, seed)))
    with tempfile.TemporaryDirectory(prefix="sanefit-") as folder:
        file = Path(folder) / Path(REFERENCE_FILE).name
        file.write_bytes(as_bytes(DriftReference(sample, len(train), len(validation))))
        attach_file(connect(run.tracking_uri), run.tracking_run_id, file, str(Path(REFERENCE_FILE).parent))


def as_bytes(reference: DriftReference) -> bytes:
    """The same for equal references."""
    buffer = io.BytesIO()
    split_sizes = np.array([reference.train, reference.validation])
    np.savez_compressed(buffer, format=np.array(FORMAT), split_sizes=split_sizes, **vars(reference.sample))
    return buffer.getvalue()


def from_bytes(content: bytes) -> DriftReference:
    """What ``as_bytes`` gave.

    Raises:
        ValueError: when it is damaged, or of another format.
    """
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
            kept = dict(arrays)
        if kept.pop("format") != FORMAT:
            raise ValueError("another format")
        train, validation = kept.pop("split_sizes").tolist()
        return DriftReference(ImageSample(**kept), train, validation)
    except (zipfile.BadZipFile, KeyError, TypeError, EOFError, OSError) as error:
        raise ValueError(first_line(error)) from error


def read_reference(tracking: Client, model_name: str, version: str) -> DriftReference | None:
    """What a version kept; None of one that an earlier sanefit registered.

    Raises:
        StorageError: when it cannot be read, or is damaged.
    """
    what = f"the drift reference of models:/{model_name}/{version}"
    try:
        content = read_attached(tracking, model_name, version, REFERENCE_FILE)
        return None if content is None else from_bytes(content)
    except SanefitError:
        raise
    except ValueError as error:
        raise StorageError(
            f"{what} is damaged ({first_line(error)}); expected what registration wrote to {REFERENCE_FILE}; "
            "register the version anew"
        ) from error
    except Exception as error:  # of whichever artifact store it is
        raise StorageError(
            f"{what} cannot be read: {first_line(error)}; expected MLflow's artifact store in reach; check it"
        ) from error


def _drawn(images: SplitImages, seed: int) -> SplitImages:
    order = np.random.default_rng(seed).permutation(len(images))[:IMAGES]
    return images.part(np.sort(order))


def statistics_of(images: SplitImages) -> Floats:
    """As ``image_statistics``, a batch at a time."""
    return np.concatenate(
        [image_statistics(batch) for batch in images.batches(images_at_once(images.image_shape, AT_ONCE))]
    )
