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

from sanefit.components.foundation.schemas.checks import CheckReport, LayerSignal
from sanefit.components.foundation.schemas.runs import RunReference
from sanefit.components.foundation.schemas.search import PackPlan, PackResult, SearchRange, TrialSetting, TrialSpec
from sanefit.components.foundation.storage.packs import (
    load_pack_plan,
    load_pack_results,
    store_pack_plan,
    store_pack_result,
)
from sanefit.components.foundation.storage.results import load_result, store_cached_result

LIMIT = 16 * 1024  # bytes of a parameter
CLASSES, PER_CLASS, EPOCHS, LAYERS = 1000, {"train": 3, "val": 1, "test": 1}, 300, 400
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


def sizes_of_outputs(run_dir: str) -> dict[str, int]:
    """Bytes of all that each task gave, parameters and artifacts' metadata."""
    outputs = Path(run_dir).glob("tasks/**/executor_output.json")
    return {str(path.relative_to(run_dir)): path.stat().st_size for path in outputs}


@pytest.mark.slow
def test_no_parameter_of_a_run_of_many_classes_and_epochs_is_large(tmp_path: Path) -> None:
    many_classes(tmp_path / "images")
    trained = ["search.coarse.trials=2", "search.fine.trials=2", "search.coarse.epochs=1", "search.fine.epochs=1"]
    sets = [f"data.source=folder:{tmp_path / 'images'}", "data.splits=own", f"final.epochs={EPOCHS}", *trained]
    skipped = ["checks.skip=[overfit, carries_over, splits_alike, learning_rates]"]
    network = ["network={kind: two_layer, hidden: 16}", "search.coarse.learning_rate=[0.05, 0.2]"]
    batches = ["optimizer.batch_size=512"]
    ran = sanefit("run", "--json", "--workdir", str(tmp_path / "runs"), sets=[*sets, *skipped, *network, *batches])
    assert ran.result["status"] == "succeeded", ran.stderr[-2000:]
    sizes = sizes_of_outputs(ran.result["run_dir"])
    assert len(sizes) >= 10
    assert {path: size for path, size in sizes.items() if size > LIMIT} == {}
    [certificate] = (tmp_path / "runs").rglob("certificate.json")
    assert certificate.stat().st_size <= LIMIT


def test_the_checks_of_many_layers_are_handed_on_as_a_short_text(tmp_path: Path) -> None:
    """Of a network that is too deep to be checked in a test."""
    numbers: dict[str, Any] = dict.fromkeys(
        ("mean", "std", "gradient_std", "saturated", "dead", "low", "high", "update_ratio"), 0.1
    )
    said: dict[str, Any] = {"kind": "Linear", "verdict": "healthy", "evidence": "std 1.0"}
    layers = [LayerSignal(layer=f"layers.{n}", histogram=[1] * 30, **said, **numbers) for n in range(LAYERS)]
    report = CheckReport(gates=[], layers=layers, probe=[], learning_rate_band=None)
    assert len(report.model_dump_json()) > LIMIT
    text = store_cached_result(str(tmp_path), "checks", report)
    assert len(text.encode()) < 1024
    assert load_result(CheckReport, text) == report


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


@pytest.mark.slow
def test_no_constant_of_the_compiled_pipeline_is_large(tmp_path: Path) -> None:
    compiled = tmp_path / "pipeline.yaml"
    assert sanefit("compile", "-o", str(compiled)).status == 0
    found = [constant for document in yaml.safe_load_all(compiled.read_text()) for constant in constants(document)]
    assert len(found) >= 10
    assert max(len(constant.encode()) for constant in found) < LIMIT
