"""Trainings that are killed and go on; files that are damaged; how often is written."""

import itertools
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from foundation.conftest import s3, s3_server  # noqa: F401
from hypothesis import given
from hypothesis import strategies as st
from said import Said
from torch import Tensor

from sanefit.components.final_training import checkpoint as checkpoint_module
from sanefit.components.final_training.checkpoint import (
    Checkpoint,
    MemberProgress,
    checkpoint_uri,
    progress_bytes,
    progress_from,
)
from sanefit.components.foundation.errors import StorageError
from sanefit.components.foundation.schemas.images import DatasetReference
from sanefit.components.foundation.schemas.runs import RunReference
from sanefit.components.foundation.schemas.statistics import ChannelStats
from sanefit.components.foundation.schemas.training import EpochRecord
from sanefit.components.foundation.tracking.connection import connect
from sanefit.components.foundation.tracking.runs import open_run
from sanefit.components.foundation.training.loop.training_state import TrainingState

pytestmark = pytest.mark.slow

PROGRAM = Path(__file__).parent / "train_until_killed.py"
RunInProcess = Callable[..., tuple[int, list[str]]]
KILLED_AT = ["Finished epoch 3", "member 2 of 2", "Finished epoch 1", "Finished epoch 4"]


@pytest.fixture
def run_in_process(digits: DatasetReference, digits_stats: ChannelStats, tmp_path: Path) -> RunInProcess:
    """Train in a storage of this name, until a line is said; the exit status and all lines."""
    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"

    def run(name: str, until: str, number: str = "SIGKILL") -> tuple[int, list[str]]:
        folder = tmp_path / name
        if not folder.exists():
            folder.mkdir()
            run_id = open_run(
                connect(uri),
                experiment="killed",
                artifact_location=str(folder),
                run_name=name,
                tags={},
                params={},
            )
            reference = RunReference(run_name=name, storage=str(folder), tracking_uri=uri, tracking_run_id=run_id)
            (folder / "run.json").write_text(reference.model_dump_json())
            (folder / "dataset.json").write_text(digits.model_dump_json())
            (folder / "stats.json").write_text(digits_stats.model_dump_json())
        command = [sys.executable, PROGRAM, folder, until, number]
        ended = subprocess.run(command, stdout=subprocess.PIPE, text=True, timeout=300, check=False)
        return ended.returncode, ended.stdout.splitlines()

    return run


def weights_in(folder: Path) -> list[dict[str, Tensor]]:
    members: list[dict[str, Tensor]] = torch.load(next(folder.glob("runs/*/weights.pt")), weights_only=True)
    return members


def test_a_training_killed_again_and_again_gives_the_weights_of_an_undisturbed_one(
    run_in_process: RunInProcess, tmp_path: Path
) -> None:
    """In the first member, between the members, and twice in the second; each process goes on where the last was."""
    exit_status, undisturbed = run_in_process("undisturbed", "")
    assert exit_status == 0
    said = []
    for line in KILLED_AT:
        exit_status, lines = run_in_process("killed", line)
        assert exit_status == -signal.SIGKILL, lines
        assert list((tmp_path / "killed").glob("checkpoints/**/*.pt")), line
        said.append(lines)
    exit_status, lines = run_in_process("killed", "")
    assert exit_status == 0
    said.append(lines)

    assert "goes on after batch 10 of epoch 3 of a training that was interrupted" in said[1]
    assert all("finished before, after 4 epochs" in lines for lines in said[2:])
    assert not any(line.startswith("Finished epoch 1") for line in said[4])
    assert said[4][-1] == undisturbed[-1]
    expected, members = weights_in(tmp_path / "undisturbed"), weights_in(tmp_path / "killed")
    assert len(members) == len(expected) == 2
    for member, other in zip(members, expected, strict=True):
        assert all(torch.equal(member[name], value) for name, value in other.items())
    for name in ("killed", "undisturbed"):
        assert list((tmp_path / name).glob("checkpoints/**/*.pt")) == []


def test_a_training_told_to_end_goes_on_after_its_last_batch(run_in_process: RunInProcess, tmp_path: Path) -> None:
    """In mid-epoch, with no checkpoint but the one for the signal; then as if it had never been told."""
    _, undisturbed = run_in_process("undisturbed", "", "SIGTERM")
    exit_status, said = run_in_process("told", "27", "SIGTERM")
    assert exit_status == 1
    assert said[-1] == (
        "told to end (SIGTERM) after batch 5 of epoch 3; a checkpoint is kept: run again, or let Kubeflow try again, "
        "and the training goes on from there"
    )
    assert list((tmp_path / "told").glob("checkpoints/**/*.pt"))
    exit_status, rest = run_in_process("told", "", "SIGTERM")
    assert exit_status == 0
    start = said.index(next(line for line in said if line.startswith("Finished epoch 1")))
    goes_on = "goes on after batch 5 of epoch 3 of a training that was interrupted"
    place = rest.index(goes_on)
    assert [*said[start : start + 2], *rest[place + 1 :]] == undisturbed[start:]
    expected, members = weights_in(tmp_path / "undisturbed"), weights_in(tmp_path / "told")
    for member, other in zip(members, expected, strict=True):
        assert all(torch.equal(member[name], value) for name, value in other.items())


def some_progress(epochs: int = 2, values: float = 1.0) -> MemberProgress:
    weights = {"output.weight": torch.full((2, 3), values)}
    records = [
        EpochRecord(
            epoch=epoch,
            learning_rate=0.1,
            train_loss=1.0 / epoch,
            train_accuracy=0.5,
            validation_loss=None,
            validation_accuracy=0.25,
        )
        for epoch in range(1, epochs + 1)
    ]
    slots = {"momentum_buffer": {"output.weight": torch.full((2, 3), values / 3)}}
    state = TrainingState(epochs, 7 * epochs, weights, slots, {"n_averaged": torch.tensor(5)})
    return MemberProgress(records, 1, weights, state)


def state_of(progress: MemberProgress) -> TrainingState:
    assert progress.state is not None
    return progress.state


@pytest.fixture(params=["local", "s3"])
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return str(tmp_path) if request.param == "local" else f"{request.getfixturevalue('s3')}/{tmp_path.name}"


def test_progress_is_read_as_it_was_written(said: Said, storage: str) -> None:
    progress = some_progress()
    checkpoint = Checkpoint(checkpoint_uri(storage, "a training"), said)
    assert checkpoint.read() is None
    checkpoint.write(progress)
    read = checkpoint.read()
    assert read is not None
    assert (read.records, read.best_epoch, read.best) == (progress.records, 1, progress.records[0])
    state, expected = state_of(read), state_of(progress)
    assert (state.epochs, state.steps) == (2, 14)
    for values, others in (
        (read.best_weights, progress.best_weights),
        (state.weights, expected.weights),
        (state.slots["momentum_buffer"], expected.slots["momentum_buffer"]),
        (state.averaged, expected.averaged),
    ):
        assert values.keys() == others.keys()
        assert all(torch.equal(values[name], value) for name, value in others.items())
    assert said == []


CONTENT = progress_bytes(some_progress())


@given(st.integers(0, len(CONTENT) - 1), st.integers(1, 255), st.booleans())
def test_no_damage_goes_unseen(place: int, change: int, is_cut: bool) -> None:
    content = CONTENT[:place] if is_cut else CONTENT[:place] + bytes([CONTENT[place] ^ change]) + CONTENT[place + 1 :]
    with pytest.raises(ValueError, match="digest"):
        progress_from(content)


def test_a_damaged_checkpoint_is_said_and_training_begins_anew(said: Said, tmp_path: Path) -> None:
    path = tmp_path / "one.pt"
    path.write_bytes(CONTENT[:-1])
    assert Checkpoint(str(path), said).read() is None
    [line] = said
    assert line.startswith(f"warning: the checkpoint {path} is damaged")
    assert line.endswith("training begins anew")


def test_storage_that_refuses_is_said_and_training_goes_on(said: Said, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object) -> None:
        raise StorageError("no space is left")

    monkeypatch.setattr(checkpoint_module.object_store, "write_bytes", refused)
    Checkpoint("/somewhere", said).write(some_progress())
    assert said == ["warning: no space is left; the training goes on, and would begin anew if it were interrupted"]


@pytest.mark.parametrize(("write_seconds", "expected"), [(0.0, 10.0), (0.125, 10.0), (3.0, 60.0)])
def test_writing_takes_less_than_a_twentieth_of_the_time(
    said: Said, monkeypatch: pytest.MonkeyPatch, write_seconds: float, expected: float
) -> None:
    """Epochs of one second for ten minutes; ``expected``: seconds from the end of a writing to the next."""
    now, written = 0.0, []

    def slow(*_: object) -> None:
        nonlocal now
        began, now = now, now + write_seconds
        written.append((began, now))

    monkeypatch.setattr(checkpoint_module.object_store, "write_bytes", slow)
    checkpoint = Checkpoint("/somewhere", said, clock=lambda: now, seconds=10.0)
    progress = some_progress()
    while now < 600:
        now += 1.0
        checkpoint.offer(progress, lambda: state_of(progress))
    assert written[0][0] == 10.0
    waits = [later[0] - earlier[1] for earlier, later in itertools.pairwise(written)]
    assert all(expected <= wait < expected + 1 for wait in waits)
    assert len(waits) >= 8
    assert sum(ended - began for began, ended in written) <= 0.05 * now


def test_another_process_of_the_training_writes_and_says_nothing(said: Said, tmp_path: Path) -> None:
    path = tmp_path / "one.pt"
    checkpoint = Checkpoint(str(path), said, clock=lambda: 0.0, seconds=0.0, writes=False)
    checkpoint.write(some_progress())
    checkpoint.offer(some_progress(), lambda: state_of(some_progress()))
    assert not path.exists()
    path.write_bytes(b"damaged")
    assert checkpoint.read() is None
    assert said == []


def test_the_name_depends_on_everything_that_determines_the_training() -> None:
    names = [checkpoint_uri("/storage", *what) for what in (["a"], ["b"], ["a", 1], ["a", {"rate": 0.1}])]
    assert len(set(names)) == 4
    assert names[0] == checkpoint_uri("/storage", "a")
    assert all(name.startswith("/storage/checkpoints/") and name.endswith(".pt") for name in names)
