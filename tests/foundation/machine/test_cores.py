import os

import pytest

from sanefit.components.foundation.machine.cores import usable_cores


@pytest.mark.parametrize(("told", "cores"), [("1", 1), ("100000", None), ("", None), ("0", None), ("a lot", None)])
def test_a_container_may_say_how_many_cores_it_has(
    told: str, cores: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", told)
    assert usable_cores() == (cores or len(os.sched_getaffinity(0)))
