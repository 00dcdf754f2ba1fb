"""What every step that trains is given, parsed once."""

from dataclasses import dataclass

from sanefit.components.foundation.image_dataset.shards import read_manifest
from sanefit.components.foundation.schemas.images import DatasetReference, Manifest
from sanefit.components.foundation.schemas.network_kind import DEFAULT_WEIGHTS
from sanefit.components.foundation.schemas.networks import NetworkSettings, network_settings
from sanefit.components.foundation.schemas.statistics import ChannelStats
from sanefit.components.foundation.schemas.training import OptimizerSettings, TrainingParameters
from sanefit.components.foundation.storage.results import load_result


@dataclass(frozen=True)
class TrainingInputs:
    """Images, how they are normalized, and what is trained on them.

    ``network``, ``optimizer``: of the configuration, before a trial's own values take their places.
    """

    dataset: DatasetReference
    manifest: Manifest
    stats: ChannelStats
    network: NetworkSettings
    optimizer: OptimizerSettings
    seed: int

    @property
    def classes(self) -> int:
        """How many there are."""
        return len(self.manifest.class_names)


def read_training_inputs(given: TrainingParameters) -> TrainingInputs:
    """Parse what a task is given; the manifest and the statistics are read.

    Raises:
        DataError: when the manifest is damaged.
        SettingsError: when there are no recommended weights, or they cannot be downloaded.
        StorageError: when the manifest, the statistics or the weights cannot be read.
    """
    reference = DatasetReference.model_validate_json(given.dataset)
    return TrainingInputs(
        reference,
        read_manifest(reference),
        load_result(ChannelStats, given.stats),
        _at_hand(network_settings.validate_json(given.network), reference.storage),
        OptimizerSettings.model_validate_json(given.optimizer),
        given.seed,
    )


def _at_hand(network: NetworkSettings, storage: str) -> NetworkSettings:
    if network.weights_uri != DEFAULT_WEIGHTS:
        return network
    # Only here: it loads torch, which a step that merely reads its inputs does not need.
    from sanefit.components.foundation.classifiers.recommended_weights import with_weights_at_hand

    return with_weights_at_hand(network, storage)
