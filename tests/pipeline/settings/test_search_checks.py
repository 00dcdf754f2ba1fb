from itertools import product

import pytest

from sanefit.components.foundation.errors import SettingsError
from sanefit.components.foundation.schemas.search import TrialSetting
from sanefit.components.foundation.training.resolved_settings import resolve_network
from sanefit.pipeline.settings.run_config import DEFAULT_CONFIG, load_config

PRETRAINED = "network={kind: torchvision, name: resnet18, weights: s3://bucket/w.pt}"
OWN_MODULE = "network={kind: module, path: 'package.module:network'}"


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (
            ["search.coarse.depth=[1, 2]", "network={kind: two_layer}"],
            "search.coarse.depth: a network of kind 'two_layer' has no depth to search; expected mlp, convnet or "
            "resnet; remove it",
        ),
        (
            ["search.coarse.width=[64]", PRETRAINED],
            "search.coarse.width: a network of kind 'torchvision' has no width to search; expected two_layer, mlp, "
            "convnet or resnet; remove it",
        ),
        (
            ["search.coarse.dropout=[0, 0.5]", OWN_MODULE],
            "search.coarse.dropout: a network of kind 'module' has no dropout to search; expected two_layer, mlp, "
            "convnet or resnet; remove it",
        ),
        (
            ["optimizer.freeze_epochs=3"],
            "optimizer.freeze_epochs=3: nothing in this network is pretrained; expected network.weights with it, in a "
            "network of kind 'torchvision', 'timm' or 'module'; set network.weights or remove it",
        ),
        (
            ["search.coarse.backbone_rate=[0.01, 1]"],
            "search.coarse.backbone_rate: nothing in this network is pretrained; expected network.weights with it, in "
            "a network of kind 'torchvision', 'timm' or 'module'; set network.weights or remove it",
        ),
        (
            ["optimizer.nesterov=true", "optimizer.kind=adam"],
            "optimizer.nesterov=true: with optimizer.kind=adam and optimizer.momentum=0.9 there is no momentum of SGD; "
            "expected sgd and a momentum above 0; set both, or remove nesterov",
        ),
        (
            ["optimizer.nesterov=true", "optimizer.momentum=0"],
            "optimizer.nesterov=true: with optimizer.kind=sgd and optimizer.momentum=0 there is no momentum of SGD; "
            "expected sgd and a momentum above 0; set both, or remove nesterov",
        ),
        (
            ["optimizer.nesterov=true", "search.coarse.optimizer=[sgd, adam]"],
            "search.coarse.optimizer with ['adam']: optimizer.nesterov=true needs SGD with momentum in every trial; "
            "expected sgd and a momentum above 0; search those alone, or remove nesterov",
        ),
        (
            ["optimizer.nesterov=true", "search.coarse.momentum=[0, 0.9]"],
            "search.coarse.momentum from 0: optimizer.nesterov=true needs SGD with momentum in every trial; "
            "expected sgd and a momentum above 0; search those alone, or remove nesterov",
        ),
        (
            ["search.coarse.depth=[2, 9]"],
            "search.coarse.depth: a convnet has at most 8 blocks, got 9; list no more than 8",
        ),
        (
            ["search.coarse.depth=[51]", "network={kind: resnet}"],
            "search.coarse.depth: a resnet has at most 50 blocks in each stage, got 51; list no more than 50",
        ),
        (
            ["search.coarse.init=[he, orthogonal]", PRETRAINED],
            "search.coarse.init: network.weights replaces the initial weights; remove one of the two",
        ),
        (
            ["search.method=grid", "search.coarse.batch_size=[32, 64, 128]", "search.coarse.trials=2"],
            "search.method=grid: the choices listed in search.coarse make 3 combinations, more than "
            "search.coarse.trials=2; raise it, or list fewer choices",
        ),
        (
            [
                *("search.method=grid", "search.fine.trials=5"),
                *("search.coarse.batch_size=[32, 64, 128]", "search.coarse.optimizer=[sgd, adam]"),
            ],
            "search.method=grid: the choices listed in search.coarse make 6 combinations, more than "
            "search.fine.trials=5; raise it, or list fewer choices",
        ),
        (
            ["search.reduction_factor=3", "search.coarse.epochs=1", "search.fine.epochs=1"],
            "search.reduction_factor=3: trials of 1 epoch cannot be stopped early; raise search.coarse.epochs or "
            "search.fine.epochs, or set search.reduction_factor=1",
        ),
        (
            ["search.engine=stacked", "network={kind: resnet}"],
            "search.engine=stacked: there is no stack for a network of kind 'resnet'; expected two_layer, mlp or "
            "convnet; set search.engine=vmapped, loop or fastest",
        ),
        (
            ["search.engine=loop", "search.networks_at_once=8"],
            "search.networks_at_once=8: search.engine=loop trains one network after another; remove it, or choose "
            "another engine",
        ),
        (
            ["search.coarse.batch_size=[32, 64, 32]"],
            "search.coarse.batch_size=[32, 64, 32]: expected each choice once, 32 is there 2 times; correct "
            "search.coarse.batch_size",
        ),
        (
            ["search.coarse.momentum=[0.9, 0.8]"],
            "search.coarse.momentum=[0.9, 0.8]: expected [low, high] with low < high, got [0.9, 0.8]; correct "
            "search.coarse.momentum",
        ),
        (
            ["search.coarse.optimizer=[rmsprop]"],
            "search.coarse.optimizer.0='rmsprop': input should be 'sgd', 'adam', 'adamw' or 'lamb'; correct "
            "search.coarse.optimizer.0",
        ),
        (
            ["search.method=bayesian"],
            "search.method='bayesian': input should be 'random', 'grid', 'quasi_random' or 'tpe'; correct "
            "search.method",
        ),
    ],
)
def test_what_cannot_be_searched_is_one_line(overrides: list[str], message: str) -> None:
    with pytest.raises(SettingsError) as raised:
        load_config(DEFAULT_CONFIG, overrides)
    assert str(raised.value) == message


@pytest.mark.parametrize(
    "overrides",
    [
        ["search.coarse.depth=[1, 8]", "search.coarse.width=[4, 64]", "search.coarse.dropout=[0, 0.9]"],
        ["search.coarse.width=[4]", "network={kind: two_layer}"],
        ["search.coarse.init=[he]", "network={kind: torchvision, name: resnet18}"],
        ["search.method=grid", "search.coarse.batch_size=[32, 64]", "search.coarse.trials=2", "search.fine.trials=2"],
        ["search.reduction_factor=3", "search.coarse.epochs=1"],
        ["search.folds=5", "search.reduction_factor=2", "search.method=tpe", "data.splits=by_content"],
    ],
)
def test_what_can_be_searched_passes(overrides: list[str]) -> None:
    load_config(DEFAULT_CONFIG, overrides)


@pytest.mark.parametrize(
    ("network", "name"),
    list(
        product(
            ["two_layer", "mlp", "convnet", "resnet", "torchvision, name: resnet18", "module, path: 'a:b'"],
            ["dropout: [0.1, 0.5]", "width: [4]", "depth: [2]", "depth: [8]", "depth: [9]", "depth: [51]"],
        )
    ),
)
def test_the_configuration_refuses_what_a_trial_could_not_have(network: str, name: str) -> None:
    """The same answer before the run and where a trial's network is made."""
    config = load_config(DEFAULT_CONFIG, [f"network={{kind: {network}}}"])
    key, value = name.split(": ")
    setting = {"learning_rate": 0.1, "weight_decay": 0.0, key: float(value[1:4]) if "." in value else int(value[1:-1])}
    try:
        resolve_network(config.network, TrialSetting.model_validate(setting))
        possible = True
    except (SettingsError, ValueError):
        possible = False
    try:
        load_config(DEFAULT_CONFIG, [f"network={{kind: {network}}}", f"search.coarse.{key}={value}"])
        accepted = True
    except SettingsError:
        accepted = False
    assert accepted == possible
