"""What a search, or a training, cannot honor of the network, found before anything runs."""

from sanefit.components.foundation.schemas.network_refusals import why_not_searched, why_not_stacked
from sanefit.components.foundation.schemas.networks import NetworkSettings
from sanefit.components.foundation.schemas.search import SearchSettings
from sanefit.components.foundation.schemas.searchable import SEARCHABLE
from sanefit.components.foundation.schemas.training import OptimizerSettings


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


def check_nesterov(optimizer: OptimizerSettings, search: SearchSettings) -> None:
    """Raise ValueError, one line, where a search would leave SGD with momentum, along which alone Nesterov looks."""
    if not optimizer.nesterov:
        return
    others = [kind for kind in search.coarse.choices.get("optimizer", ()) if kind != "sgd"]
    lowest, _ = search.coarse.ranges.get("momentum", (1.0, 1.0))
    asked = {f"search.coarse.optimizer with {others}": bool(others), "search.coarse.momentum from 0": lowest == 0}
    for setting in (setting for setting, is_asked in asked.items() if is_asked):
        raise ValueError(
            f"{setting}: optimizer.nesterov=true needs SGD with momentum in every trial; expected sgd and a momentum "
            "above 0; search those alone, or remove nesterov"
        )


def check_transfer(optimizer: OptimizerSettings, search: SearchSettings, network: NetworkSettings) -> None:
    """Raise ValueError, one line, for settings of pretrained networks where no weights are given."""
    if network.weights_uri:
        return
    asked = {
        f"optimizer.freeze_epochs={optimizer.freeze_epochs}": optimizer.freeze_epochs > 0,
        f"optimizer.backbone_rate={optimizer.backbone_rate:g}": optimizer.backbone_rate != 1,
        "search.coarse.backbone_rate": "backbone_rate" in search.coarse.ranges,
    }
    for setting in (setting for setting, is_asked in asked.items() if is_asked):
        raise ValueError(
            f"{setting}: nothing in this network is pretrained; expected network.weights with it, in a network of kind "
            "'torchvision', 'timm' or 'module'; set network.weights or remove it"
        )
