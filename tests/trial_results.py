"""Trials with results that tests make up."""

from sanefit.components.foundation.schemas.search import TrialResult, TrialSetting, TrialSpec
from sanefit.components.foundation.schemas.training import EpochRecord


def made_up_result(
    number: int, accuracy: float, status: str = "ok", epochs: int = 0, message: str = "", **values: object
) -> TrialResult:
    """A result whose curve has ``epochs`` records; ``values``: of its setting."""
    setting = TrialSetting.model_validate({"learning_rate": 1e-2, "weight_decay": 1e-4, **values})
    record = EpochRecord(
        epoch=1,
        learning_rate=setting.learning_rate,
        train_loss=1.0,
        train_accuracy=accuracy,
        validation_loss=1.0,
        validation_accuracy=accuracy,
    )
    return TrialResult.model_validate(
        {
            "spec": TrialSpec(number=number, setting=setting, epochs=max(epochs, 1), seed=number),
            "status": status,
            "validation_accuracy": accuracy,
            "epochs": [record.model_copy(update={"epoch": epoch + 1}) for epoch in range(epochs)],
            "seconds": 1.0,
            "message": message,
        }
    )
