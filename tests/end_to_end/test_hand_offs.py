"""Nothing that grows with the work travels in a parameter: of the compiled pipeline, and of one that runs."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from command_line import sanefit
from PIL import Image

from sanefit.components.foundation.schemas.runs import RunReference
from sanefit.components.foundation.schemas.search import PackPlan, PackResult, SearchRange, TrialSetting, TrialSpec
from sanefit.components.foundation.storage.packs import (
    load_pack_plan,
    load_pack_results,
    store_pack_plan,
    store_pack_result,
)

LIMIT = 16 * 1024  # bytes of a parameter
CLASSES, PER_CLASS, EPOCHS = 200, {"train": 3, "val": 1, "test": 1}, 300
RANGE = SearchRange(learning_rate=(1e-3, 1.0), weight_decay=(1e-6, 1e-1), reasons=["given"])


def many_classes(folder: Path) -> None:
    random = np.random.default_rng(0)
    for split, count in PER_CLASS.items():
        for label in range(CLASSES):
            home = folder / split / f"a-class-with-a-rather-long-name-{label:04d}"
            home.mkdir(parents=True)
            for number in range(count):
                pixels = random.integers(0, 256, (8, 8, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(home / f"{number}.png")


@pytest.mark.slow
def test_no_parameter_of_a_run_of_many_classes_and_epochs_is_large(tmp_path: Path) -> None:
    many_classes(tmp_path / "images")
    trained = ["search.coarse.trials=2", "search.fine.trials=2", "search.coarse.epochs=1", "search.fine.epochs=1"]
    sets = [f"data.source=folder:{tmp_path / 'images'}", "data.splits=own", f"final.epochs={EPOCHS}", *trained]
    skipped = ["checks.skip=[overfit, carries_over, splits_alike, learning_rates]"]
    network = ["network={kind: two_layer, hidden: 16}", "search.coarse.learning_rate=[0.05, 0.2]"]
    ran = sanefit("run", "--json", "--workdir", str(tmp_path / "runs"), sets=[*sets, *skipped, *network])
    assert ran.result["status"] == "succeeded", ran.stderr[-2000:]
    outputs = list(Path(ran.result["run_dir"]).glob("tasks/**/executor_output.json"))
    assert len(outputs) >= 15
    found = {path: parameters(path) for path in outputs}
    assert {path: sizes for path, sizes in found.items() if any(size > LIMIT for size in sizes.values())} == {}
    assert sum(len(sizes) for sizes in found.values()) >= 12


def parameters(executor_output: Path) -> dict[str, int]:
    """Bytes of each parameter that a task gave."""
    values = json.loads(executor_output.read_text()).get("parameterValues", {})
    return {name: len(json.dumps(value).encode()) for name, value in values.items()}


def test_the_packs_of_a_stage_are_one_small_list(tmp_path: Path) -> None:
    run = RunReference(run_name="r", storage=str(tmp_path), tracking_uri="", tracking_run_id="")
    setting = TrialSetting(learning_rate=0.1, weight_decay=1e-4)
    plans, results = [], []
    for pack in range(200):
        specs = [TrialSpec(number=50 * pack + place, setting=setting, epochs=5, seed=place) for place in range(50)]
        plan = PackPlan(stage="fine", pack=pack, packs=200, trials_in_stage=10_000, search_range=RANGE, trials=specs)
        plans.append(store_pack_plan(run, plan))
        results.append(store_pack_result(run, pack, PackResult(stage="fine", search_range=RANGE, results=[])))
    assert len(json.dumps(plans).encode()) < LIMIT
    assert len(json.dumps(results).encode()) < LIMIT
    assert load_pack_plan(run, "fine", plans[7]).trials[0].number == 350
    assert len(load_pack_results(run, "fine", results)) == 200


def constants(node: Any) -> Iterator[str]:
    """Every constant that a compiled pipeline gives a task, or that is a parameter's default."""
    if isinstance(node, dict):
        for key, value in node.items():
            if key in ("constant", "defaultValue"):
                yield json.dumps(value)
            else:
                yield from constants(value)
    elif isinstance(node, list):
        for value in node:
            yield from constants(value)


def test_no_constant_of_the_compiled_pipeline_is_large(tmp_path: Path) -> None:
    compiled = tmp_path / "pipeline.yaml"
    assert sanefit("compile", "-o", str(compiled)).status == 0
    found = [constant for document in yaml.safe_load_all(compiled.read_text()) for constant in constants(document)]
    assert len(found) >= 10
    assert max(len(constant.encode()) for constant in found) < LIMIT
