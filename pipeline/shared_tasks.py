"""Steps that always run together, as one task: on Kubeflow a task is two pods, and about 20 seconds.

Which steps share one is said here and nowhere else; each step is its room's. The source of these functions travels to
the containers, in which kfp has no decorators: so they call ``steps.py``, and not ``component.py``.
"""

from typing import NamedTuple

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
    drift: str,
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
    """Take the snapshot, say what the run is, and open it, unless it has no news and is to end then.

    ``drift``: JSON of DriftSettings; empty where it does not matter whether images have drifted.
    """
    from sanefit.components.dataset_snapshot.steps import snapshot
    from sanefit.components.foundation.schemas.runs import NEWS
    from sanefit.components.model_registry.steps import (
        compare_with_champion,
        compare_with_finished_runs,
        identify_training,
        open_run,
    )

    sections = {
        "data": data,
        "stats": stats,
        "network": network,
        "optimizer": optimizer,
        "checks": checks,
        "search": search,
        "final": final,
    }
    names = name, run_name or job_name, job_id
    places = storage, tracking_uri
    dataset = snapshot(data, storage)
    identity, *codes = identify_training(dataset, seed, sections)
    news, run = NEWS, ""
    if skip_unchanged:
        news = compare_with_finished_runs(*names, *places, identity)
    if news == NEWS and drift:
        news = compare_with_champion(*names, *places, dataset, drift, seed)
    if news == NEWS:
        run = open_run(*names, *places, identity, dataset, registry, seed, sections)
    return (dataset, identity, *codes, news, run)


@dsl.component(base_image="sanefit-trainer", install_kfp_package=False)
def sanity(
    dataset: str,
    stats: str,
    network: str,
    optimizer: str,
    seed: int,
    search: str,
    checks: str,
    code_digest: str,
    run: str,
    packs: int,
    page: dsl.Output[dsl.HTML],
) -> NamedTuple(  # type: ignore[valid-type]
    "Checked", [("inputs", str), ("checks", str), ("plan", str), ("packs", list[int])]
):
    """Check the network, write the page, stop the run if a check failed, and plan the search.

    Gives what every step that trains is given as one text, and the numbers of the packs.
    """
    from sanefit.components.foundation.schemas.training import TrainingParameters
    from sanefit.components.hyperparameter_search.steps import plan_trials
    from sanefit.components.run_report.steps import run_report
    from sanefit.components.sanity_checks.steps import gate, sanity

    given = TrainingParameters(dataset=dataset, stats=stats, network=network, optimizer=optimizer, seed=seed)
    inputs = given.model_dump_json()
    found = sanity(inputs, search, checks, code_digest, run)
    run_report(run, inputs, found, page.path)
    gate(found, run)
    plan = plan_trials("coarse", packs, inputs, search, found, "", run)
    return (inputs, found, plan, list(range(packs)))


@dsl.component(base_image="sanefit-trainer", install_kfp_package=False)
def coarse_pack(pack: int, plan: str) -> int:
    """Train one pack."""
    from sanefit.components.hyperparameter_search.steps import train_pack

    return train_pack("coarse", pack, plan)


@dsl.component(base_image="sanefit-trainer", install_kfp_package=False)
def narrow_search(
    plan: str, packs: int, inputs: str, search: str, checks: str, run: str, trained: list[int]
) -> NamedTuple(  # type: ignore[valid-type]
    "Narrowed", [("coarse", str), ("plan", str), ("packs", list[int])]
):
    """Rank the coarse trials, and plan the fine search around the best of them; ``trained``: packs waited for."""
    from sanefit.components.hyperparameter_search.steps import plan_trials, rank_trials

    del trained
    coarse = rank_trials("coarse", plan, run)
    fine = plan_trials("fine", packs, inputs, search, checks, coarse, run)
    return (coarse, fine, list(range(packs)))


@dsl.component(base_image="sanefit-trainer", install_kfp_package=False)
def fine_pack(pack: int, plan: str) -> int:
    """Train one pack."""
    from sanefit.components.hyperparameter_search.steps import train_pack

    return train_pack("fine", pack, plan)


@dsl.component(base_image="sanefit-trainer", install_kfp_package=False)
def final_training(
    plan: str, inputs: str, final: str, run: str, trained: list[int], metrics: dsl.Output[dsl.Metrics]
) -> NamedTuple("Trained", [("fine", str), ("trained", str)]):  # type: ignore[valid-type]
    """Rank the fine trials, train the best setting at length, and test it; ``trained``: packs waited for."""
    from sanefit.components.final_training.steps import final_training
    from sanefit.components.hyperparameter_search.steps import rank_trials

    del trained
    fine = rank_trials("fine", plan, run)
    return (fine, final_training(inputs, final, fine, run, metrics.log_metric))


@dsl.component(base_image="sanefit-trainer", install_kfp_package=False)
def register_model(
    name: str,
    data: str,
    inputs: str,
    registry: str,
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

    registration = register_model(name, data, inputs, registry, trained, run, checks, identity)
    run_report(run, inputs, checks, page.path, coarse, fine, trained, registration)


@dsl.component(base_image="sanefit-trainer", install_kfp_package=False)
def identify_data(
    data: str, stats: str, network: str, optimizer: str, checks: str, search: str, seed: int, storage: str
) -> NamedTuple(  # type: ignore[valid-type]
    "Identified", [("dataset", str), ("statistics_code", str), ("checks_code", str)]
):
    """Take the snapshot, and say what statistics and checks depend on; no run is opened."""
    from sanefit.components.dataset_snapshot.steps import snapshot
    from sanefit.components.model_registry.steps import identify_training

    sections = {"data": data, "stats": stats, "network": network, "optimizer": optimizer}
    dataset = snapshot(data, storage)
    _, *codes = identify_training(dataset, seed, {**sections, "checks": checks, "search": search, "final": "{}"})
    return (dataset, *codes)


@dsl.component(base_image="sanefit-trainer", install_kfp_package=False)
def check_network(
    dataset: str,
    stats: str,
    network: str,
    optimizer: str,
    seed: int,
    search: str,
    checks: str,
    code_digest: str,
    run_name: str,
) -> str:
    """Check the network, and write the page; returns a reference to a CheckReport, whatever it says."""
    from sanefit.components.foundation.schemas.training import TrainingParameters
    from sanefit.components.run_report.steps import report_of_checks
    from sanefit.components.sanity_checks.steps import sanity

    given = TrainingParameters(dataset=dataset, stats=stats, network=network, optimizer=optimizer, seed=seed)
    inputs = given.model_dump_json()
    found = sanity(inputs, search, checks, code_digest)
    report_of_checks(run_name, inputs, found)
    return found


@dsl.component(base_image="sanefit-trainer", install_kfp_package=False)
def plant_faults(
    dataset: str,
    stats: str,
    network: str,
    optimizer: str,
    seed: int,
    search: str,
    checks: str,
    found: str,
    run_name: str,
) -> str:
    """Plant faults one by one, and write the page again; returns a reference to a MutationReport."""
    from sanefit.components.foundation.schemas.training import TrainingParameters
    from sanefit.components.run_report.steps import report_of_checks
    from sanefit.components.sanity_checks.steps import plant_faults

    given = TrainingParameters(dataset=dataset, stats=stats, network=network, optimizer=optimizer, seed=seed)
    inputs = given.model_dump_json()
    planted = plant_faults(inputs, search, checks, run_name)
    report_of_checks(run_name, inputs, found, planted)
    return planted


@dsl.component(base_image="sanefit-trainer", install_kfp_package=False)
def gate(checks: str) -> None:
    """Fail if a check failed; a task of its own, so that what was found is given nonetheless."""
    from sanefit.components.sanity_checks.steps import gate

    gate(checks)
