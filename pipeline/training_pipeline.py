"""The DAG. The same file is compiled for a cluster and run on a laptop.

::

    snapshot ─► identity ─► [news?] ─► stats ─► sanity ─► report of the checks ─► gate ─► coarse search ─► fine search
                                   └─► open run                               ─► final training ─► register ─► report
    exit handler: close run, whatever happened

    a search:  plan ─► [pack … pack] ─► rank
    news?      only where a run without news is to end at once

The pipeline's own parameters are text (JSON of a settings section) or numbers, so a run can be repeated from them
alone. Steps hand each other short texts that say where in the storage a result is, never the result.
"""

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from kfp import dsl

from sanefit.components.channel_stats.component import channel_stats
from sanefit.components.dataset_snapshot.component import snapshot
from sanefit.components.final_training.component import final_training
from sanefit.components.foundation.schemas.runs import NEWS
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
from sanefit.pipeline.placement import Placement
from sanefit.pipeline.task_names import TRAINING_PIPELINE


def search_stage_pipeline(place: Placement) -> Any:
    """One stage of the search as a pipeline inside the pipeline."""

    @dsl.pipeline(name="sanefit-search-stage")
    def search_stage(
        stage: str,
        search: str,
        checks: str,
        previous: str,
        dataset: str,
        stats: str,
        network: str,
        optimizer: str,
        run: str,
        seed: int,
        packs_per_machine: int,
    ) -> str:
        """Plan, train packs side by side, rank; returns a reference to a Ranking."""
        plan = place.trainer_step(
            plan_trials(
                stage=stage,
                search=search,
                network=network,
                optimizer=optimizer,
                checks=checks,
                dataset=dataset,
                previous=previous,
                run=run,
                seed=seed,
            )
        )
        with dsl.ParallelFor(items=plan.output) as pack_plan:
            pack = place.search_pack(
                train_pack(
                    stage=stage,
                    plan=pack_plan,
                    dataset=dataset,
                    stats=stats,
                    network=network,
                    optimizer=optimizer,
                    run=run,
                    seed=seed,
                    packs_per_machine=packs_per_machine,
                )
            )
        ranking = place.trainer_step(rank_trials(stage=stage, packs=dsl.Collected(pack.output), run=run))
        return ranking.output  # type: ignore[no-any-return]

    return search_stage


def training_pipeline(place: Placement, *, skip_unchanged: bool = False) -> Any:
    """The whole DAG.

    Args:
        place: where its steps run.
        skip_unchanged: end, as succeeded, when a run of this model has finished that was made from the same images,
            code and configuration.
    """
    search_stage = search_stage_pipeline(place)

    @dsl.pipeline(name=TRAINING_PIPELINE, pipeline_config=place.pipeline_config())
    def training(
        name: str,
        data: str,
        stats: str,
        network: str,
        optimizer: str,
        checks: str,
        search: str,
        final: str,
        registry: str,
        seed: int,
        storage: str,
        tracking_uri: str,
        run_name: str = "",
        packs_per_machine: int = 1,
    ) -> None:
        """Look at the data, check the network, search, train the best, register it.

        Args:
            name: of the registered model and the MLflow experiment.
            data, stats, network, optimizer, checks, search, final, registry: JSON of the settings sections.
            seed: of everything random.
            storage: a folder or ``s3://`` prefix that every step can reach.
            tracking_uri: of MLflow.
            run_name: unique; by default the name that the orchestrator gives the run.
            packs_per_machine: packs that share one machine's cores.
        """
        names = {
            "name": name,
            "run_name": run_name,
            "job_name": dsl.PIPELINE_JOB_NAME_PLACEHOLDER,
            "job_id": dsl.PIPELINE_JOB_ID_PLACEHOLDER,
        }
        places = {"storage": storage, "tracking_uri": tracking_uri}
        sections = {
            "data": data,
            "stats": stats,
            "network": network,
            "optimizer": optimizer,
            "checks": checks,
            "search": search,
            "final": final,
        }
        closing = place.telling_step(close_run(**names, **places, registry=registry))
        with dsl.ExitHandler(closing):
            dataset = place.snapshot_step(snapshot(data=data, storage=storage)).output
            identity = place.trainer_step(identify_training(dataset=dataset, seed=seed, **sections)).outputs
            with _if_news(place, skip_unchanged, {**names, **places}, identity["run"]):
                run = place.signing_step(
                    open_run(
                        **names,
                        **places,
                        identity=identity["run"],
                        dataset=dataset,
                        registry=registry,
                        seed=seed,
                        **sections,
                    )
                ).output
                measured, verdicts, inputs = _checked(place, dataset, sections, seed, identity)
                found = {"run": run, "dataset": dataset, "stats": measured, "checks": verdicts}
                checks_page = place.data_step(run_report(**found))
                passed = place.data_step(gate(checks=verdicts, run=run), retried=False).after(checks_page)

                searched = {
                    **inputs,
                    "search": search,
                    "checks": verdicts,
                    "run": run,
                    "packs_per_machine": packs_per_machine,
                }
                coarse = search_stage(stage="coarse", previous="", **searched).after(passed).output
                fine = search_stage(stage="fine", previous=coarse, **searched).output

                trained = place.final_training_step(
                    final_training(**inputs, final=final, ranking=fine, run=run)
                ).outputs["Output"]
                evidence = {"trained": trained, "checks": verdicts, "identity": identity["run"], "registry": registry}
                registered = register_model(name=name, data=data, **inputs, **evidence, run=run)
                registration = place.registration_step(registered).output
                place.data_step(
                    run_report(**found, coarse=coarse, fine=fine, trained=trained, registration=registration)
                )

    return training


def check_pipeline(place: Placement) -> Any:
    """The data and the checks alone."""

    @dsl.pipeline(name="sanefit-check")
    def check(
        data: str, stats: str, network: str, optimizer: str, checks: str, search: str, seed: int, storage: str
    ) -> None:
        """Arguments as for the training pipeline."""
        sections = {
            "data": data,
            "stats": stats,
            "network": network,
            "optimizer": optimizer,
            "checks": checks,
            "search": search,
            "final": "{}",
        }
        dataset = place.snapshot_step(snapshot(data=data, storage=storage)).output
        identity = place.trainer_step(identify_training(dataset=dataset, seed=seed, **sections)).outputs
        _, verdicts, _ = _checked(place, dataset, sections, seed, identity)
        place.data_step(gate(checks=verdicts), retried=False)

    return check


def _checked(
    place: Placement, dataset: Any, sections: Mapping[str, Any], seed: Any, identity: Mapping[str, Any]
) -> tuple[Any, Any, dict[str, Any]]:
    """The statistics, the checks' verdicts, and what every step that trains is given."""
    measured = place.data_step(
        channel_stats(dataset=dataset, stats=sections["stats"], code_digest=identity["statistics_code"]), cached=True
    ).output
    inputs = {
        "dataset": dataset,
        "stats": measured,
        "network": sections["network"],
        "optimizer": sections["optimizer"],
        "seed": seed,
    }
    checked = sanity(
        **inputs, search=sections["search"], checks=sections["checks"], code_digest=identity["checks_code"]
    )
    return measured, place.trainer_step(checked, cached=True).output, inputs


def _if_news(
    place: Placement, skip_unchanged: bool, run: Mapping[str, Any], identity: Any
) -> AbstractContextManager[Any]:
    """``run``: its names and places."""
    if not skip_unchanged:
        return nullcontext()
    comparison = place.trainer_step(compare_with_finished_runs(**run, identity=identity))
    return dsl.If(comparison.output == NEWS)  # type: ignore[no-any-return]
