"""What a certificate says of the weights and the snapshot, found anew where their storage is in reach."""

import dataclasses
import functools
from collections.abc import Callable, Iterator

from sanefit.components.foundation.errors import DataError, SanefitError, StorageError, first_line
from sanefit.components.foundation.identity.digests import digest_of
from sanefit.components.foundation.image_dataset.shards import open_split, read_index, read_manifest
from sanefit.components.foundation.schemas.certificates import Certificate
from sanefit.components.foundation.schemas.images import SPLITS, DatasetReference, Manifest, SplitName
from sanefit.components.foundation.storage.content import digest_of_content
from sanefit.components.model_registry.champion_comparison import probabilities_of
from sanefit.components.model_registry.checked_items import CheckedItem, compared, failed, recomputed
from sanefit.components.model_registry.verification import TOLERANCE, near_ties

SCORED = "test accuracy, scored"


def storage_items(certificate: Certificate, model_is_same: bool) -> Iterator[CheckedItem]:
    """The weights, the class names, the splits and the test accuracy.

    Args:
        certificate: says where they lie.
        model_is_same: whether the registered model is the one that was certified, and may be loaded.
    """
    dataset, digests = certificate.dataset, certificate.digests
    manifest = functools.cache(lambda: read_manifest(dataset))
    yield recomputed("weights", digests.weights, lambda: digest_of_content(certificate.weights_uri))
    yield recomputed("class names, data", digests.class_names, lambda: digest_of(manifest().class_names))
    for split in SPLITS:
        find = functools.partial(_index_of, dataset, split, manifest)
        yield recomputed(f"{split} split", digests.splits[split], find)
    if model_is_same:
        yield _scored(certificate, manifest)
    else:
        why = "the model is not loaded, for its files are not those that were certified"
        yield CheckedItem(SCORED, "not available", f"{certificate.test.accuracy:.6f}", why=why)


def _index_of(dataset: DatasetReference, split: SplitName, manifest: Callable[[], Manifest]) -> str:
    read_index(dataset, split, manifest())  # its bytes are those that the manifest names
    return manifest().splits[split].index_sha256


def _scored(certificate: Certificate, manifest: Callable[[], Manifest]) -> CheckedItem:
    """The same where no more answers differ than are near-ties, which another machine may round otherwise."""
    certified = certificate.test.accuracy
    try:
        right, images, ties = _answers(certificate, manifest())
    except (StorageError, DataError) as error:
        return failed(SCORED, f"{certified:.6f}", error)
    item = compared(SCORED, f"{certified:.6f}", f"{right / images:.6f}")
    if item.state == "differs" and abs(right - round(certified * images)) <= ties:
        why = f"{ties} of {images:,} answers are near-ties, which another machine may round otherwise"
        return dataclasses.replace(item, state="same", why=why)
    return item


def _answers(certificate: Certificate, manifest: Manifest) -> tuple[int, int, int]:
    """Of the test images: how many are right, how many there are, and how many of the answers are near-ties."""
    test = open_split(certificate.dataset, "test", manifest=manifest)
    try:
        probabilities = probabilities_of(certificate.registration.model_uri, test)
    except SanefitError:
        raise
    except Exception as error:  # of torch, or for want of it
        raise StorageError(f"the model cannot be used here: {first_line(error)}") from error
    right = int((probabilities.argmax(axis=1) == test.labels).sum())
    return right, len(test), near_ties(probabilities, 2 * TOLERANCE)
