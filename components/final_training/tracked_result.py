"""The final training in MLflow: a child run for each member, the result on the parent."""

from collections.abc import Sequence

from sanefit.components.final_training.member_runs import TrainedMember
from sanefit.components.foundation.schemas.final_model import FinalTrainingSettings, Judgement, TrainedModel
from sanefit.components.foundation.schemas.runs import RunReference
from sanefit.components.foundation.schemas.training import OptimizerSettings
from sanefit.components.foundation.step_lines.step_log import Say
from sanefit.components.foundation.tracking.child_runs import ChildRun
from sanefit.components.foundation.tracking.connection import connect
from sanefit.components.foundation.tracking.tags import BEST_EPOCH_TAG, HARDWARE_TAG, STAGE_TAG
from sanefit.components.foundation.tracking.untracked import Outbox, Untracked, fill_in_untracked
from sanefit.components.foundation.training.resolved_settings import resolve_optimizer


def log_result(
    trained: TrainedModel,
    members: Sequence[TrainedMember],
    optimizer: OptimizerSettings,
    final: FinalTrainingSettings,
    run: RunReference,
    times: tuple[float, float],
    hardware: str,
    say: Say,
) -> None:
    """Write the child run ``final``, with the test's figures, ``final-2`` and so on for more members, and the result.

    What steps before could not write to MLflow follows.

    Args:
        trained: the result.
        members: the first one's curves go with it.
        optimizer, final: as the configuration has them.
        run: the parent.
        times: when it began and ended, in epoch seconds.
        hardware: that it ran on, kept as a tag of the parent.
        say: prints a line when MLflow does not take it.
    """
    started, ended = times
    outbox = Outbox(run, lambda: connect(run.tracking_uri))
    tested = {
        "test_accuracy": trained.test_accuracy,
        "test_loss": trained.test_loss,
        "temperature": trained.temperature,
        **_worth("test", trained.test),
    }
    if trained.test_calibration_error is not None:
        tested["test_calibration_error"] = trained.test_calibration_error
    for number, member in enumerate(members, start=1):
        child = ChildRun(
            name="final" if number == 1 else f"final-{number}",
            params=_params(member, optimizer, final),
            tags={STAGE_TAG: "final", BEST_EPOCH_TAG: str(member.best.epoch)},
            epochs=member.records,
            summary=tested if number == 1 else {},
            started=started,
            ended=ended,
            failed=False,
        )
        outbox.write(Untracked(child=child))
    # On the child, the name is that of a curve, and the model is that of its best epoch.
    validated = {"validation_accuracy": trained.validation_accuracy, **_worth("validation", trained.validation)}
    figures = {**validated, **tested}
    outbox.write(Untracked(figures=figures, tags={HARDWARE_TAG: hardware}, at=ended))
    fill_in_untracked(run, say)


def _worth(split: str, judgement: Judgement) -> dict[str, float]:
    return {
        f"{split}_accuracy_low": judgement.interval[0],
        f"{split}_accuracy_high": judgement.interval[1],
        f"{split}_majority_accuracy": judgement.majority_accuracy,
        f"{split}_balanced_accuracy": judgement.balanced_accuracy,
    }


def _params(member: TrainedMember, optimizer: OptimizerSettings, final: FinalTrainingSettings) -> dict[str, str]:
    searched = {
        name: value if isinstance(value, str) else repr(value) for name, value in member.setting.searched.items()
    }
    used = resolve_optimizer(optimizer, member.setting)
    how = {name: str(value) for name, value in final.model_dump().items()}
    return {**how, "schedule": used.schedule, **searched}
