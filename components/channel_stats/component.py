"""Step 2 as a pipeline component."""

from kfp import dsl


@dsl.component(base_image="sanefit-data", install_kfp_package=False)
def channel_stats(dataset: str, stats: str) -> str:
    """Measure the training split's channel statistics; returns ChannelStats."""
    from components.channel_stats.channel_stats import measure_channel_stats
    from components.foundation.artifacts import DatasetReference
    from components.foundation.settings import StatsSettings
    from components.foundation.step_log import running_step

    with running_step("stats") as say:
        settings = StatsSettings.model_validate_json(stats)
        reference = DatasetReference.model_validate_json(dataset)
        return measure_channel_stats(reference, settings, say).model_dump_json()
