"""One training on all GPUs of a pod: torchrun starts a process for each, which share every batch."""

import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Literal

from sanefit.components.final_training.checkpoint import MemberProgress, progress_from
from sanefit.components.foundation.errors import RunFailedError, StoppedError
from sanefit.components.foundation.machine.termination import never
from sanefit.components.foundation.schemas.bases import Artifact
from sanefit.components.foundation.schemas.final_model import FinalTrainingSettings
from sanefit.components.foundation.schemas.images import DatasetReference
from sanefit.components.foundation.schemas.networks import NetworkSettings
from sanefit.components.foundation.schemas.statistics import ChannelStats
from sanefit.components.foundation.step_lines.step_log import Say
from sanefit.components.foundation.training.checkpoints.checkpoint_pace import CHECKPOINT_SECONDS
from sanefit.components.foundation.training.loop.recipe import Recipe

SAYS = "[sanefit-says] "  # before a line that the step is to say
JOB_FILE, OUTCOME_FILE = "job.json", "outcome"
FEWEST_IMAGES = 2  # of a batch, in each process: batch norm needs two


class MemberJob(Artifact):
    """All that a process needs to know; ``seed``: of the initial weights."""

    dataset: DatasetReference
    stats: ChannelStats
    network: NetworkSettings
    recipe: Recipe
    seed: int
    final: FinalTrainingSettings
    checkpoint_uri: str
    checkpoint_seconds: float = CHECKPOINT_SECONDS
    device_type: Literal["cuda", "cpu"] = "cuda"
    precision: Literal["float32", "float64"] = "float32"


def train_with_torchrun(job: MemberJob, processes: int, say: Say, stops: Callable[[], bool] = never) -> MemberProgress:
    """Train a member with several processes, one for each GPU; they say their lines through this one.

    Raises:
        RunFailedError: when a process failed; its output is on this one's standard error.
        StoppedError: when this process is told to end, as torchrun is then.
    """
    if stops():
        raise StoppedError("before its training began: run again, or let Kubeflow try again")
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / JOB_FILE).write_text(job.model_dump_json())
        exit_status = _run(_command(processes, folder), say, stops)
        if exit_status and stops():
            raise StoppedError(
                "in training; what the lines above say is kept: run again, or let Kubeflow try again, and the training "
                "goes on from there"
            )
        if exit_status:
            raise RunFailedError(
                f"the final training on {processes} GPUs ended with exit status {exit_status}; expected 0; "
                "the lines above say why; with cluster.gpus=1 it runs on one"
            )
        return progress_from((Path(folder) / OUTCOME_FILE).read_bytes())


def useful_processes(processes: int, images: int, batch_size: int) -> int:
    """At most so many that each gets two images of every batch."""
    smallest_batch = images // -(-images // batch_size)
    return max(1, min(processes, smallest_batch // FEWEST_IMAGES))


def _command(processes: int, folder: str) -> list[str]:
    worker = ["-m", "sanefit.components.final_training.distributed", folder]
    return [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}", *worker]


def _run(command: list[str], say: Say, stops: Callable[[], bool]) -> int:
    """Run torchrun to its end. Should this process be killed, the next line breaks the pipe and ends the workers."""
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as torchrun:
        try:
            assert torchrun.stdout is not None
            if stops():  # it came when there was nobody yet to pass it on to
                torchrun.terminate()
            for line in torchrun.stdout:
                if line.startswith(SAYS):
                    say(line.removeprefix(SAYS).rstrip("\n"))
                else:
                    print(line, end="", file=sys.stderr, flush=True)
        except BaseException:
            torchrun.terminate()  # it ends its workers
            raise
    return torchrun.returncode
