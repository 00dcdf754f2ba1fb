"""Runs that several tests look at."""

from pathlib import Path

import pytest
from command_line import SMALL, Command, sanefit


@pytest.fixture(scope="session")
def workdir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("work") / "sanefit-runs"


@pytest.fixture(scope="session")
def first_run(workdir: Path) -> Command:
    """The whole pipeline on digits, small."""
    return sanefit("run", "--json", "--workdir", str(workdir), sets=SMALL)


@pytest.fixture(scope="session")
def second_run(first_run: Command, workdir: Path) -> Command:
    """The same once more, in the same work directory."""
    assert first_run.status == 0
    return sanefit("run", "--json", "--workdir", str(workdir), sets=SMALL)
