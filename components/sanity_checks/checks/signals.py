"""W2 to W5: activations neither collapse nor saturate, explode or die, and gradients reach the first layer."""

import math
from collections.abc import Sequence
from typing import Literal

from sanefit.components.foundation.diagnosis.layer_signals import Signal, measure_signals
from sanefit.components.foundation.schemas.checks import CheckSettings, LayerSignal, Verdict
from sanefit.components.sanity_checks.check import Measurement
from sanefit.components.sanity_checks.setup import Setup

IMAGES = 500
MOST_VALUES = 2**20  # pixels in the batch: large images come in fewer
COLLAPSED = 0.05  # of the first layer's std: the lecture's Xavier with ReLU reaches 0.045 in ten layers
HARDLY_ANY = 0.01  # std of activations of which nothing is left to tell images apart
EXPLODED = 20.0  # times the first layer's std
VANISHED = 1e-4  # of the last layer's gradient
MOST_DEAD = 0.9  # of the neurons: where features are alike, a ReLU is on or off for all images by chance
FAR_TOO_LARGE = 1e3  # a std that no layer behind can be meant for
SHOWN_LAYERS = 40

LayerVerdict = Literal["healthy", "collapsing", "saturating", "exploding", "dying", "vanishing"]
FIXES = {
    "collapsing": "the weights are too small: set network.init=he for ReLU, xavier for tanh, or use batch norm",
    "saturating": "the weights or the inputs are too big: set network.init=xavier, normalized pixels or batch norm",
    "exploding": "the weights are too big: set network.init=he or xavier, or use batch norm",
    "dying": "these neurons stay below 0 for every image: set network.init=he, biases to 0, or "
    "network.activation=leaky_relu",
    "vanishing": "gradients shrink on their way to the first layers: set network.activation=relu, use batch norm, "
    "fewer layers or a resnet",
}


def report_signals(setup: Setup) -> list[LayerSignal]:
    """Every activation's signal with a verdict, input to output, over a batch of training images.

    ``update_ratio`` is for a learning rate of 1 until one is recommended.
    """
    per_image = setup.train_pixels[0].numel()
    pixels, labels = setup.images(max(8, min(IMAGES, MOST_VALUES // per_image)))
    signals = measure_signals(setup.copy(dropout=False), pixels, lambda scores: setup.loss(scores, labels))
    return [_judged(signal, signals, setup.thresholds) for signal in signals]


def check_signals(setup: Setup) -> Measurement:
    """The first ill layer is named; saturating, exploding and dying fail.

    The rest is told, and warns where 20 samples could not be overfitted: a network that learns in spite of a faint
    signal (residual branches that start at zero, gates) is sound.
    """
    layers = report_signals(setup)
    ill = [layer for layer in layers if layer.verdict != "healthy"]
    first = ill[0] if ill else None
    measured = "no layer to look at"
    if layers:
        measured = f"std {_shown(layers[0].std)} to {_shown(layers[-1].std)} over {len(layers)} layers"
    if first is not None:
        measured += f"; {len(ill)} of them unhealthy, first {_quoted(first.layer)}, {first.verdict}: {first.evidence}"
    return Measurement(
        verdict=_verdict(ill, fits=setup.verdicts.get("overfit") in ("pass", "unknown")),
        measured=measured,
        expected=f"std from {COLLAPSED} to {EXPLODED:g} times the first layer's and above {HARDLY_ANY}; under "
        f"{setup.thresholds.saturated_share:.0%} of values saturated, under {setup.thresholds.dead_share:.0%} of "
        f"neurons dead; gradients above {VANISHED:g} times the last layer's",
        fix=FIXES[first.verdict] if first is not None else "",
        layers=tuple(layers),
    )


def shown_layers(layers: Sequence[LayerSignal]) -> list[LayerSignal]:
    """At most 40 of them, evenly spaced, so that a report stays small."""
    step = math.ceil(len(layers) / SHOWN_LAYERS)
    return list(layers[:: max(step, 1)])


def _verdict(ill: list[LayerSignal], *, fits: bool) -> Verdict:
    grave = [layer for layer in ill if _is_grave(layer)]
    if any(layer.verdict in ("saturating", "exploding", "dying") for layer in grave):
        return "fail"
    if fits or not ill:
        return "pass"
    return "fail" if grave else "warn"


def _is_grave(layer: LayerSignal) -> bool:
    match layer.verdict:
        case "collapsing":
            return (layer.std or 0) < HARDLY_ANY
        case "dying":
            return (layer.dead or 0) >= MOST_DEAD
        case "exploding":
            return layer.std is None or layer.std > FAR_TOO_LARGE
        case _:
            return layer.verdict == "saturating"


def _judged(signal: Signal, signals: list[Signal], settings: CheckSettings) -> LayerSignal:
    verdict, evidence = _judge(signal, signals[0], signals[-1], settings)
    return LayerSignal(
        layer=signal.layer.removeprefix("network."),
        kind=signal.kind,
        mean=_finite(signal.mean),
        std=_finite(signal.std),
        gradient_std=_finite(signal.gradient_std),
        saturated=signal.saturated,
        dead=signal.dead,
        low=signal.low,
        high=signal.high,
        histogram=signal.histogram,
        update_ratio=_finite(signal.gradient_to_weight),
        verdict=verdict,
        evidence=evidence,
    )


def _judge(signal: Signal, first: Signal, last: Signal, settings: CheckSettings) -> tuple[LayerVerdict, str]:
    if not math.isfinite(signal.std):
        return "exploding", "values that are not finite"
    if signal.saturated is not None and signal.saturated >= settings.saturated_share:
        return "saturating", f"{signal.saturated:.0%} of the values at a bound"
    if signal.dead is not None and signal.dead >= settings.dead_share:
        return "dying", f"{signal.dead:.0%} of the neurons are 0 for every image"
    if signal.std < COLLAPSED * first.std or signal.std < HARDLY_ANY:
        return "collapsing", f"std {signal.std:.3g}, where the first layer has {first.std:.3g}"
    if signal.std > EXPLODED * first.std:
        return "exploding", f"std {signal.std:.3g}, where the first layer has {first.std:.3g}"
    if signal.gradient_std < VANISHED * last.gradient_std:
        return "vanishing", f"gradient std {signal.gradient_std:.2g}, where the last layer has {last.gradient_std:.2g}"
    return "healthy", f"std {signal.std:.3g}"


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None


def _quoted(layer: str) -> str:
    return layer if "'" in layer else repr(layer)


def _shown(value: float | None) -> str:
    return "not finite" if value is None else f"{value:.3g}"
