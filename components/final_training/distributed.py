"""A process among several that train one network; torchrun starts it with the folder of its job."""

import os
import sys
from datetime import timedelta
from pathlib import Path

import torch
from torch import distributed

from sanefit.components.final_training.checkpoint import Checkpoint, MemberProgress, progress_bytes
from sanefit.components.final_training.member_training import train_member
from sanefit.components.final_training.torchrun import JOB_FILE, OUTCOME_FILE, SAYS, MemberJob
from sanefit.components.foundation.errors import StoppedError
from sanefit.components.foundation.image_dataset.batches import BatchPart
from sanefit.components.foundation.image_dataset.shards import read_manifest
from sanefit.components.foundation.machine.arithmetic import arithmetic_of
from sanefit.components.foundation.machine.parallel_work import end_with_parent
from sanefit.components.foundation.machine.termination import is_asked_to_stop, listen_for_sigterm
from sanefit.components.foundation.training.loop.several_processes import highest_of_all
from sanefit.components.foundation.training.stacks.kept_features import training_data_for
from sanefit.components.foundation.training.stacks.trial import Problem

PATIENCE = timedelta(hours=1)  # with another process, which may be validating or writing a checkpoint


def run_worker(folder: Path, part: BatchPart, local_rank: int) -> None:
    """Train this process's part of each batch; the first process leaves the outcome in the folder."""
    job = MemberJob.model_validate_json((folder / JOB_FILE).read_text())
    device = torch.device("cuda", local_rank) if job.device_type == "cuda" else torch.device("cpu")
    if device.type == "cuda":
        torch.cuda.set_device(device)
    distributed.init_process_group("nccl" if device.type == "cuda" else "gloo", timeout=PATIENCE)
    try:
        progress = _train(job, part, device)
    except StoppedError as error:
        if part.rank == 0:
            _say(str(error))
        raise SystemExit(error.exit_status) from None
    finally:
        distributed.destroy_process_group()
    if part.rank == 0:
        (folder / OUTCOME_FILE).write_bytes(progress_bytes(progress))


def _train(job: MemberJob, part: BatchPart, device: torch.device) -> MemberProgress:
    manifest = read_manifest(job.dataset)
    problem = Problem(manifest.image_shape, len(manifest.class_names), job.stats, device, getattr(torch, job.precision))
    frozen = job.recipe.freeze_epochs > 0
    data = training_data_for(job.dataset, manifest, job.network, problem, _say_nothing, frozen=frozen)
    say = _say if part.rank == 0 else _say_nothing
    checkpoint = Checkpoint(
        job.checkpoint_uri,
        say,
        seconds=job.checkpoint_seconds,
        writes=part.rank == 0,
        stops=is_asked_to_stop,
        agree=lambda wanted: highest_of_all(wanted, part, device),
    )
    arithmetic = arithmetic_of(job.network, device, mixed_precision=job.final.mixed_precision, scaled=True)
    with arithmetic.in_force():
        return train_member(
            problem.classifier_of(job.network, job.seed),
            data,
            job.recipe,
            job.final,
            checkpoint,
            say=say,
            arithmetic=arithmetic,
            part=part,
        )


def _say(text: str) -> None:
    print(SAYS + text, flush=True)


def _say_nothing(_: str) -> None:
    """Another process says it."""


if __name__ == "__main__":
    end_with_parent()  # when torchrun is killed, nobody stays at work
    listen_for_sigterm()
    own_part = BatchPart(int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"]))
    run_worker(Path(sys.argv[1]), own_part, int(os.environ["LOCAL_RANK"]))
