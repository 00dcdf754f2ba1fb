"""The compiled YAML: what a cluster is given."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from sanefit.components.foundation.errors import SettingsError
from sanefit.components.foundation.schemas.drift import DriftSettings
from sanefit.pipeline.compile import compile_pipeline
from sanefit.pipeline.container_images import ContainerImages
from sanefit.pipeline.settings.cluster_settings import ClusterSettings
from sanefit.pipeline.settings.run_config import CONFIGS, load_config

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
PARAMETERS = {
    "name": ("STRING", False),
    "data": ("STRING", False),
    "stats": ("STRING", False),
    "network": ("STRING", False),
    "optimizer": ("STRING", False),
    "checks": ("STRING", False),
    "search": ("STRING", False),
    "final": ("STRING", False),
    "registry": ("STRING", False),
    "seed": ("NUMBER_INTEGER", False),
    "storage": ("STRING", False),
    "tracking_uri": ("STRING", False),
    "run_name": ("STRING", True),
}


@dataclass(frozen=True)
class Step:
    """What a task is given; ``settings`` names its section of ClusterSettings."""

    image: str
    settings: str
    cached: bool = False
    retried: bool = True
    gpus: bool = False
    tracking: bool = False
    signs: bool = False
    stays: bool = False  # autoscalers leave its node, for nobody tries it again


IMAGES = ContainerImages("example.com/team/data@sha256:" + "a" * 64, "example.com/team/trainer@sha256:" + "b" * 64)
PACK = Step(IMAGES.trainer, "search_packs", gpus=True, tracking=True)
STEPS = {
    "prepare": Step(IMAGES.trainer, "data_steps", tracking=True, signs=True),
    "channel-stats": Step(IMAGES.data, "data_steps", cached=True),
    "sanity": Step(IMAGES.trainer, "trainer_steps", tracking=True, retried=False, stays=True),
    "coarse-pack": PACK,
    "narrow-search": Step(IMAGES.trainer, "trainer_steps", tracking=True),
    "fine-pack": PACK,
    "final-training": Step(IMAGES.trainer, "final_training", gpus=True, tracking=True),
    "register-model": Step(IMAGES.trainer, "trainer_steps", tracking=True, signs=True),
    "close-run": Step(IMAGES.trainer, "trainer_steps", tracking=True),
}
SECRETS = {
    "sanefit-s3": {"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"},
    "sanefit-mlflow": {"MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD"},
    "sanefit-signing": {"SANEFIT_SIGNING_KEY"},
}
OF_SIGNERS = {"SANEFIT_DATA_IMAGE": IMAGES.data, "SANEFIT_TRAINER_IMAGE": IMAGES.trainer}
STAYS = {"cluster-autoscaler.kubernetes.io/safe-to-evict": "false", "karpenter.sh/do-not-disrupt": "true"}
MOUNT_KEYS = ("constant", "mountPath", "subPath")
GPU_TOLERATION = {"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}


@dataclass(frozen=True)
class Compiled:
    """Both documents of a compiled pipeline."""

    pipeline: dict[str, Any]
    platform: dict[str, Any]
    text: str

    @property
    def executors(self) -> dict[str, dict[str, Any]]:
        """Each task's container, by the task's component."""
        entries: dict[str, dict[str, Any]] = self.pipeline["deploymentSpec"]["executors"]
        containers = {name.removeprefix("exec-"): entry["container"] for name, entry in entries.items()}
        return one_pack_of_a_stage(containers)

    @property
    def pods(self) -> dict[str, dict[str, Any]]:
        """Each task's Kubernetes settings, by the task's component."""
        entries = self.platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
        return one_pack_of_a_stage({name.removeprefix("exec-"): entry for name, entry in entries.items()})


def one_pack_of_a_stage(by_component: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Every pack is a component of its own; those of a stage get the same."""
    first = {name: entry for name, entry in by_component.items() if not (name[-1].isdigit() and "-pack-" in name)}
    for name, entry in by_component.items():
        assert entry == first[re.sub(r"-\d+$", "", name)], name
    return first


def compiled_with(folder: Path, config: Path, *overrides: str) -> Compiled:
    output = folder / "pipeline.yaml"
    compile_pipeline(load_config(config, overrides), IMAGES, output)
    assert [path.name for path in folder.iterdir()] == ["pipeline.yaml"]
    text = output.read_text()
    pipeline, platform = yaml.safe_load_all(text)
    return Compiled(pipeline, platform, text)


@pytest.fixture(scope="module", params=sorted(CONFIGS.glob("*.yaml")), ids=lambda path: path.stem)
def compiled(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Compiled:
    return compiled_with(tmp_path_factory.mktemp("compiled"), request.param)


@pytest.fixture(scope="module")
def placed(tmp_path_factory: pytest.TempPathFactory) -> Compiled:
    """With every setting of the section ``cluster`` changed."""
    return compiled_with(
        tmp_path_factory.mktemp("placed"),
        CONFIGS / "digits.yaml",
        "cluster.mlflow_secret=sanefit-mlflow",
        "cluster.signing_secret=sanefit-signing",
        "cluster.s3_endpoint=https://s3.example.com",
        "cluster.s3_region=eu-central-1",
        "cluster.image_pull_secrets=[sanefit-registry]",
        "cluster.kueue_queue=sanefit",
        "cluster.kueue_priority_class=sanefit-search",
        "cluster.gpu_resource=nvidia.com/mig-1g.10gb",
        "cluster.gpus=2",
        "cluster.retry_backoff=1m",
        "cluster.run_timeout_seconds=3600",
        "cluster.keep_finished_seconds=60",
        "cluster.data_steps.retries=5",
        "cluster.data_steps.cpu=500m",
        "cluster.search_packs.cpu=2.5",
        "cluster.search_packs.node_selector={pool: gpu}",
        "cluster.search_packs.tolerations=[{key: team, operator: Equal, value: vision, effect: NoExecute}]",
        "cluster.search_packs.node_affinity=[{key: gpu, operator: In, values: [h100, h200]}, "
        "{key: zone, operator: Exists}, {key: spot, operator: DoesNotExist, weight: 10}]",
        "cluster.search_packs.labels={team: vision}",
        "cluster.search_packs.annotations={example.com/cost-center: '42'}",
        "cluster.final_training.gpus=4",
        "cluster.final_training.memory=64Gi",
        "cluster.final_training.node_selector={pool: large}",
        "cluster.volumes=[{claim: photos, path: /mnt/photos, sub_path: 2026}, {claim: runs, path: /mnt/runs}]",
        "cluster.trainer_steps.retries=0",
    )


def dags(specification: dict[str, Any]) -> list[dict[str, Any]]:
    components = specification["components"].values()
    return [specification["root"]["dag"], *(c["dag"] for c in components if "dag" in c)]


def leaf_tasks(specification: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Tasks that run a container, by component."""
    return {
        task["componentRef"]["name"].removeprefix("comp-"): task
        for dag in dags(specification)
        for name, task in dag["tasks"].items()
        if "executorLabel" in specification["components"][task["componentRef"]["name"]]
        and not re.fullmatch(r"(coarse|fine)-pack-\d+", name)
    }


def environment(container: dict[str, Any]) -> dict[str, str]:
    return {entry["name"]: entry["value"] for entry in container.get("env", [])}


def secrets(pod: dict[str, Any]) -> dict[str, set[str]]:
    return {s["secretName"]: {e["envVar"] for e in s["keyToEnv"]} for s in pod.get("secretAsEnv", [])}


def test_the_public_parameters_are_these(compiled: Compiled) -> None:
    parameters = compiled.pipeline["root"]["inputDefinitions"]["parameters"]
    given = {"name", "data", "stats", "network", "optimizer", "checks", "search", "final", "registry", "seed"}
    seen = {
        name: (entry["parameterType"], entry.get("isOptional", False) and name not in given)
        for name, entry in parameters.items()
    }
    assert seen == PARAMETERS
    assert {name for name, entry in parameters.items() if "defaultValue" in entry} == given | {"run_name"}
    assert all(entry["description"] for entry in parameters.values())


def test_the_table_names_every_task(compiled: Compiled) -> None:
    assert set(leaf_tasks(compiled.pipeline)) == set(compiled.executors) == set(compiled.pods) == set(STEPS)


@pytest.mark.parametrize("step", STEPS)
def test_a_task_has_what_the_table_says(compiled: Compiled, step: str) -> None:
    wanted, container, pod = STEPS[step], compiled.executors[step], compiled.pods[step]
    settings = getattr(ClusterSettings(), wanted.settings)
    task = leaf_tasks(compiled.pipeline)[step]
    assert container["image"] == wanted.image
    assert task.get("cachingOptions", {}).get("enableCache", False) == wanted.cached

    resources = container["resources"]
    for kind in ("Request", "Limit"):
        assert resources[f"resourceCpu{kind}"] == settings.cpu
        assert resources[f"resourceMemory{kind}"] == settings.memory
    accelerator = resources.get("accelerator")
    assert (accelerator and (accelerator["resourceType"], accelerator["resourceCount"])) == (
        ("nvidia.com/gpu", "1") if wanted.gpus else None
    )
    assert pod.get("tolerations", []) == ([GPU_TOLERATION] if wanted.gpus else [])

    assert pod["securityContext"] == {"runAsUser": "10001", "runAsGroup": "10001", "runAsNonRoot": True}
    assert pod["activeDeadlineSeconds"] == str(settings.timeout_seconds)
    assert pod["emptyDirMounts"] == [
        {"volumeName": "tmp", "mountPath": "/tmp", "sizeLimit": settings.ephemeral_storage},
        {
            "volumeName": "shared-memory",
            "mountPath": "/dev/shm",
            "medium": "Memory",
            "sizeLimit": settings.shared_memory,
        },
    ]
    assert task.get("retryPolicy") == (
        {
            "maxRetryCount": 2,
            "backoffDuration": "30s",
            "backoffFactor": 2.0,
            "backoffMaxDuration": f"{3 * settings.timeout_seconds}s",
        }
        if wanted.retried
        else None
    )
    assert pod.get("podMetadata", {}).get("annotations", {}) == (STAYS if wanted.stays else {})
    assert "pvcMount" not in pod
    assert secrets(pod) == {"sanefit-s3": SECRETS["sanefit-s3"]}
    asked_for = {"SANEFIT_ASKED_FOR": "nvidia.com/gpu: 1"} if wanted.gpus else {}
    of_signers = OF_SIGNERS if wanted.signs else {}
    limit = f"cluster.{wanted.settings}.ephemeral_storage={20 * 2**30}"
    of_every_step = {"OMP_NUM_THREADS": settings.cpu, "SANEFIT_EPHEMERAL_STORAGE": limit}
    assert environment(container) == {**of_every_step, **asked_for, **of_signers}


def test_the_images_run_as_the_user_that_the_tasks_ask_for() -> None:
    for dockerfile in sorted(ROOT.glob("images/*/Dockerfile")):
        assert re.findall(r"^USER (.+)$", dockerfile.read_text(), re.MULTILINE)[-1] == "10001:10001", dockerfile


def test_what_is_set_for_the_cluster_arrives_where_it_belongs(placed: Compiled) -> None:
    for step, wanted in STEPS.items():
        pod, container = placed.pods[step], placed.executors[step]
        assert [entry["secretName"] for entry in pod["imagePullSecret"]] == ["sanefit-registry"]
        given = {"sanefit-s3": True, "sanefit-mlflow": wanted.tracking, "sanefit-signing": wanted.signs}
        assert secrets(pod) == {name: SECRETS[name] for name, is_given in given.items() if is_given}, step
        assert environment(container)["AWS_ENDPOINT_URL"] == "https://s3.example.com"
        assert environment(container)["AWS_DEFAULT_REGION"] == "eu-central-1"
        retries = leaf_tasks(placed.pipeline)[step].get("retryPolicy", {"maxRetryCount": 0})
        tries = {"data_steps": 5, "trainer_steps": 0}.get(wanted.settings, 2)
        assert retries["maxRetryCount"] == tries
        assert retries.get("backoffDuration") == ("60s" if tries else None)
        metadata = pod.get("podMetadata", {})
        queue = {"kueue.x-k8s.io/queue-name": "sanefit", "kueue.x-k8s.io/priority-class": "sanefit-search"}
        assert metadata.get("labels") == ({"team": "vision", **queue} if wanted.gpus else None), step
        own = {"example.com/cost-center": "42"} if wanted.gpus else {}
        assert metadata.get("annotations", {}) == (own if tries else STAYS), step
        mounts = [{key: mount[key] for key in mount if key in MOUNT_KEYS} for mount in pod["pvcMount"]]
        assert mounts == [
            {"constant": "photos", "mountPath": "/mnt/photos", "subPath": "2026"},
            {"constant": "runs", "mountPath": "/mnt/runs"},
        ]
    configuration = placed.platform["platforms"]["kubernetes"]["pipelineConfig"]
    assert configuration == {"activeDeadlineSeconds": 3600, "resourceTtlOnCompletion": 60}


@pytest.mark.parametrize("step", ["coarse-pack", "fine-pack", "final-training"])
def test_packs_and_the_final_training_go_to_the_nodes_that_are_asked_for(placed: Compiled, step: str) -> None:
    """The final training gets what it asks for, and for the rest what the packs get."""
    pod, container = placed.pods[step], placed.executors[step]
    final = step == "final-training"
    accelerator = container["resources"]["accelerator"]
    assert (accelerator["resourceType"], accelerator["resourceCount"]) == (
        "nvidia.com/mig-1g.10gb",
        "4" if final else "2",
    )
    assert environment(container)["SANEFIT_ASKED_FOR"] == f"nvidia.com/mig-1g.10gb: {4 if final else 2}"
    assert container["resources"]["resourceMemoryLimit"] == ("64Gi" if final else "16Gi")
    assert container["resources"]["resourceCpuLimit"] == "2.5"
    assert pod["nodeSelector"]["labels"] == {"pool": "large" if final else "gpu"}
    own = {"key": "team", "operator": "Equal", "value": "vision", "effect": "NoExecute"}
    assert pod["tolerations"] == [own, GPU_TOLERATION]
    required, wished = pod["nodeAffinity"]
    assert required == {
        "matchExpressions": [
            {"key": "gpu", "operator": "In", "values": ["h100", "h200"]},
            {"key": "zone", "operator": "Exists"},
        ]
    }
    assert wished == {"matchExpressions": [{"key": "spot", "operator": "DoesNotExist"}], "weight": 10}


def test_threads_are_whole_cores(placed: Compiled) -> None:
    assert environment(placed.executors["coarse-pack"])["OMP_NUM_THREADS"] == "2"  # of 2.5
    assert environment(placed.executors["prepare"])["OMP_NUM_THREADS"] == "1"  # of 500m


def test_a_cluster_without_gpus(tmp_path: Path) -> None:
    compiled = compiled_with(tmp_path, CONFIGS / "digits.yaml", "cluster.gpus=0")
    assert "accelerator" not in compiled.text
    assert "nvidia" not in compiled.text


def test_workload_identity_needs_no_secret(tmp_path: Path) -> None:
    assert "secretAsEnv" not in compiled_with(tmp_path, CONFIGS / "digits.yaml", "cluster.s3_secret=''").text


def test_no_secret_value_and_nothing_installed_when_a_step_runs(compiled: Compiled) -> None:
    assert "pip install" not in compiled.text
    assert not re.search(
        r"(?i)(password|secret_access_key|token)\s*[:=]\s*['\"]?(?!AWS_|MLFLOW_)[^\s'\"]", compiled.text
    )
    for container in compiled.executors.values():
        assert "pip" not in " ".join(container["command"]).split()
        assert not {key for key in environment(container) if "SECRET" in key or "PASSWORD" in key or "KEY" in key}


def test_no_image_floats(compiled: Compiled) -> None:
    for container in compiled.executors.values():
        _, _, tag = container["image"].rpartition(":")
        assert tag not in ("", "latest")


@pytest.mark.slow
@pytest.mark.parametrize("skip_unchanged", ["true", "false"])
def test_the_same_configuration_compiles_to_the_same_bytes(tmp_path: Path, skip_unchanged: str) -> None:
    texts = set()
    for folder in (tmp_path / "first", tmp_path / "second"):
        folder.mkdir()
        texts.add(compiled_with(folder, CONFIGS / "digits.yaml", f"skip_unchanged={skip_unchanged}").text)
    assert len(texts) == 1


def test_packs_run_side_by_side_and_trials_do_not(tmp_path: Path) -> None:
    compiled = compiled_with(tmp_path, CONFIGS / "digits.yaml", "search.packs=5", "search.fine.trials=3")
    tasks = next(dag for dag in dags(compiled.pipeline) if "coarse-pack" in dag["tasks"])["tasks"]
    packs = {name: task for name, task in tasks.items() if re.fullmatch(r"(coarse|fine)-pack(-\d+)?", name)}
    assert not any("parameterIterator" in task for task in tasks.values())
    numbers = {name: task["inputs"]["parameters"]["pack"]["runtimeValue"]["constant"] for name, task in packs.items()}
    assert numbers == {
        "coarse-pack": 0,
        "coarse-pack-2": 1,
        "coarse-pack-3": 2,
        "coarse-pack-4": 3,
        "coarse-pack-5": 4,
        "fine-pack": 0,
        "fine-pack-2": 1,
        "fine-pack-3": 2,
    }
    before = {name: set(task["dependentTasks"]) for name, task in tasks.items() if "dependentTasks" in task}
    for stage, gives, takes in (("coarse", "sanity", "narrow-search"), ("fine", "narrow-search", "final-training")):
        own = {name for name in packs if name.startswith(stage)}
        assert all(gives in before[name] and not before[name] & packs.keys() for name in own)
        assert before[takes] & packs.keys() == own
    assert {task["taskInfo"]["name"] for task in packs.values()} == {
        *(f"coarse pack {number} of 5" for number in range(1, 6)),
        *(f"fine pack {number} of 3" for number in range(1, 4)),
    }


def pods(specification: dict[str, Any], tasks: dict[str, dict[str, Any]]) -> tuple[int, int]:
    """In all and in a row: two for a task, one for a group beside what is in it; an exit task comes last."""
    in_all, ends = 0, {}
    waiting = {**tasks}
    while waiting:
        for name, task in [*waiting.items()]:
            before = task.get("dependentTasks", [])
            if not waiting.keys() & {*before}:
                component = specification["components"][task["componentRef"]["name"]]
                own, long = pods(specification, component["dag"]["tasks"]) if "dag" in component else (1, 1)
                in_all += 1 + own
                ends[name] = max((ends[one] for one in before), default=0) + 1 + long
                del waiting[name]
    return in_all, max(ends.values())


def test_a_run_takes_few_pods(tmp_path: Path) -> None:
    for number in (1, 2, 5):
        folder = tmp_path / str(number)
        folder.mkdir()
        specification = compiled_with(folder, CONFIGS / "digits.yaml", f"search.packs={number}").pipeline
        in_all, in_a_row = pods(specification, specification["root"]["dag"]["tasks"])
        assert 1 + in_all <= 18 + 2 * 2 * number  # with the driver of the root
        assert 1 + in_a_row <= 20


def test_what_a_pack_is_given_is_short(compiled: Compiled) -> None:
    """It is kept six times in Argo's workflow, for each of hundreds of packs."""
    for stage in ("coarse-pack", "fine-pack"):
        task, container = leaf_tasks(compiled.pipeline)[stage], compiled.executors[stage]
        assert set(task["inputs"]["parameters"]) == {"pack", "plan"}
        assert len(" ".join(container["command"])) <= 900


def test_the_exit_handler_runs_whatever_happened(compiled: Compiled) -> None:
    closing = compiled.pipeline["root"]["dag"]["tasks"]["close-run"]
    assert closing["triggerPolicy"]["strategy"] == "ALL_UPSTREAM_TASKS_COMPLETED"
    given = {
        name: source["componentInputParameter"]
        for name, source in closing["inputs"]["parameters"].items()
        if "componentInputParameter" in source
    }
    assert given == {name: name for name in ("name", "run_name", "storage", "tracking_uri", "registry")}


def test_the_secret_address_of_who_is_told_reaches_the_two_steps_that_tell_and_no_other(tmp_path: Path) -> None:
    compiled = compiled_with(
        tmp_path, CONFIGS / "digits.yaml", "registry.notify_url=env:SHOP_HOOK", "cluster.notify_secret=sanefit-hook"
    )
    given = {
        step: secret
        for step, pod in compiled.pods.items()
        for secret in pod["secretAsEnv"]
        if secret["secretName"] == "sanefit-hook"
    }
    assert given.keys() == {"register-model", "close-run"}
    for secret in given.values():
        assert secret["keyToEnv"] == [{"envVar": "SHOP_HOOK", "secretKey": "SHOP_HOOK"}]
        assert secret["optional"] is True  # or a run could not even register without it


def test_a_cached_task_knows_the_code(compiled: Compiled) -> None:
    """Kubeflow's own key holds the image's name: a tag's content may change, and the user's module with it."""
    cached = {name: task for name, task in leaf_tasks(compiled.pipeline).items() if STEPS[name].cached}
    assert set(cached) == {"channel-stats"}
    for task in cached.values():
        source = task["inputs"]["parameters"]["code_digest"]["taskOutputParameter"]
        assert source["producerTask"] == "prepare"


def test_a_run_without_news_trains_nothing_when_asked(tmp_path: Path) -> None:
    compiled = compiled_with(tmp_path, CONFIGS / "digits.yaml", "skip_unchanged=true")
    assert set(leaf_tasks(compiled.pipeline)) == {*STEPS}
    outside = next(dag for dag in dags(compiled.pipeline) if "prepare" in dag["tasks"])["tasks"]
    [condition] = set(outside) - {"prepare"}
    assert "== 'news'" in outside[condition]["triggerPolicy"]["condition"]
    assert outside["prepare"]["inputs"]["parameters"]["skip_unchanged"]["runtimeValue"]["constant"] is True


def test_a_run_without_drift_trains_nothing_when_asked(tmp_path: Path) -> None:
    asked = "drift={retrain_when: drifted, least_effect: medium}"
    compiled = compiled_with(tmp_path, CONFIGS / "digits.yaml", asked)
    outside = next(dag for dag in dags(compiled.pipeline) if "prepare" in dag["tasks"])["tasks"]
    [condition] = set(outside) - {"prepare"}
    assert "== 'news'" in outside[condition]["triggerPolicy"]["condition"]
    given = outside["prepare"]["inputs"]["parameters"]
    assert given["skip_unchanged"]["runtimeValue"]["constant"] is False
    drift = DriftSettings.model_validate_json(given["drift"]["runtimeValue"]["constant"])
    assert drift == DriftSettings(retrain_when="drifted", least_effect="medium")


@pytest.mark.parametrize("output", ["nowhere/pipeline.yaml", "folder.yaml", "pipeline.json", "pipeline"])
def test_a_place_that_takes_no_file_is_one_line_before_anything_is_compiled(output: str, tmp_path: Path) -> None:
    (tmp_path / "folder.yaml").mkdir()
    with pytest.raises(SettingsError, match=re.escape(repr(str(tmp_path / output)))):
        compile_pipeline(load_config(CONFIGS / "digits.yaml", ()), IMAGES, tmp_path / output)
    assert [path.name for path in tmp_path.iterdir()] == ["folder.yaml"]
