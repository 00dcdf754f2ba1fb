"""All checks on the network and the data of the run."""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from functools import partial

import torch
from torch import Tensor

from sanefit.components.foundation.classifiers.classifier import Classifier, build_classifier
from sanefit.components.foundation.image_dataset.file_facts import read_file_facts
from sanefit.components.foundation.randomness import derive_seed
from sanefit.components.foundation.schemas.checks import CheckReport, CheckSettings, GateResult, LayerSignal
from sanefit.components.foundation.schemas.images import SplitName
from sanefit.components.foundation.schemas.networks import ModuleSettings, TorchvisionSettings
from sanefit.components.foundation.schemas.search import CoarseSettings
from sanefit.components.foundation.step_lines.step_log import Say
from sanefit.components.foundation.training.inputs import TrainingInputs
from sanefit.components.foundation.training.loop.training_data import TrainingData, read_training_data
from sanefit.components.sanity_checks.check import Check, Measurement
from sanefit.components.sanity_checks.check_table import CHECKS
from sanefit.components.sanity_checks.checks.signals import shown_layers
from sanefit.components.sanity_checks.choices import Trained, first_choice, not_looked_at, other_choices
from sanefit.components.sanity_checks.exportable import require_exportable
from sanefit.components.sanity_checks.probe.learning_rate_probe import learning_rate_band, recommended_rate
from sanefit.components.sanity_checks.probe.probing import probed
from sanefit.components.sanity_checks.setup import Setup, with_verdict


def run_checklist(inputs: TrainingInputs, coarse: CoarseSettings, settings: CheckSettings, say: Say) -> CheckReport:
    """Check the network of a run on its snapshot.

    Args:
        inputs: network and images; the training and validation splits are read.
        coarse: the ranges that would be searched.
        settings: thresholds, and what to skip.
        say: prints a line.
    """
    data = read_training_data(inputs.dataset, manifest=inputs.manifest)
    first = first_choice(inputs.network, inputs.optimizer, coarse)
    setup = _setup(inputs, data, coarse, first)
    others = {
        words: partial(_choice, inputs, data, coarse, choice, settings)
        for words, choice in other_choices(inputs.network, inputs.optimizer, coarse)
    }
    setup = replace(setup, choices=others, not_looked_at=not_looked_at(coarse))
    report = run_checks(setup, settings, say)
    if not report.failures and isinstance(inputs.network, ModuleSettings | TorchvisionSettings):  # ours all can
        assert isinstance(setup.classifier, Classifier)
        warned = "; ".join(f"{gate.measured}: {gate.fix}" for gate in report.gates if gate.verdict == "warn")
        require_exportable(setup.classifier, inputs.manifest.image_shape, inputs.network.named, warned)
    return report


def _setup(inputs: TrainingInputs, data: TrainingData, coarse: CoarseSettings, trained: Trained) -> Setup:
    network, optimizer = trained
    train_files, validation_files = (_files(inputs, split) for split in ("train", "validation"))
    weights_seed = derive_seed(inputs.seed, "sanity")
    return Setup(
        classifier=build_classifier(network, inputs.manifest.image_shape, inputs.classes, inputs.stats, weights_seed),
        classes=inputs.classes,
        train_pixels=data.train_pixels,
        train_labels=data.train_labels,
        validation_pixels=data.validation_pixels,
        validation_labels=data.validation_labels,
        train_files=train_files,
        validation_files=validation_files,
        batch_size=optimizer.batch_size,
        momentum=optimizer.momentum,
        optimizer=optimizer.kind,
        learning_rates=coarse.learning_rate,
        weight_decays=coarse.weight_decay,
        seed=derive_seed(inputs.seed, "probe"),
    )


def _files(inputs: TrainingInputs, split: SplitName) -> Tensor | None:
    facts = read_file_facts(inputs.dataset, split, inputs.manifest)
    return None if facts is None else torch.from_numpy(facts)


def _choice(
    inputs: TrainingInputs, data: TrainingData, coarse: CoarseSettings, trained: Trained, settings: CheckSettings
) -> Setup:
    return replace(_setup(inputs, data, coarse, trained), thresholds=settings)


def run_checks(setup: Setup, settings: CheckSettings, say: Say) -> CheckReport:
    """Every check of the table, and the learning-rate probe when none before it failed.

    Data that no loss can be taken of, and a network that gives no scores for them, end the list early.

    Args:
        setup: network, data, and how they would be trained.
        settings: thresholds, and what to skip.
        say: prints a line for each check.
    """
    setup = replace(setup, thresholds=settings)
    found = list(_results([check for check in CHECKS if not check.after_probe], setup, say))
    gates = [gate for gate, _ in found]
    layers = shown_layers([layer for _, measurement in found for layer in measurement.layers])
    if any(gate.verdict == "fail" for gate in gates):
        return CheckReport(gates=gates, layers=layers, probe=[], learning_rate_band=None)
    setup = probed(setup)
    probe = list(setup.probe)
    gates += [gate for gate, _ in _results([check for check in CHECKS if check.after_probe], setup, say)]
    rate = recommended_rate(probe)
    return CheckReport(
        gates=gates,
        layers=[_at_rate(layer, rate) for layer in layers],
        probe=probe,
        learning_rate_band=learning_rate_band(probe),
        recommended_learning_rate=rate,
    )


def gate_line(gate: GateResult) -> str:
    """What is printed of one check."""
    return f"{gate.verdict:4} {gate.row} {gate.title}: {gate.measured}; expected {gate.expected}"


def _results(checks: Iterable[Check], setup: Setup, say: Say) -> Iterator[tuple[GateResult, Measurement]]:
    """One for each check that has something to measure, up to a blocking one that fails."""
    for check in checks:
        measurement = _skipped(check) if check.name in setup.thresholds.skip else check.run(setup)
        if measurement is None:
            continue
        gate = _gate(check, measurement)
        learned = setup.learned if measurement.learned is None else measurement.learned
        setup = replace(with_verdict(setup, check.name, gate.verdict), learned=learned)
        say(gate_line(gate))
        yield gate, measurement
        if check.blocking and gate.verdict == "fail":
            return


def _gate(check: Check, measurement: Measurement) -> GateResult:
    return GateResult(
        name=check.name,
        row=check.row,
        title=measurement.title or check.title,
        verdict=measurement.verdict,
        measured=measurement.measured,
        expected=measurement.expected,
        reason=measurement.reason or check.reason,
        fix=measurement.fix,
    )


def _skipped(check: Check) -> Measurement:
    return Measurement(
        verdict="skip",
        measured="not measured",
        expected="a verdict, but checks.skip names this check",
        fix=f"take {check.name} out of checks.skip",
        reason="the configuration says so",
    )


def _at_rate(layer: LayerSignal, rate: float | None) -> LayerSignal:
    ratio = None if rate is None or layer.update_ratio is None else layer.update_ratio * rate
    return layer.model_copy(update={"update_ratio": ratio})
