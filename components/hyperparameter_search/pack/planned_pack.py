"""One of the packs of a planned stage, on this machine."""

from concurrent.futures import Executor

from sanefit.components.foundation.machine.cores import usable_cores
from sanefit.components.foundation.machine.devices import visible_devices
from sanefit.components.foundation.machine.termination import is_asked_to_stop
from sanefit.components.foundation.schemas.stage_plan import StagePlan
from sanefit.components.foundation.step_lines.step_log import Say
from sanefit.components.foundation.storage.packs import load_pack_plan
from sanefit.components.foundation.training.checkpoints.checkpoint_pace import Interruptions
from sanefit.components.foundation.training.inputs import read_training_inputs
from sanefit.components.hyperparameter_search.pack.trial_pack import PackMachine, run_pack


def run_planned_pack(stage: StagePlan, pack: int, writer: Executor, say: Say) -> None:
    """Train the trials of a pack; a pack for which no trial is left says so.

    Args:
        stage: its plan.
        pack: counts from 0.
        writer: as for ``run_pack``.
        say: prints a line.

    Raises:
        StorageError: when the pack's plan, or what it trains on, cannot be read.
        RunFailedError: when a GPU was asked for and none is seen.
        StoppedError: when SIGTERM has come.
    """
    if pack >= len(stage.packs):
        filled = len(stage.packs)
        say(f"nothing to train: the trials of the {stage.stage} stage fill {filled} pack{'s' if filled > 1 else ''}")
        return
    machine = PackMachine(visible_devices(), usable_cores())
    interruptions = Interruptions(stops=is_asked_to_stop)
    plan = load_pack_plan(stage.run, stage.stage, stage.packs[pack])
    inputs = read_training_inputs(stage.inputs)
    run_pack(plan, inputs, stage.run, machine, writer=writer, say=say, interruptions=interruptions)
