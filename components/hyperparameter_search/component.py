"""Step 4 as pipeline components: plan, pack, rank."""

from kfp import dsl


@dsl.component(base_image="sanefit-trainer", install_kfp_package=False)
def plan_trials(
    stage: str, search: str, network: str, optimizer: str, checks: str, previous: str, run: str, seed: int
) -> list[str]:
    """Draw the stage's trials; returns the URI of one PackPlan per pack."""
    from sanefit.components.foundation.schemas.checks import CheckReport
    from sanefit.components.foundation.schemas.networks import network_settings
    from sanefit.components.foundation.schemas.runs import RunReference
    from sanefit.components.foundation.schemas.search import SearchSettings
    from sanefit.components.foundation.schemas.training import OptimizerSettings
    from sanefit.components.foundation.step_lines.step_log import running_step
    from sanefit.components.foundation.storage.run_folder import write_pack_plan
    from sanefit.components.hyperparameter_search.plan.trial_plan import plan_stage
    from sanefit.components.hyperparameter_search.rank.ranking import parse_previous

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
    from sanefit.components.foundation.schemas.images import DatasetReference
    from sanefit.components.foundation.schemas.networks import network_settings
    from sanefit.components.foundation.schemas.runs import RunReference
    from sanefit.components.foundation.schemas.statistics import ChannelStats
    from sanefit.components.foundation.schemas.training import OptimizerSettings
    from sanefit.components.foundation.step_lines.step_log import running_step
    from sanefit.components.foundation.storage.run_folder import read_pack_plan
    from sanefit.components.hyperparameter_search.pack.trial_log import tracking_process

    pack_plan, parent = read_pack_plan(plan), RunReference.model_validate_json(run)
    step = f"{pack_plan.stage} pack {pack_plan.pack + 1}"
    with running_step(step) as say, tracking_process(parent.tracking_uri) as writer:
        from sanefit.components.foundation.machine.devices import visible_devices
        from sanefit.components.hyperparameter_search.pack.trial_pack import run_pack

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
    from sanefit.components.foundation.step_lines.step_log import running_step
    from sanefit.components.hyperparameter_search.rank.ranking import rank_stage

    with running_step(f"{stage} rank") as say:
        return rank_stage(stage, packs, say).model_dump_json()  # type: ignore[arg-type]
