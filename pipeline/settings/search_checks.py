"""What a search cannot honor of the network, found before anything runs."""

from sanefit.components.foundation.schemas.network_refusals import why_not_searched, why_not_stacked
from sanefit.components.foundation.schemas.networks import NetworkSettings
from sanefit.components.foundation.schemas.search import SearchSettings
from sanefit.components.foundation.schemas.searchable import SEARCHABLE


def check_search(search: SearchSettings, network: NetworkSettings) -> None:
    """Raise ValueError, one line, for what the network has not."""
    searched = {**search.coarse.ranges, **search.coarse.choices}
    reasons = [why_not_stacked(network)] if search.engine == "stacked" else []
    reasons += [
        why_not_searched(network, name, value)
        for name, values in searched.items()
        if SEARCHABLE[name].section == "network"
        for value in values
    ]
    for reason in filter(None, reasons):
        raise ValueError(reason)
