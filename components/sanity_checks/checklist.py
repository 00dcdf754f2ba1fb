"""All checks on the network and the data of the run."""

import math
from collections.abc import Iterator
from dataclasses import replace

from sanefit.components.foundation.classifiers.classifier import Classifier
from sanefit.components.foundation.machine.threads import using_threads
from sanefit.components.foundation.schemas.checks import (
    CheckReport,
    CheckSettings,
    GateResult,
    LayerSignal,
    ProbedRate,
)
from sanefit.components.foundation.schemas.network_kind import GivenNetwork
from sanefit.components.foundation.schemas.search import CoarseSettings
from sanefit.components.foundation.step_lines.step_log import Say
from sanefit.components.foundation.training.inputs import TrainingInputs
from sanefit.components.sanity_checks.check import Check, Measurement
from sanefit.components.sanity_checks.check_table import CHECKS
from sanefit.components.sanity_checks.checks.signals import shown_layers
from sanefit.components.sanity_checks.exportable import require_exportable
from sanefit.components.sanity_checks.probe.learning_rate_probe import learning_rate_band, recommended_rate
from sanefit.components.sanity_checks.probe.probing import probed
from sanefit.components.sanity_checks.setup import Setup, with_verdict
from sanefit.components.sanity_checks.setup_of_run import fitted_setup_of


def run_checklist(inputs: TrainingInputs, coarse: CoarseSettings, settings: CheckSettings, say: Say) -> CheckReport:
    """Check the network of a run on its snapshot.

    Args:
        inputs: network and images; the training and validation splits are read.
        coarse: the ranges that would be searched.
        settings: thresholds, and what to skip.
        say: prints a line.
    """
    setup, threads = fitted_setup_of(inputs, coarse, settings, say)
    with using_threads(threads):
        report = run_checks(setup, settings, say)
    if not report.failures and isinstance(inputs.network, GivenNetwork):  # ours all can
        assert isinstance(setup.classifier, Classifier)
        warned = "; ".join(f"{gate.measured}: {gate.fix}" for gate in report.gates if gate.verdict == "warn")
        require_exportable(setup.classifier, inputs.manifest.image_shape, inputs.network.named, warned)
    return report


def run_checks(setup: Setup, settings: CheckSettings, say: Say) -> CheckReport:
    """Every check of the table, and the learning-rate probe when none before it failed.

    Data that no loss can be taken of, and a network that gives no scores for them, end the list early.

    Args:
        setup: network, data, and how they would be trained.
        settings: thresholds, what to skip, and the time for it all.
        say: prints a line for each check, and of progress.
    """
    deadline = math.inf if settings.minutes is None else setup.clock() + 60 * settings.minutes
    gates, layers, probe = list[GateResult](), list[LayerSignal](), list[ProbedRate]()
    out_of_time = False
    for gate, measurement, seen in _results(replace(setup, thresholds=settings, say=say, deadline=deadline)):
        say(gate_line(gate))
        gates.append(gate)
        layers += measurement.layers
        probe, out_of_time = list(seen.probe), seen.is_late
    rate = recommended_rate(probe)
    return CheckReport(
        gates=gates,
        layers=[_at_rate(layer, rate) for layer in shown_layers(layers)],
        probe=probe,
        learning_rate_band=learning_rate_band(probe),
        recommended_learning_rate=rate,
        out_of_time=out_of_time,
    )


def gates_of(setup: Setup) -> Iterator[GateResult]:
    """What each check finds, one after the other; none is run before it is asked for."""
    return (gate for gate, _, _ in _results(setup))


def gate_line(gate: GateResult) -> str:
    """What is printed of one check."""
    return f"{gate.verdict:4} {gate.row} {gate.title}: {gate.measured}; expected {gate.expected}"


def _results(setup: Setup) -> Iterator[tuple[GateResult, Measurement, Setup]]:
    """One for each check that has something to measure, up to a blocking one that fails, with the set-up so far.

    The probe is run before the checks that need it; where one failed before, neither is.
    """
    for check in CHECKS:
        if check.after_probe and "fail" in setup.verdicts.values() and not setup.probe:
            return
        if check.after_probe and not setup.probe and not setup.is_late:
            setup = probed(setup)
        measurement = _measured(check, setup)
        if measurement is None:
            continue
        gate = _gate(check, measurement)
        learned = setup.learned if measurement.learned is None else measurement.learned
        setup = replace(with_verdict(setup, check.name, gate.verdict), learned=learned)
        yield gate, measurement, setup
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


def _measured(check: Check, setup: Setup) -> Measurement | None:
    if check.name in setup.thresholds.skip:
        return _skipped(check)
    return _too_late(setup) if setup.is_late else check.run(setup)


def _skipped(check: Check) -> Measurement:
    return Measurement(
        verdict="skip",
        measured="not measured",
        expected="a verdict, but checks.skip names this check",
        fix=f"take {check.name} out of checks.skip",
        reason="the configuration says so",
    )


def _too_late(setup: Setup) -> Measurement:
    return Measurement(
        verdict="unknown",
        measured=f"not measured within checks.minutes={setup.thresholds.minutes:g}",
        expected="a verdict, but the time for the checks was over",
        fix="raise checks.minutes, or leave it out",
        reason="the configuration says so",
    )


def _at_rate(layer: LayerSignal, rate: float | None) -> LayerSignal:
    ratio = None if rate is None or layer.update_ratio is None else layer.update_ratio * rate
    return layer.model_copy(update={"update_ratio": ratio})
