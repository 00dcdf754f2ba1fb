"""Where and how each task runs: image, resources, GPUs, nodes, secrets, security, retries, caching."""

from dataclasses import dataclass, field
from typing import Literal

from kfp import dsl, kubernetes
from kfp.dsl import PipelineTask

from sanefit.components.foundation.machine.environment import EPHEMERAL_STORAGE, GPUS_ASKED_FOR
from sanefit.components.foundation.schemas.certificates import DATA_IMAGE, SIGNING_KEY, TRAINER_IMAGE
from sanefit.pipeline.container_images import ContainerImages
from sanefit.pipeline.settings.cluster_settings import ClusterSettings, NodeRequirement, StepSettings, Toleration
from sanefit.pipeline.settings.cluster_values import in_bytes

IMAGE_USER = 10001  # as in images/*/Dockerfile
S3_SECRET_KEYS = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
GOOGLE_SECRET_KEYS = ("GOOGLE_SERVICE_ACCOUNT_KEY",)
AZURE_SECRET_KEYS = ("AZURE_STORAGE_ACCOUNT_KEY",)
MLFLOW_SECRET_KEYS = ("MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD")
SIGNING_SECRET_KEYS = (SIGNING_KEY,)
# A pod that nobody tries again: autoscalers leave its node.
STAYS = {"cluster-autoscaler.kubernetes.io/safe-to-evict": "false", "karpenter.sh/do-not-disrupt": "true"}
Steps = Literal["data_steps", "trainer_steps", "search_packs", "final_training"]
GPU_TAINT = Toleration(key="nvidia.com/gpu", effect="NoSchedule")


@dataclass(frozen=True)
class Placement:
    """Places tasks on a cluster, or, without one, gives them only what every machine needs.

    ``cached``: equal arguments give an equal result, in every run. ``notify_variable``: the environment variable that
    holds the address of who is told, if one does.
    """

    cluster: ClusterSettings | None
    images: ContainerImages = field(default_factory=ContainerImages)
    notify_variable: str = ""

    def data_step(self, task: PipelineTask, *, cached: bool = False) -> PipelineTask:
        """Run without torch."""
        task.set_container_image(self.images.data).set_caching_options(cached)
        if self.cluster is not None:
            _on_cluster(task, self.cluster, "data_steps")
        return task

    def preparing_step(self, task: PipelineTask) -> PipelineTask:
        """Run with all that decodes images, and with torch, MLflow and the key that signs."""
        return self._may_sign(self._with_torch(task, "data_steps"))

    def trainer_step(self, task: PipelineTask) -> PipelineTask:
        """Run with torch and MLflow, without a GPU."""
        return self._with_torch(task, "trainer_steps")

    def checking_step(self, task: PipelineTask) -> PipelineTask:
        """The same for the step with the gate, which no second try opens.

        Argo's own retries, which Kubeflow sets since 2.17, bring back a pod that vanished, and no other.
        """
        return self._with_torch(task, "trainer_steps", retried=False)

    def telling_step(self, task: PipelineTask) -> PipelineTask:
        """Run as a trainer step that may tell others how the run went."""
        return self._may_tell(self.trainer_step(task))

    def registration_step(self, task: PipelineTask) -> PipelineTask:
        """Run as a trainer step that may sign, and may tell others what it did."""
        return self._may_tell(self._may_sign(self.trainer_step(task)))

    def _with_torch(
        self,
        task: PipelineTask,
        steps: Steps,
        *,
        retried: bool = True,
    ) -> PipelineTask:
        """Run in the trainer's image, with MLflow; ``steps``: the section that says what it gets."""
        task.set_container_image(self.images.trainer).set_caching_options(False)
        if self.cluster is not None:
            _on_cluster(task, self.cluster, steps, retried=retried)
            _use_secret(task, self.cluster.mlflow_secret, MLFLOW_SECRET_KEYS)
        return task

    def _may_sign(self, task: PipelineTask) -> PipelineTask:
        """It also knows which images it and the others run in."""
        if self.cluster is not None:
            task.set_env_variable(DATA_IMAGE, self.images.data).set_env_variable(TRAINER_IMAGE, self.images.trainer)
            _use_secret(task, self.cluster.signing_secret, SIGNING_SECRET_KEYS)
        return task

    def _may_tell(self, task: PipelineTask) -> PipelineTask:
        if self.cluster is not None and self.notify_variable:
            # Optional: where the secret is missing, nobody is told, and the run goes on.
            _use_secret(task, self.cluster.notify_secret, (self.notify_variable,), optional=True)
        return task

    def search_pack(self, task: PipelineTask) -> PipelineTask:
        """Run as many trials at once as the GPUs of a pod take."""
        self._with_torch(task, "search_packs")
        if self.cluster is not None:
            _on_gpus(task, self.cluster, self.cluster.gpus)
            _queued(task, self.cluster)
        return task

    def final_training_step(self, task: PipelineTask) -> PipelineTask:
        """Run on GPUs of its own number, one process each; by default on what a pack gets."""
        self._with_torch(task, "final_training")
        if self.cluster is not None:
            _on_gpus(task, self.cluster, self.cluster.final_training_gpus)
            _queued(task, self.cluster)
        return task

    def pipeline_config(self) -> dsl.PipelineConfig | None:
        """How long a run may take, and how long its pods are kept afterwards."""
        if self.cluster is None:
            return None
        return dsl.PipelineConfig(
            ttl_seconds_after_finished=self.cluster.keep_finished_seconds,
            active_deadline_seconds=self.cluster.run_timeout_seconds,
        )


ON_THIS_MACHINE = Placement(cluster=None)


def _on_cluster(task: PipelineTask, cluster: ClusterSettings, steps: Steps, *, retried: bool = True) -> None:
    step: StepSettings = getattr(cluster, steps)
    task.set_cpu_request(step.cpu).set_cpu_limit(step.cpu)
    task.set_memory_request(step.memory).set_memory_limit(step.memory)
    if retried and step.retries:
        task.set_retry(
            step.retries,
            backoff_duration=cluster.retry_backoff,
            backoff_factor=2.0,
            # Argo stops retrying, and stops the pod, when this has passed since the first try began.
            backoff_max_duration=f"{(1 + step.retries) * step.timeout_seconds}s",
        )
    annotations = {} if retried and step.retries else STAYS
    for key, text in {**annotations, **step.annotations}.items():
        kubernetes.add_pod_annotation(task, key, text)
    for key, text in step.labels.items():
        kubernetes.add_pod_label(task, key, text)
    kubernetes.set_timeout(task, step.timeout_seconds)
    kubernetes.set_security_context(task, run_as_user=IMAGE_USER, run_as_group=IMAGE_USER, run_as_non_root=True)
    kubernetes.empty_dir_mount(task, "tmp", "/tmp", size_limit=step.ephemeral_storage)
    # Inside, the folder looks as large as the node's disk.
    limit = f"cluster.{steps}.ephemeral_storage={in_bytes(step.ephemeral_storage)}"
    task.set_env_variable(EPHEMERAL_STORAGE, limit)
    kubernetes.empty_dir_mount(task, "shared-memory", "/dev/shm", medium="Memory", size_limit=step.shared_memory)
    for volume in cluster.volumes:
        kubernetes.mount_pvc(task, volume.claim, volume.path, sub_path=volume.sub_path)
    _on_nodes(task, step)
    _with_environment(task, cluster, step)
    if cluster.image_pull_secrets:
        kubernetes.set_image_pull_secrets(task, list(cluster.image_pull_secrets))


def _on_nodes(task: PipelineTask, step: StepSettings) -> None:
    for key, value in step.node_selector.items():
        kubernetes.add_node_selector(task, key, value)
    for toleration in step.tolerations:
        _tolerate(task, toleration)
    required = [requirement for requirement in step.node_affinity if requirement.weight is None]
    if required:  # one term: all of its expressions must hold
        kubernetes.add_node_affinity(task, match_expressions=[_expression(requirement) for requirement in required])
    for requirement in step.node_affinity:
        if requirement.weight is not None:
            kubernetes.add_node_affinity(task, match_expressions=[_expression(requirement)], weight=requirement.weight)


def _with_environment(task: PipelineTask, cluster: ClusterSettings, step: StepSettings) -> None:
    # torch and numpy would start a thread for every core of the node.
    task.set_env_variable("OMP_NUM_THREADS", str(_whole_cores(step.cpu)))
    if cluster.s3_endpoint:
        task.set_env_variable("AWS_ENDPOINT_URL", cluster.s3_endpoint)
    if cluster.s3_region:
        task.set_env_variable("AWS_DEFAULT_REGION", cluster.s3_region)
    if cluster.s3_requester_pays:
        task.set_env_variable("AWS_REQUEST_PAYER", "requester")
    if cluster.google_quota_project:
        task.set_env_variable("GOOGLE_CLOUD_QUOTA_PROJECT", cluster.google_quota_project)
    if cluster.azure_account:
        task.set_env_variable("AZURE_STORAGE_ACCOUNT_NAME", cluster.azure_account)
    _use_secret(task, cluster.s3_secret, S3_SECRET_KEYS)
    _use_secret(task, cluster.google_secret, GOOGLE_SECRET_KEYS)
    _use_secret(task, cluster.azure_secret, AZURE_SECRET_KEYS)


def _on_gpus(task: PipelineTask, cluster: ClusterSettings, gpus: str) -> None:
    if gpus == "0":
        return
    task.set_accelerator_type(cluster.gpu_resource).set_accelerator_limit(gpus)
    task.set_env_variable(GPUS_ASKED_FOR, f"{cluster.gpu_resource}: {gpus}")
    if cluster.gpu_resource.startswith("nvidia.com/"):
        _tolerate(task, GPU_TAINT)


def _queued(task: PipelineTask, cluster: ClusterSettings) -> None:
    if cluster.kueue_queue:
        kubernetes.add_pod_label(task, "kueue.x-k8s.io/queue-name", cluster.kueue_queue)
    if cluster.kueue_priority_class:
        kubernetes.add_pod_label(task, "kueue.x-k8s.io/priority-class", cluster.kueue_priority_class)


def _use_secret(task: PipelineTask, secret: str, keys: tuple[str, ...], *, optional: bool = False) -> None:
    if secret:
        kubernetes.use_secret_as_env(task, secret, {key: key for key in keys}, optional=optional)


def _tolerate(task: PipelineTask, toleration: Toleration) -> None:
    given = {key: value for key, value in toleration.model_dump().items() if value}
    kubernetes.add_toleration(task, **given)


def _expression(requirement: NodeRequirement) -> dict[str, object]:
    return {"key": requirement.key, "operator": requirement.operator, "values": list(requirement.values)}


def _whole_cores(cpu: str) -> int:
    cores = int(cpu[:-1]) / 1000 if cpu.endswith("m") else float(cpu)
    return max(1, int(cores))
