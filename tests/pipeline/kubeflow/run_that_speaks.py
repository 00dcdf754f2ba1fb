"""A run of two stages that says of itself what real steps say, in the code with which they say it."""

import gc
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field

from stopped_clock import Clock

from sanefit.components.foundation.errors import ChecksFailedError
from sanefit.components.foundation.schemas.run_record import PackProgress
from sanefit.components.foundation.schemas.runs import Registration, RunReference
from sanefit.components.foundation.step_lines.step_log import running_step
from sanefit.components.foundation.step_lines.step_recording import SECONDS
from sanefit.components.foundation.storage.layout import Storage
from sanefit.components.foundation.storage.results import store_result
from sanefit.components.foundation.tracking.connection import connect
from sanefit.components.foundation.tracking.run_record import mirror_run_record
from sanefit.components.hyperparameter_search.pack.trial_log import log_progress

PACKS = 2
LOOKS = 3  # at packs that are as far as they were
REASON = "the network failed the checks, no trial was started: W1 identical neurons; set network.init=he"
REGISTRATION = Registration(
    model_name="digits",
    model_version="7",
    model_uri="models:/digits/7",
    alias="champion",
    test_accuracy=0.9722,
    champion_version_before="6",
    reason="better by 0.0100",
)


@dataclass
class SpeakingRun:
    """``reference``: where it keeps its record. Each ``next`` of ``steps`` goes on a little."""

    reference: RunReference
    clock: Clock
    trials: dict[str, int] = field(default_factory=lambda: {"coarse": 20, "fine": 10})

    def whole(self) -> Iterator[None]:
        """From the page of the checks to the closing."""
        yield from self.step("first report")
        yield from self.step("gate")
        for stage in ("coarse", "fine"):
            yield from self.step(f"{stage} plan")
            yield from self.packs(stage)
            yield from self.step(f"{stage} rank")
        yield from self.step("train", "Finished epoch 3 / 8: validation_accuracy: 0.9700")
        yield from self.step("register")
        store_result(Storage(self.reference.storage).run(self.reference.run_name).registration, REGISTRATION)
        yield from self.step("report")
        yield from self.step("close run")

    def stopped_at_the_gate(self) -> None:
        """The page of the checks, and the gate."""
        for _ in self.step("first report"):
            pass
        try:
            with running_step("gate", self.reference.model_dump_json(), self.clock):
                raise ChecksFailedError(REASON)
        except SystemExit:
            gc.unfreeze()
        self.mirror()

    def step(self, name: str, said: str = "") -> Iterator[None]:
        """A step that begins, says something, and ends."""
        with running_step(name, self.reference.model_dump_json(), self.clock) as say:
            self.clock.now += SECONDS
            if said:
                say(said)
            self.mirror()
            yield
        gc.unfreeze()
        self.mirror()
        yield

    def packs(self, stage: str) -> Iterator[None]:
        """All packs of a stage, side by side."""
        with ExitStack() as running:
            for pack in range(PACKS):
                running.enter_context(running_step(f"{stage} pack {pack + 1}", self.json, self.clock))
            for share in (0.0, 0.5, 1.0):
                self.clock.now += 60
                for pack in range(PACKS):
                    log_progress(self.reference, self.progress(stage, pack, share))
                self.mirror()
                yield from [None] * LOOKS
        gc.unfreeze()
        self.mirror()
        yield

    def progress(self, stage: str, pack: int, share: float) -> PackProgress:
        """How far a pack is when this share of its trials has ended."""
        trials = self.trials[stage] // PACKS
        return PackProgress.model_validate(
            {
                "stage": stage,
                "pack": pack,
                "packs": PACKS,
                "trials": trials,
                "trials_in_stage": self.trials[stage],
                "ended": round(share * trials),
                "metric": "accuracy",
                "best_score": 0.9 + pack / 100 if share else None,
                "written": self.clock(),
                "seconds_left": (1 - share) * 120 if share else None,
            }
        )

    def mirror(self) -> None:
        """As the steps do that have MLflow at hand."""
        mirror_run_record(connect(self.reference.tracking_uri), self.reference)

    @property
    def json(self) -> str:
        """The reference, as steps get it."""
        return self.reference.model_dump_json()
