"""Schema of every JSON that passes between steps.

No float here can be NaN or infinite: a measurement that is not finite is ``None``.
"""

from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict

from components.foundation.settings import CheckName, Normalization

SplitName = Literal["train", "validation", "test"]
SPLITS: tuple[SplitName, ...] = ("train", "validation", "test")
OneLine = Annotated[str, AfterValidator(lambda text: " ".join(text.split()))]


class Artifact(BaseModel):
    """A value that one step writes and another reads."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Shard(Artifact):
    """A file of pixels, uint8 (images, height, width, channels), that snapshots share; ``path``: below the storage."""

    path: str
    sha256: str
    images: int


class SplitIndex(Artifact):
    """A split: a file of int64 (images, 3), each image's shard, its row there, and its label, by rising digest."""

    images: int
    index_file: str
    index_sha256: str


class QuarantinedFile(Artifact):
    """A file that is no whole image, and why."""

    path: str
    reason: OneLine


class LabelConflict(Artifact):
    """The same image in several classes; none of them is in the snapshot."""

    paths: list[str]
    class_names: list[str]


class Manifest(Artifact):
    """What a snapshot holds, and what of its source it does not. ``image_shape`` is (height, width, channels).

    ``duplicates``: how many images were left out because their class has the same image already.
    """

    format_version: Literal[3] = 3
    fingerprint: str
    class_names: list[str]
    image_shape: tuple[int, int, int]
    images_per_class: dict[SplitName, dict[str, int]]
    ignored_files: int
    duplicates: int = 0
    label_conflicts: list[LabelConflict] = []
    quarantined: list[QuarantinedFile] = []
    splits: dict[SplitName, SplitIndex]
    shards: list[Shard]


class DatasetReference(Artifact):
    """Points to a snapshot; the fingerprint names its content."""

    folder_uri: str
    fingerprint: str


class ChannelStats(Artifact):
    """Per channel, in pixel units 0-255: statistics of the training split, and how to normalise.

    A pixel p becomes (p - shift) / scale; with ``transform_uri``, what the file there says: see
    ``foundation/image_dataset/pixel_transform.py``. ``histogram`` is (channels, 256) pixel counts.
    ``images``: how many were read. ``half_width``: per channel, the interval around the mean to
    either side, at ``confidence``; 0 when every image was read.
    """

    normalization: Normalization
    images: int
    mean: list[float]
    std: list[float]
    shift: list[float]
    scale: list[float]
    histogram: list[list[int]]
    half_width: list[float] = []
    confidence: float | None = None
    transform_uri: str = ""


class GateResult(Artifact):
    """One sanity check: the number seen, the number expected, where that comes from, the fix.

    ``name`` is its name in the configuration, ``row`` its row in the lecture's ledger.
    """

    name: CheckName
    row: str
    title: str
    verdict: Literal["pass", "warn", "fail", "skip"]
    measured: str
    expected: str
    reason: str
    fix: str = ""


class ProbedRate(Artifact):
    """One learning rate of the probe; the losses are mean cross-entropies of a fixed batch."""

    learning_rate: float
    verdict: Literal["too_low", "good", "too_high", "exploded"]
    first_loss: float | None
    last_loss: float | None
    evidence: str


class LayerSignal(Artifact):
    """What one layer gives out, and the gradient that comes back to it, over a batch of training images.

    ``std``, ``gradient_std``: over images, neurons and positions. ``saturated``: share of values
    near a bound of sigmoid or tanh. ``dead``: share of ReLU neurons that are 0 for every image.
    ``histogram``: counts in equal bins from ``low`` to ``high``. ``update_ratio``: length of a step at
    the recommended learning rate over length of the weights before the layer.
    """

    layer: str
    kind: str
    mean: float | None
    std: float | None
    gradient_std: float | None
    saturated: float | None
    dead: float | None
    low: float
    high: float
    histogram: list[int]
    update_ratio: float | None
    verdict: Literal["healthy", "collapsing", "saturating", "exploding", "dying", "vanishing"]
    evidence: str


class CheckReport(Artifact):
    """The gates' verdicts, the layers' signals, and the learning rates worth searching."""

    gates: list[GateResult]
    layers: list[LayerSignal] = []
    probe: list[ProbedRate]
    learning_rate_band: tuple[float, float] | None
    recommended_learning_rate: float | None = None

    @property
    def failures(self) -> list[GateResult]:
        """The gates that failed, in order."""
        return [gate for gate in self.gates if gate.verdict == "fail"]


class RunReference(Artifact):
    """One run: its folder in the storage and its MLflow run."""

    run_name: str
    folder_uri: str
    tracking_uri: str
    tracking_run_id: str


class Registration(Artifact):
    """The registered version and the alias that it took."""

    model_name: str
    model_version: str
    model_uri: str
    alias: Literal["champion", "challenger"]
    test_accuracy: float
    champion_version_before: str | None
    champion_accuracy_before: float | None
    reason: str


class RunSummary(Artifact):
    """The short form of a report, for programs."""

    run_name: str
    fingerprint: str
    failed_checks: list[str]
    val_accuracy: float | None = None
    test_accuracy: float | None = None
    model_name: str | None = None
    model_version: str | None = None
    model_uri: str | None = None
    alias: str | None = None
