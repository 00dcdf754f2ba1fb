"""Each member trained where the machine allows: in this process, or with one process for each GPU."""

import hashlib
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import cached_property

import torch

from sanefit.components.final_training.batch_norm import reestimate_batch_norm
from sanefit.components.final_training.checkpoint import Checkpoint, MemberProgress, checkpoint_uri
from sanefit.components.final_training.member_training import train_member
from sanefit.components.final_training.members import Member
from sanefit.components.final_training.torchrun import MemberJob, train_with_torchrun, useful_processes
from sanefit.components.foundation.classifiers.classifier import Classifier
from sanefit.components.foundation.identity.code import digest_of_own_code
from sanefit.components.foundation.identity.training_identity import TrainingIdentity, identify_trainings, settings_of
from sanefit.components.foundation.machine.arithmetic import Arithmetic, arithmetic_of
from sanefit.components.foundation.machine.devices import CPU, visible_devices
from sanefit.components.foundation.schemas.final_model import FinalTrainingSettings
from sanefit.components.foundation.schemas.images import DatasetReference
from sanefit.components.foundation.schemas.search import TrialSetting
from sanefit.components.foundation.schemas.training import EpochRecord
from sanefit.components.foundation.step_lines.step_log import Say
from sanefit.components.foundation.storage import object_store
from sanefit.components.foundation.training.checkpoints.checkpoint_pace import AT_ANY_MOMENT, Interruptions
from sanefit.components.foundation.training.loop.training_data import TrainingData
from sanefit.components.foundation.training.loop.training_images import Images
from sanefit.components.foundation.training.stacks.trial import Problem

TRAINS_A_MEMBER = "sanefit.components.final_training.member_runs"


@dataclass(frozen=True)
class Workers:
    """Where a member is trained; ``processes`` above 1: of torchrun, each with a GPU, or in tests a share of a CPU."""

    device: torch.device = CPU
    processes: int = 1


def visible_workers() -> Workers:
    """One for each GPU that this process can see, else this process."""
    devices = visible_devices()
    return Workers(devices[0], len(devices))


@dataclass(frozen=True)
class TrainedMember:
    """A member as it was after its ``best`` epoch, on the device; ``checkpoint_uri``: where it also is by now.

    ``frozen_epochs``: its first ones, in which only its new part was trained.
    """

    setting: TrialSetting
    classifier: Classifier
    records: list[EpochRecord]
    best: EpochRecord
    checkpoint_uri: str
    frozen_epochs: int = 0

    def reestimate_batch_norm(self, pixels: Images) -> None:
        """Over the training images, uint8 (images, height, width, channels), in place.

        Not where the best epoch was a frozen one: its averages are those that its other weights were given with.
        """
        if self.best.epoch > self.frozen_epochs:
            reestimate_batch_norm(self.classifier, pixels)


@dataclass(frozen=True)
class MemberRuns:
    """What the runs of all members share.

    ``training_images``: how many there are. ``data``: reads both splits, once, when it is first asked. ``storage``: of
    the run, where checkpoints are kept. ``part``: of the training split, where it is not all of it.
    """

    dataset: DatasetReference
    training_images: int
    problem: Problem
    final: FinalTrainingSettings
    storage: str
    workers: Workers
    data: Callable[[], TrainingData]
    say: Say
    clock: Callable[[], float] = time.time
    interruptions: Interruptions = AT_ANY_MOMENT
    part: str = ""

    def train(self, member: Member) -> TrainedMember | None:
        """Train a member and load its best epoch; None when it diverged from the first epoch on.

        Raises:
            StoppedError: when the process is told to end; a checkpoint is kept.
        """
        classifier = self.problem.classifier(member.trial)
        uri = checkpoint_uri(self.storage, self.identity(member).digest, _digest(classifier))
        progress = self._progress(member, classifier, uri)
        if progress.best is None:
            object_store.remove(uri)
            return None
        if progress.records[-1].train_loss is None or progress.records[-1].validation_loss is None:
            self.say(f"warning: diverged in epoch {len(progress.records)}; epoch {progress.best_epoch} is kept")
        classifier.network.load_state_dict(dict(progress.best_weights))
        frozen = member.trial.recipe.freeze_epochs
        return TrainedMember(member.setting, classifier, progress.records, progress.best, uri, frozen)

    def identity(self, member: Member) -> TrainingIdentity:
        """What determines a member's training.

        Raises:
            SettingsError, StorageError: as ``identify_trainings``.
        """
        network, stats = member.trial.network, self.problem.stats
        shared = identify_trainings(
            self.dataset.fingerprint, stats, network, code=self._code, arithmetic=str(self._arithmetic(member))
        )
        return shared.of(
            member.trial.seed,
            settings_of(network),
            asdict(member.trial.recipe),
            self.final.model_dump(mode="json", exclude={"ensemble", "label_errors"}),  # neither changes it
            self._processes(member),
            self.part,
        )

    @cached_property
    def _code(self) -> str:
        return digest_of_own_code(TRAINS_A_MEMBER)

    def _progress(self, member: Member, classifier: Classifier, uri: str) -> MemberProgress:
        if (processes := self._processes(member)) > 1:
            if member.trial.recipe.freeze_epochs:
                self.data()  # one process computes the features that all of them read
            self.say(f"{processes} processes share each batch")
            return train_with_torchrun(self._job(member, uri), processes, self.say, self.interruptions.stops)
        seconds, stops = self.interruptions.checkpoint_seconds, self.interruptions.stops
        checkpoint = Checkpoint(uri, self.say, self.clock, seconds, stops=stops)
        return train_member(
            classifier,
            self.data(),
            member.trial.recipe,
            self.final,
            checkpoint,
            say=self.say,
            arithmetic=self._arithmetic(member),
        )

    def _arithmetic(self, member: Member) -> Arithmetic:
        mixed = self.final.mixed_precision
        return arithmetic_of(member.trial.network, self.workers.device, mixed_precision=mixed, scaled=True)

    def _processes(self, member: Member) -> int:
        return useful_processes(self.workers.processes, self.training_images, member.trial.recipe.batch_size)

    def _job(self, member: Member, uri: str) -> MemberJob:
        return MemberJob(
            dataset=self.dataset,
            stats=self.problem.stats,
            network=member.trial.network,
            recipe=member.trial.recipe,
            seed=member.trial.seed,
            final=self.final,
            checkpoint_uri=uri,
            checkpoint_seconds=self.interruptions.checkpoint_seconds,
            device_type="cuda" if self.workers.device.type == "cuda" else "cpu",
        )


def _digest(classifier: Classifier) -> str:
    """SHA-256, in hex, of every value of a classifier, with its name and shape.

    No source tells when a library that a user's module is built from makes another network now; a checkpoint of the old
    one would not fit.
    """
    digest = hashlib.sha256()
    for name, value in sorted(classifier.state_dict().items()):
        digest.update(f"{name} {value.dtype} {tuple(value.shape)}\0".encode())
        digest.update(value.detach().cpu().reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()
