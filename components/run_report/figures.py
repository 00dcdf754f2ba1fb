"""The figures of the page, as SVG text; the page itself calls them."""

import io
from collections.abc import Sequence

import matplotlib
import numpy as np
from matplotlib.figure import Figure

from sanefit.components.foundation.schemas.checks import LayerSignal, ProbedRate
from sanefit.components.foundation.schemas.search import TrialResult, TrialSetting
from sanefit.components.foundation.schemas.statistics import ChannelStats
from sanefit.components.foundation.schemas.training import EpochRecord

CHANNEL_COLORS = {1: ("0.3",), 3: ("tab:red", "tab:green", "tab:blue")}
VERDICT_COLORS = {"too_low": "0.6", "good": "tab:green", "too_high": "tab:orange", "exploded": "tab:red"}
HISTOGRAMS = 8
# Text as text, and ids that are the same each time: the same run gives the same page.
matplotlib.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": "sanefit", "font.size": 9})


def histogram_figure(stats: ChannelStats) -> str:
    """Share of training pixels at each level, per channel."""
    figure, axes = _figure(6.4, 2.4)
    colors = CHANNEL_COLORS.get(len(stats.mean), ("0.3",) * len(stats.mean))
    for counts, mean, color in zip(stats.histogram, stats.mean, colors, strict=True):
        axes.step(range(256), np.array(counts) / sum(counts), color=color, linewidth=1, where="mid")
        axes.axvline(mean, color=color, linestyle=":", linewidth=1)
    axes.set(xlabel="pixel value (dotted: mean)", ylabel="share of pixels", xlim=(-2, 257))
    return _svg(figure)


def probe_figure(probe: Sequence[ProbedRate]) -> str:
    """Loss after the probe's steps at each learning rate, colored by verdict."""
    figure, axes = _figure(6.4, 2.6)
    first = next((rate.first_loss for rate in probe if rate.first_loss is not None), 0.0)
    ceiling = 2 * first
    for verdict, color in VERDICT_COLORS.items():
        chosen = [rate for rate in probe if rate.verdict == verdict]
        if not chosen:
            continue
        losses = [ceiling if rate.last_loss is None else min(rate.last_loss, ceiling) for rate in chosen]
        label = verdict.replace("_", " ")
        axes.scatter([rate.learning_rate for rate in chosen], losses, color=color, label=label, zorder=3)
    axes.axhline(first, color="0.7", linestyle="--", linewidth=1, label="loss at the start")
    axes.set(xscale="log", xlabel="learning rate", ylabel="loss after the probe")
    axes.legend(fontsize=8)
    return _svg(figure)


def signals_figure(layers: Sequence[LayerSignal]) -> str:
    """Standard deviation of each layer's output and of the gradient that comes back, and histograms of the output."""
    figure = Figure(figsize=(8.0, 4.2), layout="constrained")
    grid = figure.add_gridspec(2, 1)
    above, below = figure.add_subfigure(grid[0, 0]), figure.add_subfigure(grid[1, 0])
    for axes, attribute, label in zip(
        above.subplots(1, 2), ("std", "gradient_std"), ("std of the output", "std of the gradient"), strict=True
    ):
        values = [getattr(layer, attribute) or np.nan for layer in layers]
        axes.plot(range(1, len(layers) + 1), values, marker=".")
        axes.set(xlabel="layer", ylabel=label, yscale="log")
    shown = layers[:: max(1, -(-len(layers) // HISTOGRAMS))]
    for axes, layer in zip(np.atleast_1d(below.subplots(1, len(shown))), shown, strict=True):
        axes.stairs(layer.histogram, np.linspace(layer.low, layer.high, len(layer.histogram) + 1), fill=True)
        axes.set(title=layer.layer, yticks=[])
        axes.tick_params(labelsize=6)
        axes.title.set_fontsize(7)
    return _svg(figure)


def search_figure(results: Sequence[TrialResult], best: TrialSetting) -> str:
    """Learning rate against weight decay, colored by validation accuracy, the best ringed.

    A small ring is a trial that was stopped early, whose accuracy compares with no other's; a cross has no result.
    """
    figure, axes = _figure(6.4, 3.6)
    good = [result for result in results if result.status == "ok"]
    points = axes.scatter(*_places(good), c=[result.validation_accuracy for result in good], cmap="viridis", s=28)
    if stopped := [result for result in results if result.status == "stopped"]:
        axes.scatter(*_places(stopped), facecolors="none", edgecolors="0.6", s=14, label="stopped early")
    if bad := [result for result in results if result.status not in ("ok", "stopped")]:
        axes.scatter(*_places(bad), color="tab:red", marker="x", s=24, label="diverged or failed")
    axes.scatter([best.learning_rate], [best.weight_decay], s=130, facecolors="none", edgecolors="black")
    axes.set(xscale="log", yscale="log", xlabel="learning rate", ylabel="weight decay")
    if len(good) < len(results):
        axes.legend(fontsize=8)
    if good:
        figure.colorbar(points, label="validation accuracy")
    return _svg(figure)


def curves_figure(epochs: Sequence[EpochRecord]) -> str:
    """Loss and accuracy of training and validation, per epoch."""
    figure = Figure(figsize=(8.0, 2.8), layout="constrained")
    losses, accuracies = figure.subplots(1, 2)
    numbers = [record.epoch for record in epochs]
    for axes, quantity in ((losses, "loss"), (accuracies, "accuracy")):
        for split, color in (("train", "tab:blue"), ("validation", "tab:orange")):
            values = [getattr(record, f"{split}_{quantity}") for record in epochs]
            finite = [np.nan if value is None else value for value in values]
            axes.plot(numbers, finite, color=color, label=split, marker="." if len(numbers) < 30 else "")
        axes.set(xlabel="epoch", ylabel=quantity)
        axes.legend(fontsize=8)
    return _svg(figure)


def _places(results: Sequence[TrialResult]) -> tuple[list[float], list[float]]:
    """Rates and weight decays."""
    settings = [result.spec.setting for result in results]
    return [setting.learning_rate for setting in settings], [setting.weight_decay for setting in settings]


def _figure(width: float, height: float) -> tuple[Figure, "matplotlib.axes.Axes"]:
    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, figure.subplots()


def _svg(figure: Figure) -> str:
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None})
    text = buffer.getvalue()
    return text[text.index("<svg") :]
