"""What is said of a local run in which a step ended without saying why."""

from pathlib import Path

import pytest

from sanefit.components.foundation.step_lines.line_forms import StepTiming
from sanefit.pipeline.local.local_run import LOG_FILE, LocalOutcome
from sanefit.pipeline.local.run_results import of_training

ENDED = StepTiming("stats", process_started=0.0, started=0.0, ended=1.0)


@pytest.mark.parametrize(
    ("log", "said"),
    [
        (
            "[sanefit stats] mean 1\n[sanefit coarse pack 2] a trial\n\n",
            "coarse pack 2: its process was killed",
        ),
        ("[sanefit stats] mean 1\nKeyError: 'x'\n", "a step ended without a word: KeyError: 'x'"),
        ("[sanefit stats] mean 1\n", "a step ended without a word: no error in its output"),
    ],
)
def test_a_step_that_was_killed_is_told_from_one_that_raised(log: str, said: str, tmp_path: Path) -> None:
    (tmp_path / LOG_FILE).write_text(log)
    result = of_training(LocalOutcome(False, None, [ENDED], tmp_path, tmp_path), 0.0, 1.0)
    assert result["status"] == "failed"
    assert result["error"].startswith(said)
    assert str(tmp_path / LOG_FILE) in result["error"]
