import pytest
from hypothesis import given
from hypothesis import strategies as st
from said import Said

from sanefit.components.foundation.errors import ChecksFailedError
from sanefit.components.foundation.schemas.checks import CheckReport, GateResult
from sanefit.components.sanity_checks.gate import require_passed


def gate(row: str, verdict: str) -> GateResult:
    return GateResult.model_validate(
        {
            "name": "overfit",
            "row": row,
            "title": "a title",
            "verdict": verdict,
            "measured": f"{row} measured 12.3456",
            "expected": f"{row} expected 2.3026",
            "reason": f"{row} reason",
            "fix": f"set {row}",
        }
    )


def report_of(verdicts: list[str]) -> CheckReport:
    gates = [gate(f"G{number}", verdict) for number, verdict in enumerate(verdicts)]
    return CheckReport(gates=gates, probe=[], learning_rate_band=None)


@given(st.lists(st.sampled_from(["pass", "warn", "skip", "fail"]), min_size=1, max_size=6))
def test_the_run_stops_exactly_when_a_check_failed_and_says_which_in_one_line(verdicts: list[str]) -> None:
    said = Said()
    if "fail" not in verdicts:
        require_passed(report_of(verdicts), said)
        assert said[-1].startswith(f"open: {verdicts.count('pass')} of {len(verdicts)} checks hold")
        assert ("skipped by checks.skip: overfit" in said[-1]) == ("skip" in verdicts)
        warned = [f"G{number}" for number, verdict in enumerate(verdicts) if verdict == "warn"]
        assert [line.split()[1] for line in said[:-1]] == warned
        assert all(f"set {row}" in line for row, line in zip(warned, said, strict=False))
        return
    with pytest.raises(ChecksFailedError) as caught:
        require_passed(report_of(verdicts), said)
    message = str(caught.value)
    assert said == []
    assert caught.value.exit_status == 1
    assert len(message.splitlines()) == 1
    for number, verdict in enumerate(verdicts):
        parts = (
            f"G{number} measured 12.3456",
            f"expected G{number} expected 2.3026",
            f"G{number} reason",
            f"set G{number}",
        )
        assert all((part in message) == (verdict == "fail") for part in parts)
