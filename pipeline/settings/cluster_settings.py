"""The section ``cluster`` of a configuration: where and how the steps run on Kubernetes."""

from typing import Annotated, Any, Literal

from pydantic import Field, NonNegativeInt, PositiveInt, model_validator

from sanefit.components.foundation.schemas.bases import Settings
from sanefit.pipeline.settings.cluster_values import (
    AzureAccount,
    Bytes,
    Cpu,
    Duration,
    Folder,
    Gpus,
    ImageReference,
    LabelName,
    LabelValue,
    ObjectName,
    OptionalObjectName,
    ResourceName,
    StoragePlace,
    Url,
    VolumePart,
)

# Folders of the containers that a volume would hide.
WRITTEN = ("/tmp", "/dev", "/opt", "/own", "/usr", "/etc", "/bin", "/lib", "/proc", "/sys", "/var", "/kfp-launcher")


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
    sub_path: VolumePart = ""

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
    s3_requester_pays: bool = False
    google_secret: OptionalObjectName = ""
    google_quota_project: str = ""
    azure_account: AzureAccount = ""
    azure_secret: OptionalObjectName = ""
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
        if self.storage.startswith("az://") and not self.azure_account:
            raise ValueError(
                f"cluster.storage={self.storage!r}: the container alone does not say where it lies; expected the name "
                "of its storage account with it; set cluster.azure_account"
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
