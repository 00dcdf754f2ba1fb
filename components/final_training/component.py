"""Step 5 as a pipeline component."""

from kfp import dsl


@dsl.component(base_image="sanefit-trainer", install_kfp_package=False)
def final_training(
    dataset: str,
    stats: str,
    network: str,
    optimizer: str,
    final: str,
    ranking: str,
    run: str,
    seed: int,
    metrics: dsl.Output[dsl.Metrics],
) -> str:
    """Train the best setting and test it; returns a TrainedModel."""
    from sanefit.components.final_training.final_training import train_final
    from sanefit.components.final_training.member_runs import visible_workers
    from sanefit.components.foundation.schemas.final_model import FinalTrainingSettings
    from sanefit.components.foundation.schemas.images import DatasetReference
    from sanefit.components.foundation.schemas.networks import network_settings
    from sanefit.components.foundation.schemas.runs import RunReference
    from sanefit.components.foundation.schemas.search import Ranking
    from sanefit.components.foundation.schemas.statistics import ChannelStats
    from sanefit.components.foundation.schemas.training import OptimizerSettings
    from sanefit.components.foundation.step_lines.step_log import running_step

    with running_step("train") as say:
        trained = train_final(
            DatasetReference.model_validate_json(dataset),
            ChannelStats.model_validate_json(stats),
            network_settings.validate_json(network),
            OptimizerSettings.model_validate_json(optimizer),
            FinalTrainingSettings.model_validate_json(final),
            Ranking.model_validate_json(ranking),
            RunReference.model_validate_json(run),
            seed=seed,
            say=say,
            workers=visible_workers(),
        )
        metrics.log_metric("validation_accuracy", trained.validation_accuracy)
        metrics.log_metric("test_accuracy", trained.test_accuracy)
        return trained.model_dump_json()
