import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
from said import Said
from training_inputs import inputs_of

from sanefit.components.channel_stats.channel_stats import measure_channel_stats
from sanefit.components.dataset_snapshot.snapshot import take_snapshot
from sanefit.components.foundation.errors import ChecksFailedError
from sanefit.components.foundation.machine.forked_work import gradients_survive_a_fork
from sanefit.components.foundation.schemas.checks import CheckName, CheckReport, CheckSettings, GateResult
from sanefit.components.foundation.schemas.data_settings import DataSettings
from sanefit.components.foundation.schemas.images import DatasetReference
from sanefit.components.foundation.schemas.networks import ConvNetSettings, NetworkSettings, TwoLayerSettings
from sanefit.components.foundation.schemas.search import CoarseSettings
from sanefit.components.foundation.schemas.statistics import ChannelStats, StatsSettings
from sanefit.components.foundation.schemas.training import OptimizerSettings
from sanefit.components.foundation.storage.results import load_result
from sanefit.components.foundation.training.loop import training_images
from sanefit.components.sanity_checks import checklist
from sanefit.components.sanity_checks.check_table import CHECKS
from sanefit.components.sanity_checks.checked_before import check_once
from sanefit.components.sanity_checks.checklist import run_checklist, run_checks
from sanefit.components.sanity_checks.checks.searched_choices import check_searched_choices
from sanefit.components.sanity_checks.gate import require_passed
from sanefit.components.sanity_checks.setup_of_run import setup_of

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("one_thread")]

BEFORE_THE_PROBE = [check.name for check in CHECKS if not check.after_probe]
ALL = [*BEFORE_THE_PROBE, "learning_rates", "carries_over", "shortcuts"]  # one choice of everything
DEFAULTS = CheckSettings()
COARSE = CoarseSettings()
OPTIMIZER = OptimizerSettings(batch_size=64)
TWO_LAYER = TwoLayerSettings(kind="two_layer", hidden=16)
CONVNET = ConvNetSettings(kind="convnet", channels=(4, 6))
NETWORKS: list[NetworkSettings] = [TWO_LAYER, CONVNET]
Check = Callable[..., tuple[CheckReport, Said]]


@pytest.fixture
def check(digits: DatasetReference, digits_stats: ChannelStats) -> Check:
    """Run the checklist on digits; the report and what was said."""

    def run(
        network: NetworkSettings,
        init: str = "he",
        seed: int = 0,
        stats: ChannelStats = digits_stats,
        checks: CheckSettings = DEFAULTS,
    ) -> tuple[CheckReport, Said]:
        said = Said()
        settings = network.model_copy(update={"init": init})
        return run_checklist(inputs_of(digits, stats, settings, OPTIMIZER, seed), COARSE, checks, said), said

    return run


def of(report: CheckReport, name: str) -> GateResult:
    [gate] = [gate for gate in report.gates if gate.name == name]
    return gate


@pytest.mark.parametrize("skipped", ALL)
def test_a_skipped_check_is_said_and_shown(skipped: CheckName, check: Check) -> None:
    report, said = check(TWO_LAYER, checks=CheckSettings(skip=(skipped,)))
    expected = [name for name in ALL if (skipped, name) != ("carries_over", "shortcuts")]  # nothing to compare with
    assert [gate.name for gate in report.gates] == expected
    assert [gate.name for gate in report.gates if gate.verdict == "skip"] == [skipped]
    gate = of(report, skipped)
    assert "checks.skip" in gate.expected
    [check_] = [check_ for check_ in CHECKS if check_.name == skipped]
    assert (gate.row, gate.title) == (check_.row, check_.title)
    assert [line for line in said if line.startswith(f"skip {check_.row} {check_.title}: not measured")]


def test_every_check_can_be_skipped_by_its_name() -> None:
    assert sorted(check.name for check in CHECKS) == sorted(get_args(CheckName))


@pytest.mark.parametrize("network", NETWORKS, ids=str)
def test_a_sound_network_passes_all_gates_and_is_probed(network: NetworkSettings, check: Check) -> None:
    report, said = check(network)
    assert [(gate.name, gate.verdict) for gate in report.gates] == [(name, "pass") for name in ALL]
    assert report.failures == []
    assert len(report.probe) == 17
    band = report.learning_rate_band
    assert band is not None
    good = [rate.learning_rate for rate in report.probe if rate.verdict == "good"]
    assert band[0] <= good[0] <= band[1]
    assert band[0] <= (report.recommended_learning_rate or 0) <= band[1]
    verdicts = [line for line in said if not line.endswith("s left")]
    assert [line.split()[:2] for line in verdicts] == [["pass", gate.row] for gate in report.gates]
    assert CheckReport.model_validate_json(report.model_dump_json()) == report


@pytest.mark.parametrize(
    ("network", "init", "failing"),
    [
        (TWO_LAYER, "zeros", ["neurons_differ", "overfit", "regularization", "signals"]),
        (CONVNET, "zeros", ["neurons_differ", "overfit", "regularization", "signals"]),
        (TWO_LAYER, "gaussian:10", ["first_loss"]),
    ],
    ids=str,
)
def test_a_network_that_fails_gets_a_report_and_no_probe(
    network: NetworkSettings,
    init: str,
    failing: list[str],
    check: Check,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def must_not_run(*_: object) -> None:
        raise AssertionError("the probe ran")

    monkeypatch.setattr(checklist, "probed", must_not_run)
    report, said = check(network, init)
    assert [gate.name for gate in report.gates] == BEFORE_THE_PROBE
    assert [gate.name for gate in report.failures] == failing
    assert (report.probe, report.learning_rate_band) == ([], None)
    assert len([line for line in said if line.startswith("fail")]) == len(failing)
    assert all(gate.measured in said[number] for number, gate in enumerate(report.gates))
    with pytest.raises(ChecksFailedError) as caught:
        require_passed(report, Said())
    assert all(gate.measured in str(caught.value) for gate in report.failures)
    assert "\n" not in str(caught.value)


def test_infinite_scores_end_the_checks(check: Check, digits_stats: ChannelStats) -> None:
    stats = digits_stats.model_copy(update={"scale": [1e-30]})
    report, _ = check(TWO_LAYER, "gaussian:1e20", stats=stats)
    [failure] = report.failures
    assert failure.name == report.gates[-1].name == "raw_scores"
    assert "not finite" in failure.measured


def test_the_same_seed_gives_the_same_report_and_another_one_does_not(check: Check) -> None:
    assert check(TWO_LAYER, seed=1) == check(TWO_LAYER, seed=1)
    first, other = check(TWO_LAYER, seed=1)[0], check(TWO_LAYER, seed=2)[0]
    assert of(first, "first_loss").measured != of(other, "first_loss").measured
    assert first.probe != other.probe


def test_the_test_split_is_not_read(check: Check, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[str] = []
    opened = training_images.open_split

    def recording(dataset: DatasetReference, split: Any, **options: Any) -> Any:
        read.append(split)
        return opened(dataset, split, **options)

    monkeypatch.setattr(training_images, "open_split", recording)
    check(TWO_LAYER, "zeros")
    assert sorted(read) == ["train", "validation"]


def test_the_number_of_classes_comes_from_the_snapshot(
    image_folder: Callable[..., Path], tmp_path: Path, said: Said
) -> None:
    folder = image_folder({"cat": 40, "dog": 40, "owl": 40})
    dataset = take_snapshot(DataSettings(source=f"folder:{folder}"), str(tmp_path), said)
    stats = measure_channel_stats(dataset, StatsSettings(normalization="channel_mean_std"), said)
    report = run_checklist(inputs_of(dataset, stats, TWO_LAYER, OPTIMIZER), COARSE, DEFAULTS, said)
    first_loss = of(report, "first_loss")
    assert float(first_loss.measured) == pytest.approx(np.log(3), rel=0.1)
    assert "1.0986 = log 3" in first_loss.expected


SEARCHED: dict[str, Any] = {"init": ["he", "xavier", "zeros"], "optimizer": ["sgd", "adam"], "batch_size": [16, 32]}


@pytest.mark.parametrize(
    ("searched", "verdict", "words"),
    [
        (SEARCHED, "fail", ["2 of 3 further choices hold", "with init=zeros: identical neurons"]),
        ({**SEARCHED, "init": ["xavier", "he"]}, "pass", ["2 of 2 further choices hold"]),
        ({"dropout": [0.1, 0.95]}, "fail", ["with dropout=0.95: dropout 0.95"]),
        ({"optimizer": ["adam", "sgd"], "learning_rate": [10.0, 100.0]}, "fail", ["0 of 1", "with optimizer=sgd"]),
    ],
)
def test_each_choice_of_the_search_is_checked(
    searched: dict[str, Any], verdict: str, words: list[str], digits: DatasetReference, digits_stats: ChannelStats
) -> None:
    inputs = inputs_of(digits, digits_stats, CONVNET, OPTIMIZER)
    report = run_checklist(inputs, CoarseSettings.model_validate(searched), DEFAULTS, Said())
    gate = of(report, "searched_choices")
    assert gate.verdict == verdict
    for word in words:
        assert word in gate.measured
    assert ("not looked at: batch_size" in gate.expected) == ("batch_size" in searched)


def test_a_search_over_nothing_but_zeros_is_refused(digits: DatasetReference, digits_stats: ChannelStats) -> None:
    inputs = inputs_of(digits, digits_stats, CONVNET, OptimizerSettings(kind="adam"))
    report = run_checklist(inputs, CoarseSettings.model_validate({"init": ["zeros"]}), DEFAULTS, Said())
    assert "neurons_differ" in [gate.name for gate in report.failures]


def test_what_there_is_no_time_for_is_unknown_and_refuses_nothing(check: Check, tmp_path: Path) -> None:
    report, said = check(TWO_LAYER, checks=CheckSettings(minutes=1e-9))
    assert {gate.verdict for gate in report.gates} == {"unknown"}
    assert report.out_of_time
    assert report.probe == []
    assert "checks.minutes=1e-09" in report.gates[0].measured
    require_passed(report, said)
    stored = [check_once(str(tmp_path), "key", lambda: report, said) for _ in range(2)]
    assert "found before" not in " ".join(said)
    assert load_result(CheckReport, stored[0]).out_of_time


def test_enough_time_changes_nothing(check: Check) -> None:
    assert check(TWO_LAYER, checks=CheckSettings(minutes=1e6))[0] == check(TWO_LAYER)[0]


def test_trainings_side_by_side_find_what_one_after_the_other_does(
    digits: DatasetReference, digits_stats: ChannelStats
) -> None:
    coarse = CoarseSettings.model_validate({"init": ["he", "xavier"], "optimizer": ["sgd", "adam"]})
    setup = setup_of(inputs_of(digits, digits_stats, CONVNET, OPTIMIZER, 0), coarse, DEFAULTS)
    assert gradients_survive_a_fork()
    one, two = (run_checks(replace(setup, workers=workers), DEFAULTS, Said()) for workers in (1, 2))
    assert one == two


def test_choices_that_there_was_no_time_for_are_named(digits: DatasetReference, digits_stats: ChannelStats) -> None:
    coarse = CoarseSettings.model_validate({"init": ["he", "xavier", "orthogonal"]})
    setup = setup_of(inputs_of(digits, digits_stats, TWO_LAYER, OPTIMIZER, 0), coarse, DEFAULTS)
    found = check_searched_choices(replace(setup, deadline=-math.inf))
    assert found is not None
    assert "not looked at: init=orthogonal" in found.expected
    assert "init=xavier" not in found.expected.split("not looked at:")[1]
