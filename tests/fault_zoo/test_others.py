"""One in twelve of the set-ups in other people's style; ``make zoo`` has them all."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from families import words_of
from folders import FOLDERS
from others_faulty import FAULTY
from others_healthy import HEALTHY
from public_report import report_on_public
from public_setup import PublicSetup
from verdicts import alarms

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]

ONE_IN = 12


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    """These networks are too small to share among threads."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    made = tmp_path_factory.mktemp("others")
    yield made
    shutil.rmtree(made)


def test_the_zoo_is_large_enough() -> None:
    assert len({setup.name for setup in (*FAULTY, *HEALTHY)}) == len(FAULTY) + len(HEALTHY)
    assert len(FAULTY) >= 90
    assert len(HEALTHY) >= 80
    assert {setup.images for setup in (*FAULTY, *HEALTHY)} <= FOLDERS.keys()


@pytest.mark.filterwarnings("ignore::UserWarning")  # torch's, of what a faulty network does
@pytest.mark.parametrize("setup", FAULTY[::ONE_IN], ids=lambda setup: setup.name)
def test_a_fault_of_others_is_caught_and_its_family_named(setup: PublicSetup, folder: Path) -> None:
    report = report_on_public(setup, folder)
    said = [report] if isinstance(report, str) else [f"{gate.measured} {gate.fix}" for gate in alarms(report)]
    assert any(word in line for line in said for word in words_of(setup.families)), said


@pytest.mark.parametrize("setup", HEALTHY[::ONE_IN], ids=lambda setup: setup.name)
def test_a_sound_set_up_of_others_passes(setup: PublicSetup, folder: Path) -> None:
    report = report_on_public(setup, folder)
    assert not isinstance(report, str), report
    assert [f"{gate.name}: {gate.measured}" for gate in alarms(report)] == []
