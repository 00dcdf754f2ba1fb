import copy
import math
import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from listed_sources import read_all
from torch import Tensor, nn
from torch.nn import functional

from sanefit.components.foundation.classifiers.classifier import Classifier, build_classifier
from sanefit.components.foundation.image_dataset.decoding import decode
from sanefit.components.foundation.image_dataset.shards import read_split
from sanefit.components.foundation.schemas.checks import CheckReport, ProbedRate
from sanefit.components.foundation.schemas.images import DatasetReference
from sanefit.components.foundation.schemas.networks import ConvNetSettings, NetworkSettings, TwoLayerSettings
from sanefit.components.foundation.schemas.statistics import ChannelStats
from sanefit.components.sanity_checks.probe.learning_rate_probe import (
    ProbeBatches,
    describe_probe,
    learning_rate_band,
    probe_batches,
    probe_learning_rates,
)
from sanefit.components.sanity_checks.short_training import PLAIN_SGD, Descent

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("one_thread")]

MOMENTUM, BATCH_SIZE = 0.9, 64
NETWORKS: list[NetworkSettings] = [
    TwoLayerSettings(kind="two_layer", hidden=16),
    ConvNetSettings(kind="convnet", channels=(4, 8)),
]
VERDICTS = ("too_low", "good", "too_high", "exploded")


@dataclass(frozen=True)
class Probed:
    """A network, its weights before the probe, and what the probe found."""

    classifier: Classifier
    before: dict[str, Tensor]
    data: ProbeBatches
    probe: list[ProbedRate]


@pytest.fixture(scope="module")
def digits_images(digits: DatasetReference) -> tuple[Tensor, Tensor]:
    pixels, labels = read_split(digits, "train")
    return torch.from_numpy(pixels), torch.from_numpy(labels)


@pytest.fixture(scope="module", params=NETWORKS, ids=str)
def probed(request: pytest.FixtureRequest, digits_images: tuple[Tensor, Tensor], digits_stats: ChannelStats) -> Probed:
    classifier = build_classifier(request.param, (8, 8, 1), 10, digits_stats, seed=0)
    before = copy.deepcopy(classifier.state_dict())
    data = probe_batches(*digits_images, BATCH_SIZE, seed=0)
    return Probed(classifier, before, data, probe_learning_rates(classifier, data, Descent(momentum=MOMENTUM)))


@pytest.fixture(scope="module")
def cifar10(cifar10_archive: Path) -> tuple[Tensor, Tensor]:
    """The first 100 images of every class; the archive is ordered by class."""
    kept: Counter[str] = Counter()
    pixels, labels = [], []
    for image in read_all(f"tar:{cifar10_archive}"):
        if kept[image.class_name] < 100:
            kept[image.class_name] += 1
            pixels.append(decode(image.content, image.path))
            labels.append(len(kept) - 1)
    return torch.from_numpy(np.stack(pixels)), torch.tensor(labels)


def in_letters(probe: list[ProbedRate]) -> str:
    return "".join({"too_low": "l", "good": "g", "too_high": "h", "exploded": "x"}[rate.verdict] for rate in probe)


def rate_of(exponent: float, verdict: str, last_loss: float | None) -> ProbedRate:
    return ProbedRate.model_validate(
        {
            "learning_rate": 10**exponent,
            "verdict": verdict,
            "first_loss": 2.3,
            "last_loss": None if verdict == "exploded" else last_loss,
            "evidence": "made up",
        }
    )


def made_up(letters: str, losses: dict[int, float] | None = None) -> list[ProbedRate]:
    """One rate per letter, two per decade from 1e-7; every last loss is 1 where none is given."""
    verdicts = {"l": "too_low", "g": "good", "h": "too_high", "x": "exploded"}
    return [
        rate_of(-7 + position / 2, verdicts[letter], (losses or {}).get(position, 1.0))
        for position, letter in enumerate(letters)
    ]


def test_verdicts_go_from_too_low_over_good_to_too_high(probed: Probed) -> None:
    probe = probed.probe
    assert re.fullmatch(r"l+g+[hx]+", in_letters(probe))


def test_the_probed_network_stays_as_it_was(probed: Probed) -> None:
    for name, value in probed.classifier.state_dict().items():
        assert torch.equal(value, probed.before[name]), name


def test_the_rates_rise_from_1e_minus_7_to_10_by_half_decades(probed: Probed) -> None:
    probe = probed.probe
    np.testing.assert_allclose([rate.learning_rate for rate in probe], np.logspace(-7, 1, 17), rtol=1e-12)


def test_the_band_of_digits_holds_a_rate_that_trains_and_ends_below_one(probed: Probed) -> None:
    probe = probed.probe
    band = learning_rate_band(probe)
    assert band is not None
    assert 1e-3 < band[0] <= 0.1 <= band[1] <= 1


def test_the_verdicts_follow_from_the_losses(probed: Probed) -> None:
    probe = probed.probe
    fall = {r.learning_rate: (r.first_loss or 0) - r.last_loss for r in probe if r.last_loss is not None}
    best = max(fall, key=lambda rate: fall[rate])
    for rate in probe:
        assert rate.first_loss == pytest.approx(math.log(10), rel=0.1)
        if rate.last_loss is None:
            assert rate.verdict == "exploded"
        elif fall[rate.learning_rate] >= 0.5 * fall[best]:
            assert rate.verdict == "good"
        else:
            assert rate.verdict == ("too_low" if rate.learning_rate < best else "too_high")


def test_the_evidence_names_both_losses_or_both_falls(probed: Probed) -> None:
    probe = probed.probe
    assert f"barely moved: {probe[0].first_loss:.4f} to {probe[0].last_loss:.4f}" in probe[0].evidence
    good = next(rate for rate in probe if rate.verdict == "good")
    assert f"the loss fell from {good.first_loss:.4f} to {good.last_loss:.4f}" in good.evidence
    rose = next(rate for rate in probe if rate.last_loss is not None and rate.last_loss > (rate.first_loss or 0))
    assert f"the loss rose from {rose.first_loss:.4f} to {rose.last_loss:.4f}" in rose.evidence


def test_each_rate_is_sgd_with_momentum_on_the_given_batches(probed: Probed) -> None:
    classifier, data, probe = probed.classifier, probed.data, probed.probe
    for rate in (r for r in probe if r.verdict == "too_low" or r.last_loss == min(x.last_loss or 9 for x in probe)):
        copied = copy.deepcopy(classifier).train()
        parameters = list(copied.parameters())
        velocities = [torch.zeros_like(parameter) for parameter in parameters]
        for indices in data.batches:
            loss = functional.cross_entropy(copied(data.pixels[indices]), data.labels[indices])
            gradients = torch.autograd.grad(loss, parameters)
            with torch.no_grad():
                for parameter, velocity, gradient in zip(parameters, velocities, gradients, strict=True):
                    velocity.mul_(MOMENTUM).add_(gradient)
                    parameter.sub_(rate.learning_rate * velocity)
        with torch.no_grad():
            first, last = (
                functional.cross_entropy(network(data.pixels[data.batches[0]]), data.labels[data.batches[0]]).item()
                for network in (copy.deepcopy(classifier).train(), copied)
            )
        assert rate.first_loss == pytest.approx(first, rel=1e-5)
        assert rate.last_loss == pytest.approx(last, rel=1e-2)


def test_the_lectures_network_explodes_on_raw_pixels_from_a_hundredth_on(cifar10: tuple[Tensor, Tensor]) -> None:
    mean = [125.3, 123.0, 113.9]
    stats = ChannelStats(
        normalization="channel_mean", images=50_000, mean=mean, std=mean, shift=mean, scale=[1.0] * 3, histogram=[]
    )
    network = TwoLayerSettings(kind="two_layer", init="gaussian:1e-4", hidden=50)
    classifier = build_classifier(network, (32, 32, 3), 10, stats, seed=0)
    probe = probe_learning_rates(classifier, probe_batches(*cifar10, 100, seed=0), PLAIN_SGD)
    assert re.fullmatch(r"l+g+h*x+", in_letters(probe))
    verdicts = {f"{rate.learning_rate:.0e}": rate.verdict for rate in probe}
    assert verdicts["1e-06"] == "too_low"  # R1
    assert verdicts["1e+01"] == verdicts["1e-01"] == "exploded"  # R2
    assert [rate.last_loss for rate in probe if rate.verdict == "exploded"] == [None] * in_letters(probe).count("x")
    band = learning_rate_band(probe)
    assert band is not None
    assert 1e-4 < band[0] < band[1] < 1e-2  # the lecture's answer is 1e-3


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_network_that_is_not_finite_explodes_at_every_rate(
    bad: float, digits_images: tuple[Tensor, Tensor], digits_stats: ChannelStats
) -> None:
    classifier = build_classifier(NETWORKS[0], (8, 8, 1), 10, digits_stats, seed=0)
    classifier.network.get_parameter("output.weight").data[0, 0] = bad
    steps: list[nn.Module] = []
    classifier.register_forward_hook(lambda module, *_: steps.append(module))
    probe = probe_learning_rates(
        classifier, probe_batches(*digits_images, BATCH_SIZE, seed=0), Descent(momentum=MOMENTUM)
    )
    assert len(steps) == len(probe)  # training stops at once
    assert {(r.verdict, r.first_loss, r.last_loss) for r in probe} == {("exploded", None, None)}
    assert learning_rate_band(probe) is None
    report = CheckReport(gates=[], probe=probe, learning_rate_band=None)
    assert CheckReport.model_validate_json(report.model_dump_json()) == report


@settings(deadline=None)
@given(images=st.integers(2, 400), batch_size=st.integers(2, 70), seed=st.integers(0, 5))
def test_sixty_batches_go_round_the_images_epoch_by_epoch(images: int, batch_size: int, seed: int) -> None:
    pixels, labels = torch.zeros((images, 1, 1, 1), dtype=torch.uint8), torch.zeros(images, dtype=torch.int64)
    data, again = (probe_batches(pixels, labels, batch_size, seed) for _ in range(2))
    assert len(data.batches) == 60
    assert all(torch.equal(a, b) for a, b in zip(data.batches, again.batches, strict=True))
    assert all(1 <= len(batch) <= batch_size for batch in data.batches)
    per_epoch = math.ceil(images / batch_size)
    epochs = [torch.cat(data.batches[start : start + per_epoch]) for start in range(0, 60, per_epoch)]
    for epoch in epochs[: 60 // per_epoch]:
        assert sorted(epoch.tolist()) == list(range(images))
    assert len(epochs[-1].unique()) == len(epochs[-1])
    if images > 20 and len(epochs) > 1:
        assert not torch.equal(epochs[0][: len(epochs[1])], epochs[1])


@pytest.mark.parametrize(
    ("letters", "losses", "low", "high"),
    [
        ("lllggghhx", {4: 0.5}, 3, 5),
        ("ggg", {}, 0, 2),
        ("lggxgggh", {5: 0.1, 1: 0.2}, 4, 6),
        ("lggxgggh", {5: 0.2, 1: 0.1}, 4, 6),
        ("llgggghgg", {8: 0.0}, 2, 5),
        ("gglgglgg", {3: 0.1}, 3, 4),
        ("lglhhhx", {1: 0.5}, 0.5, 1.5),
        ("xlg", {}, 1.5, 2.5),
    ],
)
def test_the_band_is_the_longest_unbroken_run_of_good_rates(
    letters: str, losses: dict[int, float], low: float, high: float
) -> None:
    band = learning_rate_band(made_up(letters, losses))
    assert band == pytest.approx((10 ** (-7 + low / 2), 10 ** (-7 + high / 2)))


@pytest.mark.parametrize("letters", ["", "l", "lllhhh", "xxx", "lhxlhx"])
def test_there_is_no_band_without_a_good_rate(letters: str) -> None:
    assert learning_rate_band(made_up(letters)) is None


@settings(deadline=None)
@given(st.lists(st.tuples(st.sampled_from(VERDICTS), st.floats(1e-6, 1e6)), max_size=17))
def test_every_probed_rate_inside_the_band_is_good_and_the_next_ones_are_not(rates: list[tuple[str, float]]) -> None:
    probe = [rate_of(-7 + position / 2, verdict, loss) for position, (verdict, loss) in enumerate(rates)]
    band = learning_rate_band(probe)
    good = [rate for rate in probe if rate.verdict == "good"]
    assert (band is None) == (not good)
    if band is None:
        return
    inside = [i for i, rate in enumerate(probe) if band[0] <= rate.learning_rate <= band[1]]
    assert band[0] < band[1]
    assert all(probe[i].verdict == "good" for i in inside)
    letters = "".join("g" if rate.verdict == "good" else " " for rate in probe)
    assert len(inside) == max(map(len, letters.split()))
    outside = [i for i in (inside[0] - 1, inside[-1] + 1) if 0 <= i < len(probe)]
    assert all(probe[i].verdict != "good" for i in outside)


def test_a_rate_that_reaches_a_loss_of_zero_is_the_best_rate() -> None:
    band = learning_rate_band(made_up("lgglggh", {5: 0.2, 2: 0.0}))
    assert band == pytest.approx((10**-6.5, 10**-6))


def test_a_loss_of_exactly_zero_does_occur() -> None:
    """Two images of two classes; the reason why the test above matters."""
    pixels = torch.tensor([[0] * 4, [255] * 4], dtype=torch.uint8).reshape(2, 2, 2, 1)
    stats = ChannelStats(
        normalization="none", images=2, mean=[128.0], std=[128.0], shift=[128.0], scale=[64.0], histogram=[]
    )
    classifier = build_classifier(TwoLayerSettings(kind="two_layer", hidden=16), (2, 2, 1), 2, stats, seed=0)
    probe = probe_learning_rates(
        classifier, probe_batches(pixels, torch.tensor([0, 1]), 2, seed=0), Descent(momentum=MOMENTUM)
    )
    assert 0.0 in [rate.last_loss for rate in probe if rate.verdict == "good"]


def test_a_network_that_cannot_learn_has_no_good_rate(
    digits_images: tuple[Tensor, Tensor], digits_stats: ChannelStats
) -> None:
    classifier = build_classifier(
        TwoLayerSettings(kind="two_layer", hidden=4, init="zeros"), (8, 8, 1), 10, digits_stats, seed=0
    )
    nn.init.constant_(classifier.network.get_parameter("output.weight"), 0.0)
    probe = probe_learning_rates(
        classifier, probe_batches(*digits_images, BATCH_SIZE, seed=0), Descent(momentum=MOMENTUM)
    )
    assert "good" not in {rate.verdict for rate in probe}


def test_the_description_gives_the_span_of_each_verdict_in_one_line() -> None:
    line = describe_probe(made_up("llgghx"))
    assert line == "too low 1e-07 to 3e-07, good 1e-06 to 3e-06, too high 1e-05 to 1e-05, exploded 3e-05 to 3e-05"
    assert describe_probe(made_up("xx")) == "exploded 1e-07 to 3e-07"
