"""One in twelve of the set-ups in other people's style; ``make zoo`` has them all."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from folders import FOLDERS
from others_faulty import FAULTY
from others_healthy import HEALTHY
from public_report import is_named, report_on_public, said_of
from public_setup import PublicSetup

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200), pytest.mark.usefixtures("one_thread")]

ONE_IN = 12


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    made = tmp_path_factory.mktemp("others")
    yield made
    shutil.rmtree(made)


def test_the_zoo_is_large_enough() -> None:
    assert len({setup.name for setup in (*FAULTY, *HEALTHY)}) == len(FAULTY) + len(HEALTHY)
    assert len(FAULTY) >= 90
    assert len(HEALTHY) >= 90
    assert {setup.images for setup in (*FAULTY, *HEALTHY)} <= FOLDERS.keys()


@pytest.mark.filterwarnings("ignore::UserWarning")  # torch's, of what a faulty network does
@pytest.mark.parametrize("setup", FAULTY[::ONE_IN], ids=lambda setup: setup.name)
def test_a_fault_of_others_is_caught_and_its_family_named(setup: PublicSetup, folder: Path) -> None:
    said = said_of(report_on_public(setup, folder))
    assert is_named(setup, said), said


@pytest.mark.parametrize("setup", HEALTHY[::ONE_IN], ids=lambda setup: setup.name)
def test_a_sound_set_up_of_others_passes(setup: PublicSetup, folder: Path) -> None:
    assert said_of(report_on_public(setup, folder)) == []
