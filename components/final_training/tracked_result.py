"""The final training in MLflow: a child run for each member, the result on the parent."""

from collections.abc import Sequence

from sanefit.components.final_training.member_runs import TrainedMember
from sanefit.components.foundation.schemas.final_model import FinalTrainingSettings, Judgement, TrainedModel
from sanefit.components.foundation.schemas.runs import RunReference
from sanefit.components.foundation.schemas.training import OptimizerSettings
from sanefit.components.foundation.tracking.child_runs import ChildRun, log_child_run
from sanefit.components.foundation.tracking.connection import connect
from sanefit.components.foundation.tracking.runs import log_summary, tag_run
from sanefit.components.foundation.tracking.tags import BEST_EPOCH_TAG, HARDWARE_TAG, STAGE_TAG
from sanefit.components.foundation.training.resolved_settings import resolve_optimizer


def log_result(
    trained: TrainedModel,
    members: Sequence[TrainedMember],
    optimizer: OptimizerSettings,
    final: FinalTrainingSettings,
    run: RunReference,
    started: float,
    ended: float,
    hardware: str,
) -> None:
    """Write the child run ``final``, with the test's figures, ``final-2`` and so on for more members, and the result.

    Args:
        trained: the result.
        members: the first one's curves go with it.
        optimizer, final: as the configuration has them.
        run: the parent.
        started, ended: epoch seconds.
        hardware: that it ran on, kept as a tag of the parent.
    """
    client = connect(run.tracking_uri)
    tested = {"test_accuracy": trained.test_accuracy, "test_loss": trained.test_loss, **_worth("test", trained.test)}
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
        log_child_run(client, run, child)
    # On the child, the name is that of a curve, and the model is that of its best epoch.
    validated = {"validation_accuracy": trained.validation_accuracy, **_worth("validation", trained.validation)}
    figures = {**validated, **tested}
    log_summary(client, run.tracking_run_id, figures, ended)
    tag_run(client, run.tracking_run_id, HARDWARE_TAG, hardware)


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
