"""How a network is trained, and its curve."""

from typing import Annotated, Literal

from pydantic import Field, StringConstraints, model_validator

from sanefit.components.foundation.schemas.bases import Artifact, Settings

OptimizerKind = Literal["sgd", "adam", "adamw", "lamb"]
Schedule = Literal["constant", "step", "cosine"]
Augmentation = Literal["none", "flip", "crop", "flip_crop", "resized_crop", "trivial_augment", "rand_augment"]
ClassWeights = Literal["none", "balanced"]
# Of the validation split; recall.cat is the share of right answers over the images of class cat.
Metric = Annotated[str, StringConstraints(pattern=r"^(accuracy|balanced_accuracy|loss|recall\..+)$")]
RECALL = "recall."
Momentum = Annotated[float, Field(ge=0, lt=1)]
Warmup = Annotated[float, Field(ge=0, le=0.5)]
BatchSize = Annotated[int, Field(ge=4)]
BackboneRate = Annotated[float, Field(gt=0, le=1)]
Erasing = Annotated[float, Field(ge=0, le=1)]
MixingAlpha = Annotated[float, Field(ge=0, le=100)]
GradientClip = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class OptimizerSettings(Settings):
    """How a network is trained; shared by the checks, the search and the final training.

    ``momentum``: of SGD; for the others the decay of the gradient's average (beta 1). ``nesterov``: looks ahead along
    SGD's momentum. ``accumulate``: batches whose gradients make a step. ``gradient_clip``: longest gradient of all
    weights together, penalty included; 0 is off. ``warmup``: share of the steps during which the rate rises in a
    straight line from 0. ``augmentation``: of each batch, ``flip`` left to right, ``crop`` at random after 4 pixels of
    border (1 of images below 16 pixels), or both; ``resized_crop``: a flip and a part of 8 to 100 % of the image, 25 to
    100 % below 64 pixels; ``trivial_augment`` and ``rand_augment``: both and one operation of any strength, or two of a
    moderate one. ``erasing``: probability that a rectangle of an image gets its mean color. ``mixup``, ``cutmix``:
    alpha of two images in one, pixel by pixel or by a box; 0 is off, with both above 0 each has half of the batches.
    ``class_weights``: ``balanced`` shows each class equally often, images of small classes several times in an epoch.
    Of a network that starts from ``network.weights``: in the first ``freeze_epochs`` only what is new in it is trained,
    mostly its output layer, on images that are not augmented; after them everything, weights that were given at
    ``backbone_rate`` times the learning rate.

    The search trains under the final training's schedule, so that it ranks settings under the
    conditions that they will meet.
    """

    kind: OptimizerKind = "sgd"
    batch_size: BatchSize = 128
    momentum: Momentum = 0.9
    schedule: Schedule = "cosine"
    warmup: Warmup = 0.0
    augmentation: Augmentation = "none"
    class_weights: ClassWeights = "none"
    freeze_epochs: Annotated[int, Field(ge=0)] = 0
    backbone_rate: BackboneRate = 1.0
    erasing: Erasing = 0.0
    mixup: MixingAlpha = 0.0
    cutmix: MixingAlpha = 0.0
    gradient_clip: GradientClip = 0.0
    accumulate: Annotated[int, Field(ge=1)] = 1
    nesterov: bool = False

    @model_validator(mode="after")
    def _nesterov_has_momentum(self) -> "OptimizerSettings":
        if self.nesterov and (self.kind != "sgd" or self.momentum == 0):
            raise ValueError(
                f"optimizer.nesterov=true: with optimizer.kind={self.kind} and optimizer.momentum={self.momentum:g} "
                "there is no momentum of SGD; expected sgd and a momentum above 0; set both, or remove nesterov"
            )
        return self


class EpochRecord(Artifact):
    """Measurements after one epoch; ``train_loss`` includes the weight penalty.

    ``train_loss``, ``train_accuracy``: of the images as they were trained on. Of mixed ones the loss is that against
    their mixed labels, never 0, and an answer is right that names the label with the larger share; ``mixed_images``.
    ``validation_balanced_accuracy``: mean share of right answers over the classes, 0 in records of earlier versions.
    ``validation_recall``: that of the class that ``search.metric`` names.
    """

    epoch: int
    learning_rate: float
    train_loss: float | None
    train_accuracy: float
    validation_loss: float | None
    validation_accuracy: float
    validation_balanced_accuracy: float = 0.0
    validation_recall: float | None = None
    mixed_images: bool = False


class CurveDiagnosis(Artifact):
    """What a curve says in words, the numbers that say it, and what to change."""

    kind: Literal[
        "exploded",
        "rate_too_high",
        "rate_too_low",
        "plateau_then_fall",
        "overfitting",
        "underfitting",
        "rise",
        "too_short",
        "healthy",
    ]
    words: str
    evidence: str
    fix: str


class TrainingParameters(Artifact):
    """What every step that trains is given, as texts; ``foundation/training/inputs.py`` reads them.

    ``dataset``: JSON of a DatasetReference. ``stats``: refers to ChannelStats, as ``store_cached_result`` gives it.
    ``network``, ``optimizer``: JSON of the sections. ``seed``: of the run.
    """

    dataset: str
    stats: str
    network: str
    optimizer: str
    seed: int
