"""All checks on the network and the data of the run."""

import torch

from components.foundation.artifacts import ChannelStats, CheckReport, DatasetReference
from components.foundation.classifiers.classifier import build_classifier
from components.foundation.image_dataset.shards import read_manifest, read_split
from components.foundation.seeds import derive_seed
from components.foundation.settings import NetworkSettings, OptimizerSettings
from components.foundation.step_log import Say
from components.sanity_checks.first_loss_gates import check_first_loss, check_regularisation
from components.sanity_checks.learning_rate_probe import (
    describe_probe,
    learning_rate_band,
    probe_batches,
    probe_learning_rates,
)
from components.sanity_checks.overfit_gate import check_overfit, overfit_samples
from components.sanity_checks.symmetry_gate import check_symmetry

FIRST_LOSS_IMAGES = 1000


def run_checklist(
    dataset: DatasetReference,
    stats: ChannelStats,
    network: NetworkSettings,
    optimizer: OptimizerSettings,
    seed: int,
    say: Say,
) -> CheckReport:
    """Run the gates W1, S1, S2, S3 and, when none failed, the learning-rate probe.

    Args:
        dataset: the snapshot; only its training split is read.
        stats: the normalisation.
        network: the network of the run.
        optimizer: batch size and momentum of the probe.
        seed: of the initial weights and of the probe's batches.
        say: prints a line.
    """
    manifest = read_manifest(dataset)
    classes = len(manifest.class_names)
    pixels, labels = (torch.from_numpy(array) for array in read_split(dataset, "train"))
    classifier = build_classifier(network, manifest.image_shape, classes, stats, derive_seed(seed, "sanity"))
    first, samples = slice(0, FIRST_LOSS_IMAGES), overfit_samples(labels)
    gates = [
        check_symmetry(classifier),
        check_first_loss(classifier, pixels[first], labels[first], classes),
        check_regularisation(classifier, pixels[first], labels[first]),
        check_overfit(classifier, pixels[samples], labels[samples]),
    ]
    for gate in gates:
        say(f"{gate.verdict:4} {gate.row} {gate.title}: {gate.measured}; expected {gate.expected}")
    report = CheckReport(gates=gates, probe=[], learning_rate_band=None)
    if report.failures:
        return report
    batches = probe_batches(pixels, labels, optimizer.batch_size, derive_seed(seed, "probe"))
    probe = probe_learning_rates(classifier, batches, optimizer.momentum)
    band = learning_rate_band(probe)
    say(f"{'pass' if band else 'warn'} R4 learning rates: {describe_probe(probe)}")
    return CheckReport(gates=gates, probe=probe, learning_rate_band=band)
