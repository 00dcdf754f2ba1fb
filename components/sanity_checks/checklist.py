"""All checks on the network and the data of the run."""

from collections.abc import Callable, Iterator

from sanefit.components.foundation.classifiers.classifier import build_classifier
from sanefit.components.foundation.image_dataset.shards import read_manifest
from sanefit.components.foundation.randomness import derive_seed
from sanefit.components.foundation.schemas.checks import CheckName, CheckReport, CheckSettings, GateResult, LayerSignal
from sanefit.components.foundation.schemas.images import DatasetReference
from sanefit.components.foundation.schemas.networks import NetworkSettings
from sanefit.components.foundation.schemas.search import CoarseSettings
from sanefit.components.foundation.schemas.statistics import ChannelStats
from sanefit.components.foundation.schemas.training import OptimizerSettings
from sanefit.components.foundation.step_lines.step_log import Say
from sanefit.components.foundation.training.loop.training_data import read_training_data
from sanefit.components.sanity_checks.checks.activations_between import check_activations
from sanefit.components.sanity_checks.checks.carry_over import check_carry_over
from sanefit.components.sanity_checks.checks.first_loss import (
    check_first_loss,
    check_regularization,
    check_weight_decays,
)
from sanefit.components.sanity_checks.checks.gradient_steps import check_gradient_step
from sanefit.components.sanity_checks.checks.inputs import check_inputs
from sanefit.components.sanity_checks.checks.labels_and_splits import (
    check_labels,
    check_splits_alike,
    check_splits_apart,
)
from sanefit.components.sanity_checks.checks.learning_rates import check_learning_rates
from sanefit.components.sanity_checks.checks.modes import check_modes
from sanefit.components.sanity_checks.checks.overfit import check_overfit, overfit_samples
from sanefit.components.sanity_checks.checks.raw_scores import check_raw_scores
from sanefit.components.sanity_checks.checks.signals import check_signals, report_signals, shown_layers
from sanefit.components.sanity_checks.checks.symmetry import check_symmetry
from sanefit.components.sanity_checks.probe.learning_rate_probe import (
    learning_rate_band,
    probe_batches,
    probe_learning_rates,
    recommended_rate,
)
from sanefit.components.sanity_checks.setup import Setup

FIRST_LOSS_IMAGES = 1000
Check = tuple[CheckName, Callable[[], GateResult]]


def run_checklist(
    dataset: DatasetReference,
    stats: ChannelStats,
    network: NetworkSettings,
    optimizer: OptimizerSettings,
    coarse: CoarseSettings,
    settings: CheckSettings,
    seed: int,
    say: Say,
) -> CheckReport:
    """Check the network of a run on its snapshot.

    Args:
        dataset: the snapshot; its training and validation splits are read.
        stats: the normalization.
        network: the network of the run.
        optimizer: batch size and momentum of the probe.
        coarse: the ranges that would be searched.
        settings: thresholds, and what to skip.
        seed: of the initial weights and of the probe's batches.
        say: prints a line.
    """
    manifest = read_manifest(dataset)
    classes = len(manifest.class_names)
    data = read_training_data(dataset)
    setup = Setup(
        classifier=build_classifier(network, manifest.image_shape, classes, stats, derive_seed(seed, "sanity")),
        classes=classes,
        train_pixels=data.train_pixels,
        train_labels=data.train_labels,
        validation_pixels=data.validation_pixels,
        validation_labels=data.validation_labels,
        batch_size=optimizer.batch_size,
        momentum=optimizer.momentum,
        learning_rates=coarse.learning_rate,
        weight_decays=coarse.weight_decay,
        seed=derive_seed(seed, "probe"),
    )
    return run_checks(setup, settings, say)


def run_checks(setup: Setup, settings: CheckSettings, say: Say) -> CheckReport:
    """Every check that the configuration does not skip, and the learning-rate probe when none failed.

    Data that no loss can be taken of, and a network that gives no scores for them, end the list early.

    Args:
        setup: network, data, and how they would be trained.
        settings: thresholds, and what to skip.
        say: prints a line for each check.
    """
    layers: list[LayerSignal] = []
    gates: list[GateResult] = []
    for needed, check in _checks(setup, settings, layers):
        gates.append(_result(check, settings, say))
        if needed and gates[-1].verdict == "fail":
            return CheckReport(gates=gates, probe=[], learning_rate_band=None)
    if any(gate.verdict == "fail" for gate in gates):
        return CheckReport(gates=gates, layers=shown_layers(layers), probe=[], learning_rate_band=None)
    batches = probe_batches(setup.train_pixels, setup.train_labels, setup.batch_size, setup.seed)
    probe = probe_learning_rates(setup.classifier, batches, setup.momentum, setup.loss, setup.step)
    rate = recommended_rate(probe)
    gates.append(_result(("learning_rates", lambda: check_learning_rates(probe, setup.learning_rates)), settings, say))
    if rate is not None:
        gates.append(_result(("carries_over", lambda: check_carry_over(setup, rate)), settings, say))
    return CheckReport(
        gates=gates,
        layers=[_at_rate(layer, rate) for layer in shown_layers(layers)],
        probe=probe,
        learning_rate_band=learning_rate_band(probe),
        recommended_learning_rate=rate,
    )


def _checks(setup: Setup, settings: CheckSettings, layers: list[LayerSignal]) -> Iterator[tuple[bool, Check]]:
    """Each check, and whether the others need it to hold; ``layers`` takes the signals' report."""
    pixels, labels = setup.images(FIRST_LOSS_IMAGES)
    samples = overfit_samples(setup.train_labels)
    classifier = setup.classifier

    def signals() -> GateResult:
        layers.extend(report_signals(setup, settings))
        return check_signals(layers)

    yield True, ("labels", lambda: check_labels(setup))
    yield False, ("splits_apart", lambda: check_splits_apart(setup))
    yield False, ("splits_alike", lambda: check_splits_alike(setup))
    yield True, ("raw_scores", lambda: check_raw_scores(setup))
    yield False, ("inputs_normalized", lambda: check_inputs(setup))
    yield False, ("neurons_differ", lambda: check_symmetry(classifier))
    yield False, ("activations_between", lambda: check_activations(setup))
    yield False, ("modes", lambda: check_modes(setup))
    yield (
        False,
        ("first_loss", lambda: check_first_loss(classifier, pixels, labels, setup.classes, settings, setup.loss)),
    )
    yield False, ("regularization", lambda: check_regularization(classifier, pixels, labels))
    if setup.weight_decays is not None:
        asked = setup.weight_decays
        yield False, ("weight_decays", lambda: check_weight_decays(classifier, pixels, labels, asked))
    yield True, ("gradient_step", lambda: check_gradient_step(setup))
    yield False, ("signals", signals)
    yield (
        False,
        (
            "overfit",
            lambda: check_overfit(
                setup.copy(dropout=False),
                setup.train_pixels[samples],
                setup.train_labels[samples],
                settings,
                setup.step,
            ),
        ),
    )


def _result(check: Check, settings: CheckSettings, say: Say) -> GateResult:
    name, measure = check
    gate = _skipped(name) if name in settings.skip else measure()
    assert gate.name == name
    say(f"{gate.verdict:4} {gate.row} {gate.title}: {gate.measured}; expected {gate.expected}")
    return gate


def _skipped(name: CheckName) -> GateResult:
    return GateResult(
        name=name,
        row="-",
        title=name.replace("_", " "),
        verdict="skip",
        measured="not measured",
        expected="a verdict, but checks.skip names this check",
        reason="the configuration says so",
        fix=f"take {name} out of checks.skip",
    )


def _at_rate(layer: LayerSignal, rate: float | None) -> LayerSignal:
    ratio = None if rate is None or layer.update_ratio is None else layer.update_ratio * rate
    return layer.model_copy(update={"update_ratio": ratio})
