"""Step 4 as pipeline components: plan, pack, rank."""

from kfp import dsl


@dsl.component(base_image="sanefit-trainer", install_kfp_package=False)
def plan_trials(
    stage: str, search: str, network: str, optimizer: str, checks: str, previous: str, run: str, seed: int
) -> list[str]:
    """Draw the stage's trials; returns the URI of one PackPlan per pack."""
    from components.foundation.artifacts import CheckReport, RunReference
    from components.foundation.run_folder import write_pack_plan
    from components.foundation.settings import network_settings
    from components.foundation.step_log import running_step
    from components.foundation.training_settings import OptimizerSettings, SearchSettings
    from components.hyperparameter_search.ranking import parse_previous
    from components.hyperparameter_search.trial_plan import plan_stage

    with running_step(f"{stage} plan") as say:
        plans = plan_stage(
            stage,  # type: ignore[arg-type]
            SearchSettings.model_validate_json(search),
            network_settings.validate_json(network),
            OptimizerSettings.model_validate_json(optimizer),
            CheckReport.model_validate_json(checks),
            parse_previous(previous),
            seed,
            say,
        )
        folder_uri = RunReference.model_validate_json(run).folder_uri
        return [write_pack_plan(folder_uri, plan) for plan in plans]


@dsl.component(base_image="sanefit-trainer", install_kfp_package=False)
def train_pack(
    plan: str, dataset: str, stats: str, network: str, optimizer: str, run: str, seed: int, packs_per_machine: int
) -> str:
    """Train a pack of trials; returns the URI of a PackResult."""
    from components.foundation.artifacts import ChannelStats, DatasetReference, RunReference
    from components.foundation.run_folder import read_pack_plan
    from components.foundation.settings import network_settings
    from components.foundation.step_log import running_step
    from components.foundation.training_settings import OptimizerSettings
    from components.hyperparameter_search.trial_log import tracking_process

    pack_plan, parent = read_pack_plan(plan), RunReference.model_validate_json(run)
    step = f"{pack_plan.stage} pack {pack_plan.pack + 1}"
    with running_step(step) as say, tracking_process(parent.tracking_uri) as writer:
        from components.foundation.training.plain_loop import visible_devices
        from components.hyperparameter_search.trial_pack import run_pack

        return run_pack(
            pack_plan,
            DatasetReference.model_validate_json(dataset),
            ChannelStats.model_validate_json(stats),
            network_settings.validate_json(network),
            OptimizerSettings.model_validate_json(optimizer),
            parent,
            seed=seed,
            packs_per_machine=packs_per_machine,
            devices=visible_devices(),
            writer=writer,
            say=say,
        )


@dsl.component(base_image="sanefit-trainer", install_kfp_package=False)
def rank_trials(stage: str, packs: list[str]) -> str:
    """Rank the stage's trials; returns a Ranking."""
    from components.foundation.step_log import running_step
    from components.hyperparameter_search.ranking import rank_stage

    with running_step(f"{stage} rank") as say:
        return rank_stage(stage, packs, say).model_dump_json()  # type: ignore[arg-type]
