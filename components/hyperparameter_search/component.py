"""Step 4 as pipeline components: plan, pack, rank."""

from kfp import dsl


@dsl.component(base_image="sanefit-trainer", install_kfp_package=False)
def plan_trials(
    stage: str,
    search: str,
    network: str,
    optimizer: str,
    checks: str,
    dataset: str,
    previous: str,
    run: str,
    seed: int,
) -> list[str]:
    """Draw the stage's trials; returns a short text for each pack, which names its PackPlan."""
    from sanefit.components.foundation.image_dataset.shards import read_index, read_manifest
    from sanefit.components.foundation.schemas.checks import CheckReport
    from sanefit.components.foundation.schemas.images import DatasetReference
    from sanefit.components.foundation.schemas.networks import network_settings
    from sanefit.components.foundation.schemas.runs import RunReference
    from sanefit.components.foundation.schemas.search import SearchSettings
    from sanefit.components.foundation.schemas.training import OptimizerSettings
    from sanefit.components.foundation.step_lines.step_log import running_step
    from sanefit.components.foundation.storage.packs import store_pack_plan
    from sanefit.components.foundation.storage.results import load_result
    from sanefit.components.hyperparameter_search.plan.settled_folds import settle_folds
    from sanefit.components.hyperparameter_search.plan.trial_plan import plan_stage, read_previous_stage

    with running_step(f"{stage} plan", run) as say:
        parent = RunReference.model_validate_json(run)
        settings = SearchSettings.model_validate_json(search)
        snapshot = DatasetReference.model_validate_json(dataset)
        manifest = read_manifest(snapshot)
        folds = settle_folds(settings, manifest, read_index(snapshot, "train", manifest), say)
        plans = plan_stage(
            stage,  # type: ignore[arg-type]
            settings.model_copy(update={"folds": folds}),
            network_settings.validate_json(network),
            OptimizerSettings.model_validate_json(optimizer),
            load_result(CheckReport, checks).learning_rate_band,
            read_previous_stage(parent, previous),
            seed,
            say,
        )
        return [store_pack_plan(parent, plan) for plan in plans]


@dsl.component(base_image="sanefit-trainer", install_kfp_package=False)
def train_pack(
    stage: str,
    plan: str,
    dataset: str,
    stats: str,
    network: str,
    optimizer: str,
    run: str,
    seed: int,
    packs_per_machine: int,
) -> str:
    """Train a pack of trials; returns a short text that names its PackResult."""
    from sanefit.components.foundation.schemas.runs import RunReference
    from sanefit.components.foundation.step_lines.step_log import running_step
    from sanefit.components.foundation.storage.packs import load_pack_plan, pack_number
    from sanefit.components.hyperparameter_search.pack.trial_log import tracking_process

    parent = RunReference.model_validate_json(run)
    step = f"{stage} pack {pack_number(plan) + 1}"
    with running_step(step, run) as say, tracking_process(parent.tracking_uri) as writer:
        from sanefit.components.foundation.machine.devices import visible_devices
        from sanefit.components.foundation.training.inputs import read_training_inputs
        from sanefit.components.hyperparameter_search.pack.trial_pack import PackMachine, run_pack

        pack_plan = load_pack_plan(parent, stage, plan)  # type: ignore[arg-type]
        inputs = read_training_inputs(dataset, stats, network, optimizer, seed)
        machine = PackMachine(visible_devices(), packs_per_machine)
        return run_pack(pack_plan, inputs, parent, machine, writer=writer, say=say)


@dsl.component(base_image="sanefit-trainer", install_kfp_package=False)
def rank_trials(stage: str, packs: list[str], run: str) -> str:
    """Rank the stage's trials; returns a reference to a Ranking."""
    from sanefit.components.foundation.schemas.runs import RunReference
    from sanefit.components.foundation.step_lines.step_log import running_step
    from sanefit.components.foundation.storage.layout import Storage
    from sanefit.components.foundation.storage.results import store_result
    from sanefit.components.foundation.tracking.untracked import fill_in_untracked
    from sanefit.components.hyperparameter_search.rank.ranking import rank_stage

    with running_step(f"{stage} rank", run) as say:
        parent = RunReference.model_validate_json(run)
        fill_in_untracked(parent, say)
        ranking = rank_stage(parent, stage, packs, say)  # type: ignore[arg-type]
        return store_result(Storage(parent.storage).run(parent.run_name).result(f"{stage}-ranking"), ranking)
