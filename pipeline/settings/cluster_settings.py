"""The section ``cluster`` of a configuration: where and how the steps run on Kubernetes."""

import re
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, NonNegativeInt, PositiveInt, model_validator

from sanefit.components.foundation.schemas.bases import Settings


def _number_as_text(value: object) -> object:
    """YAML reads ``cpu: 4`` as a number; Kubernetes takes quantities as text."""
    return str(value) if isinstance(value, int | float) and not isinstance(value, bool) else value


def _in_form(pattern: str, expected: str) -> AfterValidator:
    def check(text: str) -> str:
        if not re.fullmatch(pattern, text):
            raise ValueError(f"expected {expected}")
        return text

    return AfterValidator(check)


WRITTEN = ("/tmp", "/dev", "/opt", "/own")  # folders of the containers that a volume would hide
OBJECT_NAME = r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?"
ObjectName = Annotated[str, _in_form(OBJECT_NAME, "the name of a Kubernetes object, as in sanefit-s3")]
OptionalObjectName = Annotated[
    str, _in_form(f"({OBJECT_NAME})?", "the name of a Kubernetes object, as in sanefit-s3, or nothing")
]
ResourceName = Annotated[
    str,
    _in_form(
        r"[a-z0-9]([a-z0-9.-]*[a-z0-9])?/[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?",
        "an extended resource, as in nvidia.com/gpu or nvidia.com/mig-1g.10gb",
    ),
]
Cpu = Annotated[
    str,
    BeforeValidator(_number_as_text),
    _in_form(r"[1-9][0-9]*m?|[0-9]+\.[0-9]*[1-9]", "a number of cores above 0, as in 4, 0.5 or 500m"),
]
Gpus = Annotated[
    str, BeforeValidator(_number_as_text), _in_form(r"0|[1-9][0-9]?", "0 (a cluster without GPUs) to 99, for each pack")
]
Bytes = Annotated[str, _in_form(r"[1-9][0-9]*(Ki|Mi|Gi|Ti)", "a size in Ki, Mi, Gi or Ti, as in 16Gi")]
Duration = Annotated[str, _in_form(r"[1-9][0-9]*[smh]", "seconds, minutes or hours, as in 30s, 5m or 1h")]
Folder = Annotated[str, _in_form(r"(/[A-Za-z0-9._-]+)+", "an absolute path, as in /mnt/photos")]
StoragePlace = Annotated[
    str,
    _in_form(
        r"(s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](/.*)?|file:///[^/].*)?",
        "a bucket and prefix, as in s3://bucket/sanefit, or a folder of a volume, as in file:///mnt/sanefit",
    ),
]
ImageReference = Annotated[
    str,
    _in_form(
        r"([^\s@:]+(:[0-9]+)?[^\s@:]*(@sha256:[0-9a-f]{64}|:(?!latest$)[\w][\w.-]{0,127}))?",
        "an image by its digest, as in registry.example.com/team/trainer@sha256:…, or by a tag other than latest",
    ),
]
LABEL_NAME = r"([a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?/)?[A-Za-z0-9]([\w.-]{0,61}[A-Za-z0-9])?"
LabelName = Annotated[str, _in_form(LABEL_NAME, "a name as Kubernetes wants it, as in team or example.com/team")]
LabelValue = Annotated[
    str,
    BeforeValidator(_number_as_text),
    _in_form(r"([A-Za-z0-9]([\w.-]{0,61}[A-Za-z0-9])?)?", "at most 63 letters, digits, '-', '_' and '.'"),
]
Url = Annotated[
    str, _in_form(r"(https?://[^\s/@]+(/\S*)?)?", "a URL without a password, as in http://mlflow.mlflow.svc:5000")
]


class Toleration(Settings):
    """A taint that pods accept; as in a pod's specification."""

    key: str = ""
    operator: Literal["Exists", "Equal"] = "Exists"
    value: str = ""
    effect: Literal["", "NoSchedule", "PreferNoSchedule", "NoExecute"] = ""


class NodeRequirement(Settings):
    """One expression of a node affinity. ``weight`` 1-100 makes it a wish; without it, it is required."""

    key: Annotated[str, Field(min_length=1)]
    operator: Literal["In", "NotIn", "Exists", "DoesNotExist", "Gt", "Lt"]
    values: tuple[str, ...] = ()
    weight: Annotated[int, Field(ge=1, le=100)] | None = None

    @model_validator(mode="after")
    def _values_belong_to_the_operator(self) -> "NodeRequirement":
        if self.operator in ("Gt", "Lt"):
            fits, expected = len(self.values) == 1 and self.values[0].removeprefix("-").isdigit(), "one whole number"
        elif self.operator in ("In", "NotIn"):
            fits, expected = bool(self.values), "at least one"
        else:
            fits, expected = not self.values, "none"
        if not fits:
            raise ValueError(
                f"node_affinity of {self.key!r}: values={list(self.values)}, but {self.operator} takes {expected}; "
                "correct values"
            )
        return self


class StepSettings(Settings):
    """What one kind of step asks for; requests equal limits, so that no step is evicted for another's use.

    ``ephemeral_storage`` bounds ``/tmp``, the only folder that a step can write besides
    ``/dev/shm``, which ``shared_memory`` bounds and which counts as memory. ``labels``, ``annotations``: of the pods.
    """

    cpu: Cpu
    memory: Bytes
    ephemeral_storage: Bytes
    shared_memory: Bytes
    timeout_seconds: PositiveInt
    retries: NonNegativeInt = 2
    node_selector: dict[str, str] = Field(default={})
    tolerations: tuple[Toleration, ...] = ()
    node_affinity: tuple[NodeRequirement, ...] = ()
    labels: dict[LabelName, LabelValue] = Field(default={})
    annotations: dict[LabelName, str] = Field(default={})


class DataSteps(StepSettings):
    """Steps without torch: snapshot, statistics, reports, the gate, ranking."""

    cpu: Cpu = "2"
    memory: Bytes = "4Gi"
    ephemeral_storage: Bytes = "20Gi"
    shared_memory: Bytes = "64Mi"
    timeout_seconds: PositiveInt = 6 * 3600


class TrainerSteps(StepSettings):
    """Steps with torch or MLflow that get no GPU: checks, plans, rankings, registration."""

    cpu: Cpu = "2"
    memory: Bytes = "8Gi"
    ephemeral_storage: Bytes = "20Gi"
    shared_memory: Bytes = "1Gi"
    timeout_seconds: PositiveInt = 6 * 3600


class SearchPacks(StepSettings):
    """Packs of trials, which get GPUs."""

    cpu: Cpu = "4"
    memory: Bytes = "16Gi"
    ephemeral_storage: Bytes = "20Gi"
    shared_memory: Bytes = "2Gi"
    timeout_seconds: PositiveInt = 12 * 3600


class FinalTraining(SearchPacks):
    """The final training. What is not set is as in ``search_packs``; ``gpus``: None is ``cluster.gpus``."""

    gpus: Gpus | None = None


class OwnImages(Settings):
    """Images in place of those that ``make push`` named: with a network or packages of your own. Empty: as pushed."""

    data: ImageReference = ""
    trainer: ImageReference = ""


class Volume(Settings):
    """A PersistentVolumeClaim that every step mounts. ``sub_path``: the part of it that is mounted; empty is all."""

    claim: ObjectName
    path: Folder
    sub_path: Annotated[
        str, BeforeValidator(_number_as_text), _in_form(r"([^/].*)?", "a path in the volume, as in photos/2026")
    ] = ""

    def holds(self, path: str) -> bool:
        """Whether a path lies in it."""
        return f"{path.rstrip('/')}/".startswith(f"{self.path}/")


class ClusterSettings(Settings):
    """Everything that a laptop has no use for; ``sanefit run`` does not read it."""

    storage: StoragePlace = ""
    volumes: tuple[Volume, ...] = ()
    images: OwnImages = OwnImages()
    tracking_uri: Url = ""
    s3_endpoint: Url = ""
    s3_region: str = ""
    s3_secret: OptionalObjectName = "sanefit-s3"
    mlflow_secret: OptionalObjectName = ""
    notify_secret: OptionalObjectName = ""
    signing_secret: OptionalObjectName = ""
    service_account: ObjectName = "sanefit-runner"
    image_pull_secrets: tuple[ObjectName, ...] = ()
    kueue_queue: OptionalObjectName = ""
    kueue_priority_class: OptionalObjectName = ""
    gpu_resource: ResourceName = "nvidia.com/gpu"
    gpus: Gpus = "1"
    retry_backoff: Duration = "30s"
    run_timeout_seconds: PositiveInt = 24 * 3600
    keep_finished_seconds: PositiveInt = 7 * 24 * 3600
    data_steps: DataSteps = DataSteps()
    trainer_steps: TrainerSteps = TrainerSteps()
    search_packs: SearchPacks = SearchPacks()
    final_training: FinalTraining = FinalTraining()

    @model_validator(mode="before")
    @classmethod
    def _final_training_is_as_the_packs(cls, given: Any) -> Any:
        if not isinstance(given, dict):
            return given
        packs, final = given.get("search_packs", {}), given.get("final_training", {})
        if not isinstance(packs, dict) or not isinstance(final, dict):
            return given
        return {**given, "final_training": {**packs, **final}}

    @model_validator(mode="after")
    def _folders_are_of_volumes(self) -> "ClusterSettings":
        for number, volume in enumerate(self.volumes):
            for other in (*self.volumes[:number], *(Volume(claim="own", path=path) for path in WRITTEN)):
                if volume.holds(other.path) or other.holds(volume.path):
                    raise ValueError(
                        f"cluster.volumes: {volume.path!r} and {other.path!r} lie in each other; expected a folder of "
                        "its own for each, as in /mnt/photos; correct path"
                    )
        if self.storage.startswith("file://") and not self.is_in_a_volume(self.storage_folder):
            raise ValueError(
                f"cluster.storage={self.storage!r}: no volume is mounted there; expected a folder below the path of "
                "one of cluster.volumes; correct it, or add the volume"
            )
        return self

    @property
    def storage_folder(self) -> str:
        """The storage as steps name it: a path for a folder, else the URI."""
        return self.storage.removeprefix("file://")

    @property
    def final_training_gpus(self) -> str:
        """How many GPUs the final training gets."""
        return self.gpus if self.final_training.gpus is None else self.final_training.gpus

    def is_in_a_volume(self, path: str) -> bool:
        """Whether a path lies in a volume that every step mounts."""
        return any(volume.holds(path) for volume in self.volumes)

    @model_validator(mode="after")
    def _priority_class_needs_a_queue(self) -> "ClusterSettings":
        if self.kueue_priority_class and not self.kueue_queue:
            raise ValueError(
                f"cluster.kueue_priority_class={self.kueue_priority_class!r}: expected cluster.kueue_queue with it, "
                "for Kueue alone reads it; set cluster.kueue_queue"
            )
        return self
