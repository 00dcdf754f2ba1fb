"""Gates beside the zoo: their numbers, and where their verdicts change."""

from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional

from sanefit.components.foundation.schemas.checks import ProbedRate
from sanefit.components.sanity_checks.checks.activations_between import check_activations
from sanefit.components.sanity_checks.checks.carry_over import check_carry_over, check_recommended_rate
from sanefit.components.sanity_checks.checks.first_loss import check_weight_decays
from sanefit.components.sanity_checks.checks.gradient_steps import steps_seen
from sanefit.components.sanity_checks.checks.labels_and_splits import (
    check_labels,
    check_splits_alike,
    check_splits_apart,
)
from sanefit.components.sanity_checks.checks.learning_rates import HALF_A_STEP, SLOWER, check_learning_rates
from sanefit.components.sanity_checks.checks.modes import check_modes
from sanefit.components.sanity_checks.probe.learning_rate_probe import recommended_rate
from sanefit.components.sanity_checks.setup import Setup

RANDOM = torch.Generator().manual_seed(0)
PIXELS = torch.randint(0, 256, (300, 4, 4, 1), dtype=torch.uint8, generator=RANDOM)
LABELS = torch.arange(300) % 3


class FromPixels(nn.Module):
    """A network on pixels over 255."""

    def __init__(self, *layers: nn.Module) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Flatten(), *layers)

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        scores: torch.Tensor = self.layers(pixels.float() / 255 - 0.5)
        return scores


def setup_of(*layers: nn.Module, **changes: object) -> Setup:
    options = {"validation_pixels": PIXELS[200:], "validation_labels": LABELS[200:], **changes}
    return Setup(FromPixels(*layers), 3, PIXELS[:200], LABELS[:200], **options)  # type: ignore[arg-type]


def mlp() -> list[nn.Module]:
    torch.manual_seed(0)
    return [nn.Linear(16, 12), nn.ReLU(), nn.Linear(12, 3)]


@settings(deadline=None, max_examples=40)
@given(factor=st.floats(0.01, 100), sign=st.sampled_from([-1, 1]))
def test_a_scaled_loss_is_seen_by_its_factor_and_sign(factor: float, sign: int) -> None:
    seen, again, *_ = steps_seen(setup_of(*mlp(), loss=lambda s, y: sign * factor * functional.cross_entropy(s, y)))
    assert seen.cosine == pytest.approx(sign, abs=1e-2)
    assert seen.ratio == pytest.approx(factor, rel=5e-2)
    assert again.ratio == pytest.approx(factor, rel=5e-2)
    assert seen.still == []


def test_frozen_weights_are_named_and_do_not_hide_the_direction() -> None:
    layers = mlp()
    layers[0].requires_grad_(False)
    seen, *_ = steps_seen(setup_of(*layers))
    assert seen.still == ["layers.1.weight"]
    assert seen.cosine == pytest.approx(1, abs=1e-3)


def test_gradients_that_add_up_double_the_second_step() -> None:
    def step(optimizer: torch.optim.Optimizer, loss: torch.Tensor) -> None:
        loss.backward()
        optimizer.step()

    first, second, *_ = steps_seen(setup_of(*mlp(), step=step))
    assert first.ratio == pytest.approx(1, rel=1e-2)
    assert second.ratio == pytest.approx(2, rel=5e-2)


def probe(*verdicts: str) -> list[ProbedRate]:
    return [
        ProbedRate.model_validate(
            {
                "learning_rate": 10.0 ** (number - 6),
                "verdict": verdict,
                "first_loss": 2.3,
                "last_loss": 2.3 - 0.1 * number if verdict == "good" else None,
                "evidence": "made up",
            }
        )
        for number, verdict in enumerate(verdicts)
    ]


PROBE = probe("too_low", "too_low", "too_low", "good", "good", "exploded")  # good: 1e-3 and 1e-2


@given(low=st.floats(-12, 3), width=st.floats(0.1, 6))
def test_rates_asked_for_fail_exactly_when_none_would_learn(low: float, width: float) -> None:
    asked = (10**low, 10 ** (low + width))
    gate = check_learning_rates(setup_of(probe=PROBE, learning_rates=asked))
    outside = asked[1] <= 1e-3 / SLOWER or asked[0] >= 1e-2 * HALF_A_STEP
    assert (gate.verdict == "fail") == outside
    if gate.verdict != "pass":
        assert f"{asked[0]:.1e}" in gate.fix
        assert "1.0e-03 to 1.0e-02" in gate.fix


def test_rates_around_any_good_one_are_not_refused() -> None:
    uneven = probe("too_low", "good", "too_low", "too_low", "good", "good")  # of few images
    for asked in ((1e-6, 1e-4), (3e-6, 3e-5), (1e-3, 1e-1)):
        assert check_learning_rates(setup_of(probe=uneven, learning_rates=asked)).verdict == "pass"


def test_no_good_rate_fails() -> None:
    assert check_learning_rates(setup_of(probe=probe("too_low", "exploded"))).verdict == "fail"
    assert recommended_rate(probe("too_low", "exploded")) is None


def test_the_recommended_rate_lowers_the_loss_most() -> None:
    assert recommended_rate(PROBE) == pytest.approx(1e-2)
    assert check_learning_rates(setup_of(probe=PROBE)).verdict == "pass"


@given(st.lists(st.integers(0, 2), min_size=3, max_size=40), st.lists(st.integers(-1, 3), min_size=1, max_size=40))
def test_labels_hold_exactly_when_in_range_and_complete(train: list[int], validation: list[int]) -> None:
    sound = set(train) == set(validation) == {0, 1, 2}
    pixels = torch.zeros((1, 4, 4, 1), dtype=torch.uint8)
    setup = Setup(
        nn.Identity(),
        3,
        pixels.expand(len(train), -1, -1, -1),
        torch.tensor(train),
        pixels.expand(len(validation), -1, -1, -1),
        torch.tensor(validation),
    )
    assert (check_labels(setup).verdict == "pass") == sound


@pytest.mark.parametrize("shared", [0, 1, 7])
def test_shared_images_are_counted(shared: int) -> None:
    validation = torch.cat([PIXELS[:shared], PIXELS[200:]])
    gate = check_splits_apart(setup_of(validation_pixels=validation))
    assert gate.measured.startswith(f"{shared} of {100 + shared} validation images")
    assert (gate.verdict == "fail") == (shared > 0)


@pytest.mark.parametrize(("added", "verdict"), [(0, "pass"), (3, "pass"), (60, "warn")])
def test_splits_may_differ_a_little(added: int, verdict: str) -> None:
    shifted = (PIXELS[200:] // 2 + added).to(torch.uint8)
    setup = setup_of(validation_pixels=shifted)
    halved = Setup(setup.classifier, 3, PIXELS[:200] // 2, LABELS[:200], shifted, LABELS[200:])
    assert check_splits_alike(halved).verdict == verdict


@pytest.mark.parametrize(
    ("layers", "verdict"),
    [
        ([nn.Linear(16, 3)], "pass"),  # one layer has nothing between
        ([nn.Linear(16, 8), nn.Linear(8, 3)], "fail"),
        ([nn.Linear(16, 8), nn.BatchNorm1d(8), nn.Linear(8, 3)], "fail"),
        ([nn.Linear(16, 8), nn.Tanh(), nn.Linear(8, 3)], "pass"),
        ([nn.Linear(16, 8), nn.ReLU(), nn.Linear(8, 8), nn.Dropout(0.5), nn.Linear(8, 3)], "warn"),
    ],
    ids=str,
)
def test_layers_need_something_between(layers: list[nn.Module], verdict: str) -> None:
    assert check_activations(setup_of(*layers)).verdict == verdict


@pytest.mark.slow
@pytest.mark.parametrize(("times", "verdict"), [(1, "unknown"), (10, "fail")])
def test_pure_noise_is_refused_where_there_are_enough_images_to_tell(times: int, verdict: str) -> None:
    pixels = torch.randint(0, 256, (300 * times, 4, 4, 1), dtype=torch.uint8, generator=RANDOM)
    labels = torch.arange(len(pixels)) % 3
    noise = setup_of(*mlp(), validation_pixels=pixels[: len(pixels) // 3], validation_labels=labels[: len(pixels) // 3])
    noise = replace(noise, train_pixels=pixels[len(pixels) // 3 :], train_labels=labels[len(pixels) // 3 :])
    gate = check_carry_over(noise, 1e-2)
    assert gate.verdict == verdict
    assert ("null control" in gate.fix) == (verdict == "fail")


def test_without_a_recommended_rate_nothing_is_trained() -> None:
    assert check_recommended_rate(setup_of(probe=probe("too_low", "exploded"))) is None


@pytest.mark.parametrize("asked", [None, (1e30, 1e31)])
def test_only_weight_decays_that_were_asked_for_are_measured(asked: tuple[float, float] | None) -> None:
    found = check_weight_decays(setup_of(*mlp(), weight_decays=asked))
    assert (found and found.verdict) == (asked and "warn")


@pytest.mark.parametrize(
    "layers",
    [
        [nn.Linear(16, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 3)],
        [nn.Linear(16, 8), nn.ReLU(), nn.Dropout(0.5), nn.Linear(8, 3)],
        [nn.Linear(16, 8), nn.LayerNorm(8), nn.ReLU(), nn.Linear(8, 3)],
    ],
    ids=str,
)
def test_sound_layers_differ_between_modes_as_they_should(layers: list[nn.Module]) -> None:
    setup = setup_of(*layers)
    before = {name: value.clone() for name, value in setup.classifier.state_dict().items()}
    assert check_modes(setup).measured.startswith("as expected")
    assert all(torch.equal(value, before[name]) for name, value in setup.classifier.state_dict().items())
