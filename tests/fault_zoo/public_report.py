"""The checks' report on a set-up of other people, by the way that a user's configuration takes."""

import hashlib
from pathlib import Path

import yaml
from families import words_of
from folders import FOLDERS
from public_setup import PublicSetup
from said import Said
from training_inputs import inputs_of
from verdicts import alarms

from sanefit.components.channel_stats.channel_stats import measure_channel_stats
from sanefit.components.dataset_snapshot.snapshot import take_snapshot
from sanefit.components.foundation.errors import SettingsError
from sanefit.components.foundation.schemas.checks import CheckReport
from sanefit.components.sanity_checks.checklist import run_checklist
from sanefit.pipeline.settings.run_config import load_config


def said_of(report: CheckReport | str) -> list[str]:
    """A line for each alarm; or the one that refuses the set-up."""
    if isinstance(report, str):
        return [report]
    return [f"{gate.verdict} {gate.name}: {gate.measured} | {gate.fix}" for gate in alarms(report)]


def is_named(setup: PublicSetup, said: list[str]) -> bool:
    """Whether a line names one of the families that a set-up's fault may be called."""
    return any(word in line for line in said for word in words_of(setup.families))


def report_on_public(setup: PublicSetup, folder: Path) -> CheckReport | str:
    """Or the line that refuses it.

    Args:
        setup: of the zoo.
        folder: for images and snapshots; what lies there is used again.
    """
    images = folder / setup.images
    if not images.exists():
        FOLDERS[setup.images](images)
    configuration = folder / f"{hashlib.blake2b(setup.name.encode()).hexdigest()[:16]}.yaml"
    configuration.write_text(
        yaml.safe_dump(
            {
                "name": "zoo",
                "data": {"source": f"folder:{images}"},
                "network": dict(setup.network),
                "search": {"coarse": {}},
            }
        )
    )
    said = Said()
    try:
        config = load_config(configuration, setup.settings)
        dataset = take_snapshot(config.data, str(folder / "storage"), said)
        stats = measure_channel_stats(dataset, config.stats, said)
        inputs = inputs_of(dataset, stats, config.network, config.optimizer, config.seed)
        return run_checklist(inputs, config.search.coarse, config.checks, said)
    except SettingsError as error:
        return str(error)
