"""Every fault is caught and named, and no healthy set-up is refused."""

from pathlib import Path

import pytest
from faults import FAULTS, Fault
from healthy import Healthy, healthy
from verdicts import alarms, named_by, report_on
from zoo_data import cifar10

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("one_thread")]

TOO_SLOW = {"torchvision_resnet18"}  # over a minute: make bench-checks has it


def test_the_zoo_is_large_enough() -> None:
    assert len({fault.name for fault in FAULTS}) == len(FAULTS) >= 25
    assert len(healthy()) >= 25


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_a_fault_is_caught_and_its_family_named(fault: Fault) -> None:
    gates = named_by(report_on(fault.make), fault.family)
    assert gates, f"no check says any of {fault.family}"
    for gate in gates:
        assert any(character.isdigit() for character in gate.measured + gate.expected), "no number"
        assert gate.expected
        assert gate.reason
        assert gate.fix


@pytest.mark.parametrize("sound", [h for h in healthy() if h.name not in TOO_SLOW], ids=lambda h: h.name)
def test_a_healthy_set_up_passes_every_check(sound: Healthy) -> None:
    report = report_on(sound.make)
    assert [f"{gate.name}: {gate.measured}" for gate in alarms(report)] == []
    assert report.learning_rate_band is not None


@pytest.mark.parametrize("name", ["lecture", "convnet", "plain_network_of_a_user"])
def test_real_photographs_pass_too(name: str, cifar10_archive: Path) -> None:
    [sound] = [h for h in healthy(cifar10(cifar10_archive)) if h.name == name]
    assert [f"{gate.name}: {gate.measured}" for gate in alarms(report_on(sound.make))] == []
