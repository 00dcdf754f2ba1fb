"""Step 2 as a pipeline component."""

from kfp import dsl


@dsl.component(base_image="sanefit-data", install_kfp_package=False)
def channel_stats(dataset: str, stats: str) -> str:
    """Measure the training split's channel statistics; returns ChannelStats."""
    from sanefit.components.channel_stats.channel_stats import measure_channel_stats
    from sanefit.components.foundation.schemas.images import DatasetReference
    from sanefit.components.foundation.schemas.statistics import StatsSettings
    from sanefit.components.foundation.step_lines.step_log import running_step

    with running_step("stats") as say:
        settings = StatsSettings.model_validate_json(stats)
        reference = DatasetReference.model_validate_json(dataset)
        return measure_channel_stats(reference, settings, say).model_dump_json()
