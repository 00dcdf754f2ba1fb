"""What the documents tell users to type exists: commands, options, targets, files, keys."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
import typer.main
import yaml

from sanefit.pipeline.commands.main import app
from sanefit.pipeline.settings.cluster_settings import ClusterSettings
from sanefit.pipeline.settings.run_config import DEFAULT_CONFIG, load_config

ROOT = Path(__file__).parents[2]
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)


def blocks(language: str) -> list[str]:
    return [body for path in DOCUMENTS for kind, body in BLOCK.findall(path.read_text()) if kind == language]


def commands(program: str) -> list[list[str]]:
    """The words behind a program's name, wherever a line of a block calls it."""
    lines = "".join(blocks("")).replace("\\\n", " ").splitlines()
    split = [shlex.split(line, comments=True) for line in lines if re.match(rf"(\.venv/bin/)?{program} ", line)]
    assert split, f"no document calls {program}"
    return [words[1:] for words in split]


def command_of(words: list[str]) -> tuple[click.Command, list[str]]:
    """The command that the first words name, and what is left of them."""
    found: click.Command = typer.main.get_command(app)
    while isinstance(found, click.Group) or hasattr(found, "commands"):
        found, words = found.commands[words[0]], words[1:]
    return found, words


@pytest.mark.parametrize("words", commands("sanefit"), ids=" ".join)
def test_a_documented_command_can_be_parsed(words: list[str]) -> None:
    command, arguments = command_of(words)
    assert command.make_context(command.name, arguments, resilient_parsing=False).params


def documented_settings() -> list[list[str]]:
    """The ``--set`` of each documented run of the default configuration."""
    runs = [words[1:] for words in commands("sanefit") if words[:1] == ["run"] and set(words[1::2]) == {"--set"}]
    return [words[1::2] for words in runs]


@pytest.mark.parametrize("overrides", documented_settings(), ids=" ".join)
def test_documented_settings_are_valid(overrides: list[str]) -> None:
    load_config(DEFAULT_CONFIG, overrides)


def test_documented_targets_exist() -> None:
    targets = re.findall(r"^([a-z0-9-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert sorted(set(targets)) == sorted(targets), "a target is defined twice"
    texts = [path.read_text() for path in [*DOCUMENTS, ROOT / "CHANGELOG.md", ROOT / ".ci" / "run"]]
    named = {name for text in texts for name in re.findall(r"(?:^|`)make ([a-z0-9-]+)", text, re.MULTILINE)}
    assert {"run", "test", "check", "k8s-check", "test-containers"} <= named <= set(targets)


def paths_given_to_kubectl() -> Iterator[str]:
    for words in commands("kubectl"):
        yield from (word for word in words if word.startswith("k8s/"))


def test_documented_manifests_exist() -> None:
    named = set(paths_given_to_kubectl())
    assert len(named) >= 4
    assert [path for path in named if not (ROOT / path).exists()] == []


def test_documented_sections_are_valid() -> None:
    sections = [found["cluster"] for block in blocks("yaml") if "cluster" in (found := yaml.safe_load(block))]
    assert len(sections) == 5
    for section in sections:
        if "images" in section:
            section["images"]["trainer"] = section["images"]["trainer"].replace("…", "0" * 64)
        assert ClusterSettings.model_validate(section)
    assert sum("tracking_uri" in section for section in sections) == 2
