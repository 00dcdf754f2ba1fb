"""Step 2 as a pipeline component."""

from kfp import dsl


@dsl.component(base_image="sanefit-data", install_kfp_package=False)
def channel_stats(dataset: str, stats: str, code_digest: str) -> str:
    """Measure the training split's channel statistics; returns a reference to ChannelStats.

    ``code_digest``: of the code that measures, so that a result of other code is not taken from the cache.
    """
    from sanefit.components.channel_stats.channel_stats import measure_channel_stats
    from sanefit.components.foundation.schemas.images import DatasetReference
    from sanefit.components.foundation.schemas.statistics import StatsSettings
    from sanefit.components.foundation.step_lines.step_log import running_step
    from sanefit.components.foundation.storage.results import store_cached_result

    del code_digest
    with running_step("stats") as say:
        reference = DatasetReference.model_validate_json(dataset)
        measured = measure_channel_stats(reference, StatsSettings.model_validate_json(stats), say)
        return store_cached_result(reference.storage, "stats", measured)
