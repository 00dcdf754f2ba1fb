from pathlib import Path

from said import Said

from sanefit.components.foundation.schemas.checks import CheckReport, GateResult
from sanefit.components.foundation.storage.results import load_result
from sanefit.components.sanity_checks.checked_before import check_once

GATE = GateResult(
    name="first_loss",
    row="L1",
    title="first loss",
    verdict="pass",
    measured="2.30",
    expected="2.30",
    reason="log 10",
    fix="none",
)


def test_checks_are_run_once_for_a_key_and_their_lines_are_said_each_time(tmp_path: Path, said: Said) -> None:
    ran = []

    def check() -> CheckReport:
        ran.append(1)
        return CheckReport(gates=[GATE], probe=[], learning_rate_band=(0.1, 1.0))

    first = check_once(str(tmp_path), "a key", check, said)
    assert said == []  # the checks themselves say them
    assert check_once(str(tmp_path), "a key", check, said) == first
    assert said == [
        "found before with the same images, network, settings and code, and not repeated:",
        "pass L1 first loss: 2.30; expected 2.30",
    ]
    assert len(ran) == 1
    assert load_result(CheckReport, first).gates == [GATE]
    check_once(str(tmp_path), "another key", check, said)
    assert len(ran) == 2
