"""What a step that trains is given, from values that a test already has."""

from sanefit.components.foundation.image_dataset.shards import read_manifest
from sanefit.components.foundation.schemas.images import DatasetReference
from sanefit.components.foundation.schemas.networks import NetworkSettings
from sanefit.components.foundation.schemas.statistics import ChannelStats
from sanefit.components.foundation.schemas.training import OptimizerSettings
from sanefit.components.foundation.training.inputs import TrainingInputs

OPTIMIZER = OptimizerSettings()


def inputs_of(
    dataset: DatasetReference,
    stats: ChannelStats,
    network: NetworkSettings,
    optimizer: OptimizerSettings = OPTIMIZER,
    seed: int = 0,
) -> TrainingInputs:
    return TrainingInputs(dataset, read_manifest(dataset), stats, network, optimizer, seed)
