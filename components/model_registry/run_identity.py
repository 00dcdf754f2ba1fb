"""What determines a run, and what its cached steps must know of it; needs neither torch nor MLflow."""

import json
from collections.abc import Iterator, Mapping

from sanefit.components.foundation.identity.code import digest_of_module, digest_of_own_code
from sanefit.components.foundation.identity.digests import digest_of
from sanefit.components.foundation.identity.training_identity import TrainingIdentity, digest_of_weights, torch_version
from sanefit.components.foundation.schemas.bases import Artifact
from sanefit.components.foundation.schemas.images import DatasetReference

STATISTICS = "sanefit.components.channel_stats.component"
CHECKS = "sanefit.components.sanity_checks.component"
SEARCH = "sanefit.components.hyperparameter_search.component"
FINAL = "sanefit.components.final_training.component"
BY_CONTENT = frozenset({"seed", "network.weights"})  # settings that are parts of their own


class RunIdentity(Artifact):
    """``run``: what gives the same model again. ``statistics_code``, ``checks_code``: for each cached step a digest of
    all that its result depends on beside its other inputs.
    """

    run: TrainingIdentity
    statistics_code: str
    checks_code: str


def identify_run(dataset: DatasetReference, settings: Mapping[str, str]) -> RunIdentity:
    """The identity of a run; called where the user's module is, in the trainer image.

    Args:
        dataset: the snapshot.
        settings: flat, as ``flat_settings`` gives them, the seed too.

    Raises:
        SettingsError: when the user's module cannot be found.
        StorageError: when the starting weights cannot be read.
    """
    configuration = {name: value for name, value in settings.items() if name not in BY_CONTENT}
    run = TrainingIdentity(
        images=dataset.fingerprint,
        code=digest_of_own_code(STATISTICS, CHECKS, SEARCH, FINAL),
        torch=torch_version(),
        module=digest_of_module(settings.get("network.path", "")),
        weights=digest_of_weights(settings.get("network.weights", "")),
    ).of(int(settings["seed"]), configuration)
    return RunIdentity(
        run=run,
        statistics_code=digest_of_own_code(STATISTICS),
        checks_code=digest_of(digest_of_own_code(CHECKS), run.torch, run.module, run.weights),
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
