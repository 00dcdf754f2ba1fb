"""The DAG. The same file is compiled for a cluster and run on a laptop.

::

    prepare ─► stats ─► sanity ─► [coarse pack …] ─► narrow search ─► [fine pack …] ─► final training ─► register
    exit handler: close run, whatever happened

    prepare         snapshot, identity, is there news?, have images drifted?, open run
    sanity          the checks, their page, the gate, the plan of the coarse search
    narrow search   rank of the coarse trials, plan of the fine search
    final training  rank of the fine trials, the training, the test
    register        the version and its alias, the page

``shared_tasks.py`` says which steps share a task. The pipeline's own parameters are text (JSON of a settings section)
or numbers, so a run can be repeated from them alone. Steps hand each other short texts that say where in the storage a
result is, never the result.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from kfp import dsl

from sanefit.components.channel_stats.component import channel_stats
from sanefit.components.foundation.schemas.runs import NEWS
from sanefit.components.foundation.schemas.search import SearchSettings
from sanefit.components.model_registry.component import close_run
from sanefit.pipeline.placement import Placement
from sanefit.pipeline.shared_tasks import (
    check_network,
    coarse_pack,
    final_training,
    fine_pack,
    gate,
    identify_data,
    narrow_search,
    plant_faults,
    prepare,
    register_model,
    sanity,
)
from sanefit.pipeline.task_names import TRAINING_PIPELINE

UNROLLED_PACKS = 32  # of a stage: a loop needs two pods more for each; but the workflow of hundreds would be too large


def training_pipeline(
    place: Placement, searched: SearchSettings, *, skip_unchanged: bool = False, drift: str = ""
) -> Any:
    """The whole DAG.

    Args:
        place: where its steps run.
        searched: of the configuration; says how many packs there are.
        skip_unchanged: end, as succeeded, when a run of this model has finished that was made from the same images,
            code and configuration.
        drift: JSON of DriftSettings: end, as succeeded, when the images have not drifted from those that the champion
            was trained on; empty where that does not matter.
    """
    coarse_packs, fine_packs = searched.packs_of("coarse"), searched.packs_of("fine")

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
    ) -> None:
        """Look at the data, check the network, search, train the best, register it.

        Args:
            name: Of the registered model and the MLflow experiment.
            data: Where the images are and how they are split; JSON of the section of this name.
            stats: How the channels are measured; JSON.
            network: What is trained; JSON.
            optimizer: How it is trained, where the search does not say; JSON.
            checks: Thresholds of the checks, and which are skipped; JSON.
            search: Trials, ranges and packs of both stages; JSON.
            final: How the best setting is trained at length; JSON.
            registry: When a version becomes the champion; JSON.
            seed: Of everything random.
            storage: A folder or s3:// prefix that every step can reach.
            tracking_uri: Of MLflow.
            run_name: Unique; by default the name that the orchestrator gives the run.
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
            prepared = place.preparing_step(
                prepare(
                    **names,
                    **places,
                    **sections,
                    registry=registry,
                    seed=seed,
                    skip_unchanged=skip_unchanged,
                    drift=drift,
                ).set_display_name("prepare: snapshot, identity, open run")
            ).outputs
            with _if_news(prepared["news"], skip_unchanged or bool(drift)):
                dataset, run = prepared["dataset"], prepared["run"]
                measured = _measured(place, dataset, stats, prepared["statistics_code"])
                checked = place.checking_step(
                    sanity(
                        dataset=dataset,
                        stats=measured,
                        network=network,
                        optimizer=optimizer,
                        seed=seed,
                        search=search,
                        checks=checks,
                        code_digest=prepared["checks_code"],
                        run=run,
                        packs=coarse_packs,
                    ).set_display_name("sanity: checks, page, gate, coarse plan")
                ).outputs
                known = {"inputs": checked["inputs"], "run": run}
                trained, ended = _train_packs(place, coarse_pack, coarse_packs, checked)
                narrowed = place.trainer_step(
                    narrow_search(
                        **known,
                        plan=checked["plan"],
                        packs=fine_packs,
                        search=search,
                        checks=checked["checks"],
                        trained=trained,
                    )
                    .set_display_name("narrow search: coarse rank, fine plan")
                    .after(*ended)
                ).outputs
                trained, ended = _train_packs(place, fine_pack, fine_packs, narrowed)
                best = place.final_training_step(
                    final_training(**known, plan=narrowed["plan"], final=final, trained=trained)
                    .set_display_name("final training: fine rank, training, test")
                    .after(*ended)
                ).outputs
                found = {"coarse": narrowed["coarse"], "fine": best["fine"], "trained": best["trained"]}
                evidence = {"checks": checked["checks"], "identity": prepared["identity"]}
                place.registration_step(
                    register_model(
                        **known, **found, **evidence, name=name, data=data, registry=registry
                    ).set_display_name("register model: version, alias, page")
                )

    return training


def check_pipeline(place: Placement, *, mutate: bool = False) -> Any:
    """The data and the checks alone.

    Args:
        place: where its steps run.
        mutate: plant faults into a set-up that passed, and count those that the checks catch.
    """

    @dsl.pipeline(name="sanefit-check")
    def check(
        data: str,
        stats: str,
        network: str,
        optimizer: str,
        checks: str,
        search: str,
        seed: int,
        storage: str,
        run_name: str,
    ) -> None:
        """Arguments as for the training pipeline."""
        settings = {"network": network, "optimizer": optimizer, "checks": checks, "search": search, "seed": seed}
        identified = place.preparing_step(identify_data(data=data, stats=stats, storage=storage, **settings)).outputs
        measured = _measured(place, identified["dataset"], stats, identified["statistics_code"])
        given = {"dataset": identified["dataset"], "stats": measured, "run_name": run_name, **settings}
        found = place.checking_step(check_network(**given, code_digest=identified["checks_code"])).output
        passed = place.checking_step(gate(checks=found))
        if mutate:
            place.checking_step(plant_faults(**given, found=found).after(passed))

    return check


def _measured(place: Placement, dataset: Any, stats: Any, code: Any) -> Any:
    """A reference to the channel statistics, which Kubeflow keeps for other runs."""
    task = channel_stats(dataset=dataset, stats=stats, code_digest=code)
    return place.data_step(task, cached=True).output


def _train_packs(place: Placement, train: Callable[..., Any], packs: int, planned: Any) -> tuple[Any, list[Any]]:
    """The packs of a stage, side by side: their numbers in a list, and tasks to wait for; one of the two is empty."""
    if packs <= UNROLLED_PACKS:
        tasks = [place.search_pack(train(pack=pack, plan=planned["plan"])) for pack in range(packs)]
        for number, task in enumerate(tasks, start=1):
            task.set_display_name(f"{task.name.partition('-')[0]} pack {number} of {packs}")
        return [], tasks
    with dsl.ParallelFor(items=planned["packs"]) as pack:  # a list that is compiled would be kept for each round
        task = place.search_pack(train(pack=pack, plan=planned["plan"]))
    return dsl.Collected(task.output), []


def _if_news(news: Any, may_end: bool) -> AbstractContextManager[Any]:
    return dsl.If(news == NEWS) if may_end else nullcontext()
