"""The thin wrappers, one after another, each through its ``python_func``."""

import json
from pathlib import Path

import pytest
from kfp import dsl

from sanefit.components.channel_stats.component import channel_stats
from sanefit.components.dataset_snapshot.component import snapshot
from sanefit.components.final_training.component import final_training
from sanefit.components.foundation.schemas.checks import CheckReport
from sanefit.components.foundation.schemas.final_model import TrainedModel
from sanefit.components.foundation.schemas.runs import NEWS, NOTHING_NEW, Registration
from sanefit.components.foundation.schemas.search import Ranking
from sanefit.components.foundation.storage.results import load_result
from sanefit.components.hyperparameter_search.component import plan_trials, rank_trials, train_pack
from sanefit.components.model_registry.component import (
    close_run,
    compare_with_finished_runs,
    identify_training,
    open_run,
    register_model,
)
from sanefit.components.run_report.component import run_report
from sanefit.components.sanity_checks.component import gate, sanity
from sanefit.pipeline.settings.run_config import DEFAULT_CONFIG, load_config, pipeline_arguments

pytestmark = pytest.mark.slow


def test_the_wrappers_pass_the_work_on(tmp_path: Path) -> None:
    overrides = ["search.coarse.trials=3", "search.coarse.epochs=1", "search.fine.trials=1", "search.fine.epochs=1"]
    settings = pipeline_arguments(load_config(DEFAULT_CONFIG, [*overrides, "final.epochs=2"]))
    network, optimizer, search = settings["network"], settings["optimizer"], settings["search"]
    names = {"name": "wrapped", "run_name": "", "job_name": "job-7"}
    places = {"storage": str(tmp_path), "tracking_uri": f"sqlite:///{tmp_path}/mlflow.db"}

    dataset = snapshot.python_func(data=settings["data"], storage=str(tmp_path))
    sections = {key: settings[key] for key in ("data", "stats", "network", "optimizer", "checks", "search", "final")}
    identity, statistics_code, checks_code = identify_training.python_func(dataset=dataset, seed=0, **sections)
    run = open_run.python_func(**names, **places, identity=identity, seed=0, **sections)
    compared = {"name": "wrapped", "tracking_uri": places["tracking_uri"], "identity": identity}
    assert compare_with_finished_runs.python_func(**compared) == NEWS
    stats = channel_stats.python_func(dataset=dataset, stats=settings["stats"], code_digest=statistics_code)
    checks = sanity.python_func(
        dataset=dataset,
        stats=stats,
        network=network,
        optimizer=optimizer,
        search=search,
        checks=settings["checks"],
        seed=0,
        code_digest=checks_code,
    )
    assert load_result(CheckReport, checks).failures == []
    gate.python_func(checks=checks)

    trains = {"dataset": dataset, "stats": stats, "network": network, "optimizer": optimizer, "run": run, "seed": 0}
    rankings = {"": ""}
    for stage, previous in (("coarse", ""), ("fine", "coarse")):
        plans = plan_trials.python_func(
            stage=stage,
            search=search,
            network=network,
            optimizer=optimizer,
            checks=checks,
            previous=rankings[previous],
            run=run,
            seed=0,
        )
        packs = [train_pack.python_func(stage=stage, plan=plan, packs_per_machine=1, **trains) for plan in plans]
        rankings[stage] = rank_trials.python_func(stage=stage, packs=packs, run=run)
    assert load_result(Ranking, rankings["coarse"]).trials == 3
    assert load_result(Ranking, rankings["fine"]).trials == 1

    metrics = dsl.Metrics(uri=str(tmp_path / "metrics"))
    trained = final_training.python_func(**trains, final=settings["final"], ranking=rankings["fine"], metrics=metrics)
    result = load_result(TrainedModel, trained)
    assert metrics.metadata["test_accuracy"] == result.test_accuracy
    registration = register_model.python_func(name="wrapped", **trains, trained=trained)
    assert load_result(Registration, registration).alias == "champion"

    page = dsl.HTML(uri=str(tmp_path / "page.html"))
    run_report.python_func(
        run=run,
        dataset=dataset,
        stats=stats,
        checks=checks,
        page=page,
        coarse=rankings["coarse"],
        fine=rankings["fine"],
        trained=trained,
        registration=registration,
    )
    assert (tmp_path / "page.html").read_text() == (tmp_path / "runs" / "job-7" / "report.html").read_text()
    status = dsl.PipelineTaskFinalStatus("SUCCEEDED", "job-7", "", None, None)
    close_run.python_func(**names, **places, status=status)
    assert compare_with_finished_runs.python_func(**compared) == NOTHING_NEW
    assert json.loads((tmp_path / "runs" / "job-7" / "summary.json").read_text())["alias"] == "champion"
