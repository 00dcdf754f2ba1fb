"""Step 2, as a task runs it: texts in, a text out."""


def channel_stats(dataset: str, stats: str) -> str:
    """Measure the training split's channel statistics; returns a reference to ChannelStats."""
    from sanefit.components.channel_stats.channel_stats import measure_channel_stats
    from sanefit.components.foundation.schemas.images import DatasetReference
    from sanefit.components.foundation.schemas.statistics import StatsSettings
    from sanefit.components.foundation.step_lines.step_log import running_step
    from sanefit.components.foundation.storage.results import store_cached_result

    with running_step("stats") as say:
        reference = DatasetReference.model_validate_json(dataset)
        measured = measure_channel_stats(reference, StatsSettings.model_validate_json(stats), say)
        return store_cached_result(reference.storage, "stats", measured)
