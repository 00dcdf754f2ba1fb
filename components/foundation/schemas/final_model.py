"""How the best setting is trained at length, and what came of it."""

from typing import Annotated, Literal

from pydantic import Field, PositiveInt

from sanefit.components.foundation.schemas.bases import Artifact, Settings
from sanefit.components.foundation.schemas.label_errors import LabelErrors
from sanefit.components.foundation.schemas.search import TrialSetting
from sanefit.components.foundation.schemas.training import EpochRecord


class FinalTrainingSettings(Settings):
    """Training of the best setting.

    ``label_smoothing``: share of each label that is spread over all classes. ``weight_averaging``: decay per step of an
    exponential average of the weights, which is what is kept then; 0 is off. ``patience``: stop after so many epochs
    without a better validation accuracy; None never does. ``mixed_precision``: bfloat16 on a device that has it, else
    float16 with a scaled loss, where batch norm keeps values near 1.
    ``ensemble``: how many of the best settings are trained; above 1 the model is the mean of their probabilities.
    ``label_errors``: where labels are judged, by models that were not trained on their images: in the ``validation``
    split, by the final model; in ``all`` of training and validation, which takes about as long as the final training
    again; or ``none``.
    """

    epochs: PositiveInt = 50
    label_smoothing: Annotated[float, Field(ge=0, lt=1)] = 0.0
    weight_averaging: Annotated[float, Field(ge=0, lt=1)] = 0.0
    patience: PositiveInt | None = None
    mixed_precision: bool = True
    ensemble: Annotated[int, Field(ge=1, le=10)] = 1
    label_errors: Literal["none", "validation", "all"] = "validation"


class Judgement(Artifact):
    """What an accuracy on a split is worth.

    ``interval``: 95 % confidence. ``majority_accuracy``: of naming the split's largest class for every image.
    ``balanced_accuracy``: the mean share of right answers over the classes that the split has.
    ``only_class_named``: the label that every image was given, when there was one alone.
    """

    interval: tuple[float, float]
    majority_accuracy: float
    balanced_accuracy: float
    only_class_named: int | None


class TrainedModel(Artifact):
    """The final training's outcome.

    ``setting``: of the first member, whose ``epochs`` these are. ``ensemble``: the settings of all members, the first
    one's first, where there are several. ``temperature``: what the scores are divided by before the softmax, fitted on
    the validation split. ``test_loss``, ``test_calibration_error``: of the probabilities that this gives.
    ``confusion[i][j]`` counts test images of class i called j. ``validation``, ``test``: what the accuracies are worth.
    ``label_errors``: None where labels were not judged.
    """

    weights_uri: str
    setting: TrialSetting
    ensemble: list[TrialSetting] = Field(default=[])
    best_epoch: int
    epochs: list[EpochRecord]
    validation_accuracy: float
    test_accuracy: float
    test_loss: float
    temperature: float = 1.0
    test_calibration_error: float | None = None
    test_images: int
    confusion: list[list[int]]
    validation: Judgement
    test: Judgement
    label_errors: LabelErrors | None = None

    @property
    def members(self) -> list[TrialSetting]:
        """The settings of all members, the first one's first."""
        return self.ensemble or [self.setting]
