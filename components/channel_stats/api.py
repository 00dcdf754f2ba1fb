"""What a command or a notebook may call: the channel statistics of a source, without a run."""

from sanefit.components.channel_stats.source_statistics import SourceStatistics, measure_source

__all__ = ["SourceStatistics", "measure_source"]
