"""Steps that always run together, as one task: on Kubeflow a task is two pods, and about 20 seconds.

Which steps share one is said here and nowhere else; each step is its room's. The source of these functions travels to
the containers, in which kfp has no decorators: so they call ``steps.py``, and not ``component.py``.
"""

from typing import Any, NamedTuple

from kfp import dsl


@dsl.component(base_image="sanefit-trainer", install_kfp_package=False)
def prepare(
    name: str,
    run_name: str,
    job_name: str,
    job_id: str,
    storage: str,
    tracking_uri: str,
    registry: str,
    data: str,
    stats: str,
    network: str,
    optimizer: str,
    checks: str,
    search: str,
    final: str,
    seed: int,
    skip_unchanged: bool,
) -> NamedTuple(  # type: ignore[valid-type]
    "Prepared",
    [
        ("dataset", str),
        ("identity", str),
        ("statistics_code", str),
        ("checks_code", str),
        ("news", str),
        ("run", str),
    ],
):
    """Take the snapshot, say what the run is, and open it, unless it has no news and is to end then."""
    from sanefit.components.dataset_snapshot.steps import snapshot
    from sanefit.components.foundation.schemas.runs import NEWS
    from sanefit.components.model_registry.steps import compare_with_finished_runs, identify_training, open_run

    names: Any = {"name": name, "run_name": run_name, "job_name": job_name, "job_id": job_id}
    places: Any = {"storage": storage, "tracking_uri": tracking_uri}
    sections: Any = {
        "data": data,
        "stats": stats,
        "network": network,
        "optimizer": optimizer,
        "checks": checks,
        "search": search,
        "final": final,
    }
    dataset = snapshot(data=data, storage=storage)
    identity, *codes = identify_training(dataset=dataset, seed=seed, **sections)
    news, run = NEWS, ""
    if skip_unchanged:
        news = compare_with_finished_runs(**names, **places, identity=identity)
    if news == NEWS:
        opened: Any = {"identity": identity, "dataset": dataset, "registry": registry, "seed": seed}
        run = open_run(**names, **places, **opened, **sections)
    return (dataset, identity, *codes, news, run)


@dsl.component(base_image="sanefit-trainer", install_kfp_package=False)
def sanity(
    dataset: str,
    stats: str,
    network: str,
    optimizer: str,
    search: str,
    checks: str,
    seed: int,
    code_digest: str,
    run: str,
    packs: int,
    page: dsl.Output[dsl.HTML],
) -> NamedTuple("Checked", [("checks", str), ("plan", str), ("packs", list[int])]):  # type: ignore[valid-type]
    """Check the network, write the page, stop the run if a check failed, and plan the search; ``packs``: numbers."""
    from sanefit.components.hyperparameter_search.steps import plan_trials
    from sanefit.components.run_report.steps import run_report
    from sanefit.components.sanity_checks.steps import gate, sanity

    inputs: Any = {"dataset": dataset, "stats": stats, "network": network, "optimizer": optimizer, "seed": seed}
    found = sanity(**inputs, search=search, checks=checks, code_digest=code_digest, run=run)
    run_report(run=run, dataset=dataset, stats=stats, checks=found, page=page.path)
    gate(checks=found, run=run)
    plan = plan_trials(stage="coarse", packs=packs, search=search, checks=found, previous="", run=run, **inputs)
    return (found, plan, list(range(packs)))


@dsl.component(base_image="sanefit-trainer", install_kfp_package=False)
def coarse_pack(pack: int, plan: str) -> int:
    """Train one pack."""
    from sanefit.components.hyperparameter_search.steps import train_pack

    return train_pack(pack, plan)


@dsl.component(base_image="sanefit-trainer", install_kfp_package=False)
def narrow_search(
    plan: str,
    packs: int,
    search: str,
    network: str,
    optimizer: str,
    checks: str,
    dataset: str,
    stats: str,
    run: str,
    seed: int,
    trained: list[int],
) -> NamedTuple("Narrowed", [("coarse", str), ("plan", str), ("packs", list[int])]):  # type: ignore[valid-type]
    """Rank the coarse trials, and plan the fine search around the best of them; ``trained``: packs waited for."""
    from sanefit.components.hyperparameter_search.steps import plan_trials, rank_trials

    del trained
    coarse = rank_trials(stage="coarse", plan=plan, run=run)
    inputs: Any = {"dataset": dataset, "stats": stats, "network": network, "optimizer": optimizer, "seed": seed}
    fine = plan_trials(stage="fine", packs=packs, search=search, checks=checks, previous=coarse, run=run, **inputs)
    return (coarse, fine, list(range(packs)))


@dsl.component(base_image="sanefit-trainer", install_kfp_package=False)
def fine_pack(pack: int, plan: str) -> int:
    """Train one pack."""
    from sanefit.components.hyperparameter_search.steps import train_pack

    return train_pack(pack, plan)


@dsl.component(base_image="sanefit-trainer", install_kfp_package=False)
def final_training(
    dataset: str,
    stats: str,
    network: str,
    optimizer: str,
    final: str,
    plan: str,
    run: str,
    seed: int,
    trained: list[int],
    metrics: dsl.Output[dsl.Metrics],
) -> NamedTuple("Trained", [("fine", str), ("trained", str)]):  # type: ignore[valid-type]
    """Rank the fine trials, train the best setting at length, and test it; ``trained``: packs waited for."""
    from sanefit.components.final_training.steps import final_training
    from sanefit.components.hyperparameter_search.steps import rank_trials

    del trained
    fine = rank_trials(stage="fine", plan=plan, run=run)
    inputs: Any = {"dataset": dataset, "stats": stats, "network": network, "optimizer": optimizer, "seed": seed}
    model = final_training(**inputs, final=final, ranking=fine, run=run, log_metric=metrics.log_metric)
    return (fine, model)


@dsl.component(base_image="sanefit-trainer", install_kfp_package=False)
def register_model(
    name: str,
    data: str,
    dataset: str,
    stats: str,
    network: str,
    optimizer: str,
    registry: str,
    seed: int,
    checks: str,
    identity: str,
    coarse: str,
    fine: str,
    trained: str,
    run: str,
    page: dsl.Output[dsl.HTML],
) -> None:
    """Register the model, decide between champion and challenger, and write the page."""
    from sanefit.components.model_registry.steps import register_model
    from sanefit.components.run_report.steps import run_report

    inputs: Any = {"dataset": dataset, "stats": stats, "network": network, "optimizer": optimizer, "seed": seed}
    evidence: Any = {"trained": trained, "checks": checks, "identity": identity, "registry": registry}
    registration = register_model(name=name, data=data, **inputs, **evidence, run=run)
    found = {"checks": checks, "coarse": coarse, "fine": fine, "trained": trained, "registration": registration}
    run_report(run=run, dataset=dataset, stats=stats, page=page.path, **found)


@dsl.component(base_image="sanefit-trainer", install_kfp_package=False)
def identify_data(
    data: str, stats: str, network: str, optimizer: str, checks: str, search: str, seed: int, storage: str
) -> NamedTuple(  # type: ignore[valid-type]
    "Identified", [("dataset", str), ("statistics_code", str), ("checks_code", str)]
):
    """Take the snapshot, and say what statistics and checks depend on; no run is opened."""
    from sanefit.components.dataset_snapshot.steps import snapshot
    from sanefit.components.model_registry.steps import identify_training

    dataset = snapshot(data=data, storage=storage)
    sections = {"data": data, "stats": stats, "network": network, "optimizer": optimizer}
    settings = {**sections, "checks": checks, "search": search, "final": "{}"}
    _, *codes = identify_training(dataset=dataset, seed=seed, **settings)
    return (dataset, *codes)


@dsl.component(base_image="sanefit-trainer", install_kfp_package=False)
def check_network(
    dataset: str, stats: str, network: str, optimizer: str, search: str, checks: str, seed: int, code_digest: str
) -> str:
    """Check the network; returns a reference to a CheckReport, whatever it says."""
    from sanefit.components.sanity_checks.steps import sanity

    inputs: Any = {"dataset": dataset, "stats": stats, "network": network, "optimizer": optimizer, "seed": seed}
    return sanity(**inputs, search=search, checks=checks, code_digest=code_digest)


@dsl.component(base_image="sanefit-trainer", install_kfp_package=False)
def gate(checks: str) -> None:
    """Fail if a check failed; a task of its own, so that what was found is given nonetheless."""
    from sanefit.components.sanity_checks.steps import gate

    gate(checks=checks)
