import pytest

from sanefit.components.foundation.errors import SettingsError
from sanefit.components.foundation.schemas.networks import ConvNetSettings, MlpSettings, TorchvisionSettings
from sanefit.components.foundation.schemas.search import TrialSetting
from sanefit.components.foundation.schemas.training import OptimizerSettings
from sanefit.components.foundation.training.stacks.stack_key import stack_key

CONVNET = ConvNetSettings(kind="convnet", channels=(16, 32))
OPTIMIZER = OptimizerSettings(kind="sgd", batch_size=64, augmentation="flip")
PLAIN = TrialSetting(learning_rate=0.1, weight_decay=1e-4)


@pytest.mark.parametrize(
    "values",
    [
        {"learning_rate": 1e-5, "weight_decay": 0.0},
        {"momentum": 0.5, "warmup": 0.1, "schedule": "step"},
        {"init": "gaussian:1e-2"},
        {"dropout": 0.0},
        {"width": 16, "depth": 2, "optimizer": "sgd", "batch_size": 64, "augmentation": "flip"},  # as configured
    ],
)
def test_trials_that_differ_in_numbers_alone_share_a_key(values: dict[str, object]) -> None:
    setting = TrialSetting.model_validate({**PLAIN.model_dump(), **values})
    assert stack_key(CONVNET, OPTIMIZER, setting) == stack_key(CONVNET, OPTIMIZER, PLAIN)


def test_every_shape_and_batch_has_a_key_of_its_own() -> None:
    values: list[dict[str, object]] = [
        {},
        {"width": 32},
        {"depth": 1},
        {"depth": 3},
        {"dropout": 0.1},
        {"batch_size": 128},
        {"optimizer": "adam"},
        {"optimizer": "adamw"},
        {"augmentation": "none"},
    ]
    settings = [TrialSetting.model_validate({**PLAIN.model_dump(), **given}) for given in values]
    assert len({stack_key(CONVNET, OPTIMIZER, setting) for setting in settings}) == len(values)


def test_dropout_above_0_is_one_key_whatever_its_rate_and_where_it_comes_from() -> None:
    dropping = CONVNET.model_copy(update={"dropout": 0.3})
    keys = {stack_key(CONVNET, OPTIMIZER, PLAIN.model_copy(update={"dropout": rate})) for rate in (0.1, 0.3, 0.9)}
    assert keys == {stack_key(dropping, OPTIMIZER, PLAIN)}
    off = PLAIN.model_copy(update={"dropout": 0.0})
    assert stack_key(dropping, OPTIMIZER, off) == stack_key(CONVNET, OPTIMIZER, PLAIN)


def test_a_network_without_dropout_of_its_own_has_a_key_and_cannot_search_a_width() -> None:
    resnet = TorchvisionSettings(kind="torchvision", name="resnet18")
    assert stack_key(resnet, OPTIMIZER, PLAIN) != stack_key(MlpSettings(kind="mlp"), OPTIMIZER, PLAIN)
    with pytest.raises(SettingsError, match=r"search\.coarse\.width"):
        stack_key(resnet, OPTIMIZER, PLAIN.model_copy(update={"width": 8}))
