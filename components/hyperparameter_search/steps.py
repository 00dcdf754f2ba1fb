"""Step 4, as a task runs it: texts in, a text out: plan, pack, rank."""


def plan_trials(stage: str, packs: int, inputs: str, search: str, checks: str, previous: str, run: str) -> str:
    """Draw the stage's trials and deal them into packs; returns a reference to a StagePlan.

    ``previous``: refers to the Ranking of the stage before; empty for the first.
    """
    from sanefit.components.foundation.image_dataset.shards import read_index, read_manifest
    from sanefit.components.foundation.schemas.checks import CheckReport
    from sanefit.components.foundation.schemas.images import DatasetReference
    from sanefit.components.foundation.schemas.networks import network_settings
    from sanefit.components.foundation.schemas.runs import RunReference
    from sanefit.components.foundation.schemas.search import SearchSettings
    from sanefit.components.foundation.schemas.training import OptimizerSettings, TrainingParameters
    from sanefit.components.foundation.step_lines.step_log import running_step
    from sanefit.components.foundation.storage.packs import store_stage_plan
    from sanefit.components.foundation.storage.results import load_result
    from sanefit.components.hyperparameter_search.plan.settled_folds import settle_folds
    from sanefit.components.hyperparameter_search.plan.trial_plan import for_packs, plan_stage, read_previous_stage

    with running_step(f"{stage} plan", run) as say:
        parent = RunReference.model_validate_json(run)
        settings = for_packs(SearchSettings.model_validate_json(search), stage, packs, say)  # type: ignore[arg-type]
        given = TrainingParameters.model_validate_json(inputs)
        snapshot = DatasetReference.model_validate_json(given.dataset)
        manifest = read_manifest(snapshot)
        folds = settle_folds(settings, manifest, read_index(snapshot, "train", manifest), say)
        plans = plan_stage(
            stage,  # type: ignore[arg-type]
            settings.model_copy(update={"folds": folds}),
            network_settings.validate_json(given.network),
            OptimizerSettings.model_validate_json(given.optimizer),
            load_result(CheckReport, checks).learning_rate_band,
            read_previous_stage(parent, previous),
            given.seed,
            say,
        )
        return store_stage_plan(parent, plans, given)


def train_pack(stage: str, pack: int, plan: str) -> int:
    """Train a pack of trials, and keep its PackResult in the run's folder; returns its number.

    ``pack``: counts from 0. ``plan``: refers to the StagePlan.
    """
    from sanefit.components.foundation.machine.termination import listening_for_sigterm
    from sanefit.components.foundation.schemas.stage_plan import StagePlan
    from sanefit.components.foundation.step_lines.step_log import running_step
    from sanefit.components.foundation.storage.results import load_result
    from sanefit.components.hyperparameter_search.pack.trial_log import tracking_process

    with running_step(f"{stage} pack {pack + 1}") as say, listening_for_sigterm():
        planned = load_result(StagePlan, plan)
        say.of(planned.run)
        with tracking_process(planned.run.tracking_uri) as writer:
            from sanefit.components.hyperparameter_search.pack.planned_pack import run_planned_pack

            run_planned_pack(planned, pack, writer, say)
    return pack


def rank_trials(stage: str, plan: str, run: str) -> str:
    """Rank the trials of a stage, given as a reference to its StagePlan; returns a reference to a Ranking."""
    from sanefit.components.foundation.schemas.runs import RunReference
    from sanefit.components.foundation.schemas.stage_plan import StagePlan
    from sanefit.components.foundation.step_lines.step_log import running_step
    from sanefit.components.foundation.storage.layout import Storage
    from sanefit.components.foundation.storage.packs import finished_packs
    from sanefit.components.foundation.storage.results import load_result, store_result
    from sanefit.components.foundation.tracking.untracked import fill_in_untracked
    from sanefit.components.hyperparameter_search.rank.ranking import rank_stage

    with running_step(f"{stage} rank", run) as say:
        parent = RunReference.model_validate_json(run)
        fill_in_untracked(parent, say)
        planned = load_result(StagePlan, plan)
        ranking = rank_stage(planned.stage, finished_packs(planned), say)
        return store_result(Storage(parent.storage).run(parent.run_name).result(f"{stage}-ranking"), ranking)
