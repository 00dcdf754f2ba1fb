"""Step 2 as a pipeline component."""

from kfp import dsl


@dsl.component(base_image="sanefit-data", install_kfp_package=False)
def channel_stats(dataset: str, stats: str, code_digest: str) -> str:
    """Measure the training split's channel statistics; returns a reference to ChannelStats.

    ``code_digest``: of the code that measures, so that a result of other code is not taken from the cache.
    """
    from sanefit.components.channel_stats.steps import channel_stats

    del code_digest
    return channel_stats(dataset, stats)
