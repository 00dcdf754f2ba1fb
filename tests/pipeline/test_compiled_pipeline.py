"""The compiled YAML: what a cluster is given."""

from typing import Any

import pytest
import yaml

from pipeline.compile import compile_pipeline
from pipeline.container_images import DATA_IMAGE, TRAINER_IMAGE
from pipeline.run_config import CONFIGS, load_config

PARAMETERS = {
    "name": ("STRING", False),
    "data": ("STRING", False),
    "stats": ("STRING", False),
    "network": ("STRING", False),
    "optimizer": ("STRING", False),
    "search": ("STRING", False),
    "final": ("STRING", False),
    "seed": ("NUMBER_INTEGER", False),
    "storage": ("STRING", False),
    "tracking_uri": ("STRING", False),
    "run_name": ("STRING", True),
    "packs_per_machine": ("NUMBER_INTEGER", True),
}
# step: (image, may be cached)
STEPS = {
    "snapshot": (DATA_IMAGE, False),
    "channel-stats": (DATA_IMAGE, True),
    "open-run": (TRAINER_IMAGE, False),
    "sanity": (TRAINER_IMAGE, True),
    "run-report": (DATA_IMAGE, False),
    "run-report-2": (DATA_IMAGE, False),
    "gate": (DATA_IMAGE, False),
    "plan-trials": (TRAINER_IMAGE, False),
    "plan-trials-2": (TRAINER_IMAGE, False),
    "train-pack": (TRAINER_IMAGE, False),
    "train-pack-2": (TRAINER_IMAGE, False),
    "rank-trials": (DATA_IMAGE, False),
    "rank-trials-2": (DATA_IMAGE, False),
    "final-training": (TRAINER_IMAGE, False),
    "register-model": (TRAINER_IMAGE, False),
    "close-run": (TRAINER_IMAGE, False),
}


@pytest.fixture(scope="module", params=sorted(CONFIGS.glob("*.yaml")), ids=lambda path: path.stem)
def compiled(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    output = tmp_path_factory.mktemp("compiled") / "pipeline.yaml"
    compile_pipeline(load_config(request.param), output)
    assert [path.name for path in output.parent.iterdir()] == ["pipeline.yaml"]
    specification: dict[str, Any] = yaml.safe_load(output.read_text())
    return specification


def dags(specification: dict[str, Any]) -> list[dict[str, Any]]:
    components = specification["components"].values()
    return [specification["root"]["dag"], *(c["dag"] for c in components if "dag" in c)]


def leaf_tasks(specification: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Tasks that run a container, by component."""
    return {
        task["componentRef"]["name"].removeprefix("comp-"): task
        for dag in dags(specification)
        for task in dag["tasks"].values()
        if "executorLabel" in specification["components"][task["componentRef"]["name"]]
    }


def test_the_public_parameters_are_these(compiled: dict[str, Any]) -> None:
    parameters = compiled["root"]["inputDefinitions"]["parameters"]
    given = {"name", "data", "stats", "network", "optimizer", "search", "final", "seed"}
    seen = {
        name: (entry["parameterType"], entry.get("isOptional", False) and name not in given)
        for name, entry in parameters.items()
    }
    assert seen == PARAMETERS
    assert {name for name, entry in parameters.items() if "defaultValue" in entry} == given | {
        "run_name",
        "packs_per_machine",
    }


def test_every_step_has_its_image_and_its_caching(compiled: dict[str, Any]) -> None:
    executors = compiled["deploymentSpec"]["executors"]
    seen = {
        name: (
            executors[compiled["components"][f"comp-{name}"]["executorLabel"]]["container"]["image"],
            task.get("cachingOptions", {}).get("enableCache", False),
        )
        for name, task in leaf_tasks(compiled).items()
    }
    assert seen == STEPS


def test_nothing_is_installed_when_a_step_runs(compiled: dict[str, Any]) -> None:
    for executor in compiled["deploymentSpec"]["executors"].values():
        command = " ".join(executor["container"]["command"])
        assert "pip install" not in command
        assert "pip" not in command.split()


def test_no_image_floats(compiled: dict[str, Any]) -> None:
    for executor in compiled["deploymentSpec"]["executors"].values():
        _, _, tag = executor["container"]["image"].rpartition(":")
        assert tag not in ("", "latest")


def test_packs_run_side_by_side_and_trials_do_not(compiled: dict[str, Any]) -> None:
    loops = [task for dag in dags(compiled) for task in dag["tasks"].values() if "parameterIterator" in task]
    assert len(loops) == 2
    for loop in loops:
        body = compiled["components"][loop["componentRef"]["name"]]["dag"]["tasks"]
        assert [task["componentRef"]["name"].removesuffix("-2") for task in body.values()] == ["comp-train-pack"]


def test_the_search_waits_for_the_gate(compiled: dict[str, Any]) -> None:
    inside = next(dag for dag in dags(compiled) if "gate" in dag["tasks"])["tasks"]
    assert "gate" in inside["sanefit-search-stage"]["dependentTasks"]
    assert "run-report" in inside["gate"]["dependentTasks"]


def test_the_exit_handler_runs_whatever_happened(compiled: dict[str, Any]) -> None:
    closing = compiled["root"]["dag"]["tasks"]["close-run"]
    assert closing["triggerPolicy"]["strategy"] == "ALL_UPSTREAM_TASKS_COMPLETED"
