"""The DAG. The same file is compiled for a cluster and run on a laptop.

::

    snapshot ─► stats ─► sanity ─► report of the checks ─► gate ─► coarse search ─► fine search
            └─► open run                                           ─► final training ─► register ─► report
    exit handler: close run, whatever happened

    a search:  plan ─► [pack … pack] ─► rank

Every parameter is text (JSON of a settings section) or a number, so a run can be repeated
from its parameters alone.
"""

from kfp import dsl

from components.channel_stats.component import channel_stats
from components.dataset_snapshot.component import snapshot
from components.final_training.component import final_training
from components.hyperparameter_search.component import plan_trials, rank_trials, train_pack
from components.model_registry.component import close_run, open_run, register_model
from components.run_report.component import run_report
from components.sanity_checks.component import gate, sanity
from pipeline.placement import on_data_image, on_trainer_image


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
    """Plan, train packs side by side, rank; returns a Ranking."""
    plan = plan_trials(stage=stage, search=search, checks=checks, previous=previous, run=run, seed=seed)
    on_trainer_image(plan, cached=False)
    with dsl.ParallelFor(items=plan.output) as pack_plan:
        pack = train_pack(
            plan=pack_plan,
            dataset=dataset,
            stats=stats,
            network=network,
            optimizer=optimizer,
            run=run,
            seed=seed,
            packs_per_machine=packs_per_machine,
        )
        on_trainer_image(pack, cached=False)
    ranking = rank_trials(stage=stage, packs=dsl.Collected(pack.output))
    on_data_image(ranking, cached=False)
    return ranking.output  # type: ignore[no-any-return]


@dsl.pipeline(name="sanefit-training")
def training_pipeline(
    name: str,
    data: str,
    stats: str,
    network: str,
    optimizer: str,
    search: str,
    final: str,
    seed: int,
    storage: str,
    tracking_uri: str,
    run_name: str = "",
    packs_per_machine: int = 1,
) -> None:
    """Look at the data, check the network, search, train the best, register it.

    Args:
        name: of the registered model and the MLflow experiment.
        data, stats, network, optimizer, search, final: JSON of the settings sections.
        seed: of everything random.
        storage: a folder or ``s3://`` prefix that every step can reach.
        tracking_uri: of MLflow.
        run_name: unique; by default the name that the orchestrator gives the run.
        packs_per_machine: packs that share one machine's cores.
    """
    names = {"name": name, "run_name": run_name, "job_name": dsl.PIPELINE_JOB_NAME_PLACEHOLDER}
    places = {"storage": storage, "tracking_uri": tracking_uri}
    closing = on_trainer_image(close_run(**names, **places), cached=False)
    with dsl.ExitHandler(closing):
        dataset = on_data_image(snapshot(data=data, storage=storage), cached=False).output
        run = on_trainer_image(
            open_run(
                **names,
                **places,
                dataset=dataset,
                data=data,
                stats=stats,
                network=network,
                optimizer=optimizer,
                search=search,
                final=final,
                seed=seed,
            ),
            cached=False,
        ).output
        measured = on_data_image(channel_stats(dataset=dataset, stats=stats), cached=True).output
        checks = on_trainer_image(
            sanity(dataset=dataset, stats=measured, network=network, optimizer=optimizer, seed=seed), cached=True
        ).output
        found = {"run": run, "dataset": dataset, "stats": measured, "checks": checks}
        checks_page = on_data_image(run_report(**found), cached=False)
        passed = on_data_image(gate(checks=checks), cached=False).after(checks_page)

        searched = {
            "search": search,
            "checks": checks,
            "dataset": dataset,
            "stats": measured,
            "network": network,
            "optimizer": optimizer,
            "run": run,
            "seed": seed,
            "packs_per_machine": packs_per_machine,
        }
        coarse = search_stage(stage="coarse", previous="", **searched).after(passed).output
        fine = search_stage(stage="fine", previous=coarse, **searched).output

        trained = on_trainer_image(
            final_training(
                dataset=dataset,
                stats=measured,
                network=network,
                optimizer=optimizer,
                final=final,
                ranking=fine,
                run=run,
                seed=seed,
            ),
            cached=False,
        ).outputs["Output"]
        registration = on_trainer_image(
            register_model(name=name, dataset=dataset, stats=measured, network=network, trained=trained, run=run),
            cached=False,
        ).output
        on_data_image(
            run_report(**found, coarse=coarse, fine=fine, trained=trained, registration=registration), cached=False
        )


@dsl.pipeline(name="sanefit-check")
def check_pipeline(data: str, stats: str, network: str, optimizer: str, seed: int, storage: str) -> None:
    """The data and the checks alone; arguments as for ``training_pipeline``."""
    dataset = on_data_image(snapshot(data=data, storage=storage), cached=False).output
    measured = on_data_image(channel_stats(dataset=dataset, stats=stats), cached=True).output
    checks = sanity(dataset=dataset, stats=measured, network=network, optimizer=optimizer, seed=seed)
    on_data_image(gate(checks=on_trainer_image(checks, cached=True).output), cached=False)
