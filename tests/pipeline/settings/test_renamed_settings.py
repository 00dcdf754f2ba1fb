"""Old spellings are taken, and the user is told the new ones, on every way into a configuration."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from sanefit.components.foundation.errors import SettingsError
from sanefit.pipeline.commands.main import app
from sanefit.pipeline.settings.renamed_settings import with_new_spellings
from sanefit.pipeline.settings.run_config import DEFAULT_CONFIG, load_config

OLD = "checks.skip=[inputs_normalised, modes, regularisation]"
SAID = [
    "sanefit: warning: checks.skip: 'inputs_normalised' is an old spelling; write 'inputs_normalized'",
    "sanefit: warning: checks.skip: 'regularisation' is an old spelling; write 'regularization'",
]
NEW = {"inputs_normalised": "inputs_normalized", "regularisation": "regularization"}


def test_old_names_of_checks_are_taken_with_a_line_each(capsys: pytest.CaptureFixture[str]) -> None:
    config = load_config(DEFAULT_CONFIG, [OLD])
    assert config.checks.skip == ("inputs_normalized", "modes", "regularization")
    captured = capsys.readouterr()
    assert (captured.out, captured.err.splitlines()) == ("", SAID)


def test_they_are_taken_from_a_file_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(DEFAULT_CONFIG.read_text() + "\nchecks: {skip: [regularisation]}\n")
    assert load_config(path).checks.skip == ("regularization",)
    assert capsys.readouterr().err.splitlines() == SAID[1:]


def test_new_names_need_no_warning(capsys: pytest.CaptureFixture[str]) -> None:
    load_config(DEFAULT_CONFIG, ["checks.skip=[inputs_normalized, regularization]"])
    assert capsys.readouterr().err == ""


def test_a_name_that_never_was_is_refused() -> None:
    with pytest.raises(SettingsError, match=r"checks\.skip\.0='normalised': input should be 'labels'"):
        load_config(DEFAULT_CONFIG, ["checks.skip=[normalised]"])


@pytest.mark.slow
@pytest.mark.parametrize("command", ["compile", "stats"])
def test_with_json_stdout_stays_one_json_line(command: str, tmp_path: Path, image_folder: Callable[..., Path]) -> None:
    output = ["-o", str(tmp_path / "pipeline.yaml")] if command == "compile" else []
    source = f"data.source=folder:{image_folder({'cat': 3, 'dog': 3})}"
    ran = CliRunner().invoke(app, [command, *output, "--json", "--set", OLD, "--set", source])
    assert ran.exit_code == 0
    [line] = ran.stdout.splitlines()
    assert json.loads(line)["status"] == "succeeded"
    assert [said for said in ran.stderr.splitlines() if said.startswith("sanefit: warning")] == SAID


PLAIN = st.recursive(
    st.none() | st.integers() | st.sampled_from(["labels", *NEW]) | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["checks", "skip", "x"]), inner),
    max_leaves=6,
)


@given(
    values=st.dictionaries(st.sampled_from(["checks", "network"]), PLAIN),
    skip=st.lists(st.sampled_from([*NEW, "labels"])),
)
def test_nothing_but_the_names_of_skipped_checks_changes(values: dict[str, Any], skip: list[str]) -> None:
    untouched = json.dumps(values)
    renamed, _ = with_new_spellings(values)
    assert json.dumps(values) == untouched
    assert renamed.get("network") == values.get("network")
    renamed, said = with_new_spellings({**values, "checks": {"skip": skip, "x": skip}})
    assert renamed["checks"] == {"skip": [NEW.get(name, name) for name in skip], "x": skip}
    assert len(said) == sum(name in NEW for name in skip)
