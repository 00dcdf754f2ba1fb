"""Whether a snapshot has drifted from what the champion was trained on; a run may be asked to end where it has not."""

import numpy as np

from sanefit.components.foundation.errors import SanefitError, first_line
from sanefit.components.foundation.image_dataset.shards import DIGEST, images_at, read_index, read_manifest
from sanefit.components.foundation.schemas.drift import DriftSettings
from sanefit.components.foundation.schemas.images import SPLITS, DatasetReference
from sanefit.components.foundation.schemas.runs import NEWS, NOTHING_NEW
from sanefit.components.foundation.step_lines.step_log import Say
from sanefit.components.foundation.tracking.connection import Client, connect, store_exists
from sanefit.components.foundation.tracking.models import champion_version, model_metadata
from sanefit.components.model_registry.champion_comparison import probabilities_of
from sanefit.components.model_registry.drift.drift import compare, verdict_of
from sanefit.components.model_registry.drift.image_sample import sample_of
from sanefit.components.model_registry.drift.reference import statistics_of
from sanefit.components.model_registry.drift.version_drift import LEAST_IMAGES, require_reference
from sanefit.components.model_registry.image_digests import unseen
from sanefit.components.model_registry.seen_images import read_seen_images


def compare_with_champion(
    dataset: DatasetReference, model_name: str, tracking_uri: str, settings: DriftSettings, seed: int, say: Say
) -> str:
    """``NOTHING_NEW`` when the images that the champion was not trained on have not drifted, or are too few to tell.

    Otherwise ``NEWS``: also where there is no champion, or it cannot be compared with, for other classes say.

    Args:
        dataset: the run's snapshot.
        model_name: the registered model.
        tracking_uri: of MLflow.
        settings: when a difference counts.
        seed: of what is drawn, and of the tests.
        say: prints a line.
    """
    version = champion_version(connect(tracking_uri), model_name) if store_exists(tracking_uri) else None
    if version is None:
        say(f"{NEWS}: there is no champion to have drifted from")
        return NEWS
    champion = f"models:/{model_name}/{version}"
    try:
        answer, why = _compared(connect(tracking_uri), model_name, version, dataset, settings, seed)
    except SanefitError as error:
        answer, why = NEWS, f"cannot be compared with: {error}"
    except Exception as error:  # of a model that cannot be loaded: it is high time for another
        answer, why = NEWS, f"cannot be compared with: {first_line(error)}"
    say(f"{answer}: champion {champion}, {why}")
    return answer


def _compared(
    tracking: Client, model_name: str, version: str, dataset: DatasetReference, settings: DriftSettings, seed: int
) -> tuple[str, str]:
    """The answer, and why."""
    manifest, uri = read_manifest(dataset), f"models:/{model_name}/{version}"
    known = model_metadata(uri)
    for key, value in (("class_names", manifest.class_names), ("image_shape", list(manifest.image_shape))):
        if known.get(key) != value:
            return NEWS, f"has another {key}"
    reference = require_reference(tracking, model_name, version)
    index = np.concatenate([read_index(dataset, split, manifest) for split in SPLITS])
    seen = read_seen_images(tracking, model_name, version)
    if seen is not None:
        index = index[unseen(np.ascontiguousarray(index[:, DIGEST]).view(np.uint64), seen)]
    if len(index) < LEAST_IMAGES:
        return NOTHING_NEW, f"not drifted: {len(index):,} images that are new tell nothing"
    drawn = np.sort(np.random.default_rng(seed).permutation(len(index))[: settings.images])
    images = images_at(dataset, manifest, index[drawn])
    today = sample_of(statistics_of(images), probabilities_of(uri, images))
    report = compare(reference.sample, today, manifest.image_shape[2], settings, seed)
    extent = f"{len(drawn):,} of {len(index):,} images that are new to it"
    return NEWS if report.drifted else NOTHING_NEW, f"{extent}: {verdict_of(report)}"
