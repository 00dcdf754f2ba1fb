"""What determines a run, and what its cached steps must know of it; needs neither torch nor MLflow."""

import json
from collections.abc import Iterator

from sanefit.components.foundation.identity.code import digest_of_module, digest_of_own_code
from sanefit.components.foundation.identity.digests import digest_of
from sanefit.components.foundation.identity.training_identity import TrainingIdentity, digest_of_weights, torch_version
from sanefit.components.foundation.schemas.bases import Artifact
from sanefit.components.foundation.schemas.images import DatasetReference
from sanefit.components.foundation.storage.results import cache_token

STATISTICS = "sanefit.components.channel_stats.steps"
CHECKS = "sanefit.components.sanity_checks.steps"
SEARCH = "sanefit.components.hyperparameter_search.steps"
FINAL = "sanefit.components.final_training.steps"
BY_CONTENT = {"data": "source", "network": "weights"}  # settings whose content is a part of its own


class RunIdentity(Artifact):
    """``run``: what gives the same model again. ``statistics_code``, ``checks_code``: for each cached step a digest of
    all that its result depends on beside its other inputs, and of the word that lasts as long as results do.
    """

    run: TrainingIdentity
    statistics_code: str
    checks_code: str


def identify_run(dataset: DatasetReference, seed: int, **sections: str) -> RunIdentity:
    """The identity of a run; called where the user's module is, in the trainer image.

    Args:
        dataset: the snapshot.
        seed: of the run.
        sections: JSON of each section.

    Raises:
        SettingsError: when the user's module cannot be found.
        StorageError: when the starting weights cannot be read.
    """
    settings = {name: json.loads(section) for name, section in sections.items()}
    network = settings.get("network", {})
    configuration = {
        name: {key: value for key, value in section.items() if key != BY_CONTENT.get(name)}
        for name, section in settings.items()
    }
    run = TrainingIdentity(
        images=dataset.fingerprint,
        code=digest_of_own_code(STATISTICS, CHECKS, SEARCH, FINAL),
        torch=torch_version(),
        module=digest_of_module(network.get("path", "")),
        weights=digest_of_weights(network.get("weights", "")),
    ).of(seed, configuration)
    token = cache_token(dataset.storage)
    return RunIdentity(
        run=run,
        statistics_code=digest_of(digest_of_own_code(STATISTICS), token),
        checks_code=digest_of(digest_of_own_code(CHECKS), run.torch, run.module, run.weights, token),
    )


def flat_settings(seed: int, **sections: str) -> dict[str, str]:
    """Settings as dotted names and text: ``{"seed": "0", "search.coarse.trials": "100", …}``.

    Args:
        seed: of the run.
        sections: JSON of each section.
    """
    named = {"seed": seed, **{name: json.loads(section) for name, section in sections.items()}}
    return dict(_leaves(named, prefix=""))


def _leaves(value: object, prefix: str) -> Iterator[tuple[str, str]]:
    if isinstance(value, dict):
        for key, item in value.items():
            yield from _leaves(item, f"{prefix}.{key}" if prefix else key)
    else:
        yield prefix, str(value)
