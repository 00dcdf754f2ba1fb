"""What the frozen part of a pretrained network gives out, computed once for all trainings of a storage."""

import itertools
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from time import monotonic

import numpy as np
import torch
from torch import Tensor

from sanefit.components.foundation.classifiers.classifier import Classifier
from sanefit.components.foundation.identity.code import digest_of_own_code
from sanefit.components.foundation.identity.training_identity import identify_trainings, settings_of
from sanefit.components.foundation.schemas.images import DatasetReference, Manifest
from sanefit.components.foundation.schemas.networks import NetworkSettings
from sanefit.components.foundation.step_lines.step_log import Say
from sanefit.components.foundation.storage import object_store
from sanefit.components.foundation.storage.content import current_copy
from sanefit.components.foundation.storage.last_use import mark_used, wait_until_settled
from sanefit.components.foundation.storage.layout import Storage
from sanefit.components.foundation.training.loop.frozen_part import features_of, new_part
from sanefit.components.foundation.training.loop.training_data import TrainingData, read_training_data
from sanefit.components.foundation.training.loop.training_images import Images, StreamedImages
from sanefit.components.foundation.training.stacks.trial import Problem

COMPUTES_FEATURES = "sanefit.components.foundation.training.loop.frozen_part"


def training_data_for(
    dataset: DatasetReference, manifest: Manifest, network: NetworkSettings, problem: Problem, say: Say, *, frozen: bool
) -> TrainingData:
    """Both splits on the problem's device, with their features where they are trained on.

    Args:
        dataset, manifest: which images.
        network, problem, say: as for ``with_features``.
        frozen: whether epochs come first in which only the network's new part is trained.

    Raises:
        DataError: as ``read_training_data``.
        SettingsError, StorageError: as ``with_features``.
    """
    data = read_training_data(dataset, problem.device, manifest)
    both = (data.train_pixels, data.validation_pixels)
    if far := sum(pixels.images.far for pixels in both if isinstance(pixels, StreamedImages)):
        say(
            f"warning: {far:,} files of pixels fit neither into memory nor on this disk: images are read from the "
            "storage, each by a request of its own; more room is faster (ephemeral_storage, or TMPDIR on a larger disk)"
        )
    return with_features(data, dataset, network, problem, say) if frozen else data


def with_features(
    data: TrainingData, dataset: DatasetReference, network: NetworkSettings, problem: Problem, say: Say
) -> TrainingData:
    """The same images with their features, where the network's new part is a head that can be trained on these alone.

    Args:
        data: both splits, on the problem's device.
        dataset: which they are of; features are kept in its storage.
        network: with starting weights.
        problem: what it learns.
        say: prints a line.

    Raises:
        SettingsError: as ``new_part``, and where the network cannot be built.
        StorageError: when the storage cannot be used.
    """
    classifier = problem.classifier_of(network)
    head = new_part(classifier, data.train_pixels).head
    if not head:
        say("in the frozen epochs every image passes through the whole network: its new part is no layer at its end")
        return data
    key, storage, started = _key(dataset, network, problem), Storage(dataset.storage), monotonic()
    places = {split: storage.features(key, split) for split in ("train", "validation")}
    mark_used(storage.features_of(key))
    wait_until_settled(storage.features_of(key))
    known = object_store.exists(places["validation"])  # which is written last
    if not known:
        _compute(classifier, head, data.train_pixels, places["train"])
        _compute(classifier, head, data.validation_pixels, places["validation"])
    train, validation = (_read(uri, problem.device) for uri in places.values())
    how = "read again" if known else f"computed in {monotonic() - started:.1f} s"
    images = f"{len(train) + len(validation):,} images"
    say(f"features of the frozen part: {train[0].numel():,} numbers for each of {images}, {how}")
    return replace(data, train_features=train, validation_features=validation)


def _key(dataset: DatasetReference, network: NetworkSettings, problem: Problem) -> str:
    code = digest_of_own_code(COMPUTES_FEATURES)
    arithmetic = str(problem.arithmetic(network))
    identity = identify_trainings(dataset.fingerprint, problem.stats, network, code=code, arithmetic=arithmetic)
    return identity.of(0, settings_of(network)).digest


def _compute(classifier: Classifier, head: str, pixels: Images, uri: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "features.npy"
        _write(file, len(pixels), features_of(classifier, head, pixels))
        object_store.move_file(file, uri)


def _write(file: Path, images: int, parts: Iterator[Tensor]) -> None:
    first = next(parts)
    rows = np.lib.format.open_memmap(file, "w+", first.cpu().numpy().dtype, (images, *first.shape[1:]))
    done = 0
    for part in itertools.chain([first], parts):
        rows[done : done + len(part)] = part.cpu().numpy()
        done += len(part)
    rows.flush()


def _read(uri: str, device: torch.device) -> Tensor:
    """Mapped into memory, in pages that processes share: those of a million images are gigabytes."""
    return torch.from_numpy(np.load(current_copy(uri), mmap_mode="c")).to(device)
