from pathlib import Path

import pytest
import yaml

from sanefit.components.foundation.errors import SettingsError
from sanefit.components.foundation.schemas.networks import ConvNetSettings, TwoLayerSettings
from sanefit.pipeline.settings.run_config import CONFIGS, DEFAULT_CONFIG, load_config, pipeline_arguments


def write(folder: Path, text: str) -> Path:
    path = folder / "config.yaml"
    path.write_text(text)
    return path


@pytest.mark.parametrize("path", sorted(CONFIGS.glob("*.yaml")), ids=lambda path: path.stem)
def test_every_example_configuration_is_valid(path: Path) -> None:
    assert load_config(path).name == path.stem


def test_set_wins_over_the_file_and_leaves_the_rest() -> None:
    config = load_config(DEFAULT_CONFIG, ["search.coarse.trials=7", "network.init=gaussian:1e-4", "seed=3"])
    assert (config.search.coarse.trials, config.network.init, config.seed) == (7, "gaussian:1e-4", 3)
    assert config.search.fine == load_config(DEFAULT_CONFIG).search.fine


def test_yaml_numbers_without_a_point_are_numbers() -> None:
    config = load_config(DEFAULT_CONFIG, ["search.coarse.learning_rate=[1e-6, 1e-3]"])
    assert config.search.coarse.learning_rate == (1e-6, 1e-3)


def test_a_relative_source_is_taken_from_where_the_user_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    config = load_config(DEFAULT_CONFIG, ["data.source=folder:photos"])
    assert config.data.source == f"folder:{tmp_path}/photos"


def test_a_relative_file_of_names_is_taken_from_where_the_user_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for given, expected in [("suspected-labels.csv", f"{tmp_path}/suspected-labels.csv"), ("s3://b/k", "s3://b/k")]:
        assert load_config(DEFAULT_CONFIG, [f"data.exclude={given}"]).data.exclude == expected
    assert load_config(DEFAULT_CONFIG).data.exclude is None


@pytest.mark.parametrize(
    "source", ["digits", "torchvision:CIFAR10", "s3://bucket/images", "csv:s3://bucket/images.csv"]
)
def test_a_source_that_is_no_local_file_is_left_as_it_is(source: str) -> None:
    assert load_config(DEFAULT_CONFIG, [f"data.source={source}"]).data.source == source


def test_relative_weights_are_taken_from_where_the_user_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for weights, expected in [
        ("a.pt", f"{tmp_path}/a.pt"),
        ("s3://bucket/a.pt", "s3://bucket/a.pt"),
        ("''", ""),
        ("default", "default"),
    ]:
        network = f"network={{kind: torchvision, name: resnet18, weights: {weights}}}"
        assert load_config(DEFAULT_CONFIG, [network]).network.weights == expected


def test_the_kind_decides_which_keys_a_network_has() -> None:
    assert isinstance(load_config(DEFAULT_CONFIG).network, ConvNetSettings)
    assert isinstance(load_config(CONFIGS / "cifar10-two-layer.yaml").network, TwoLayerSettings)


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("search.coarse.trials=-1", ["search.coarse.trials=-1", "greater than 0"]),
        ("search.coarse.trails=5", ["search.coarse.trails", "did you mean 'trials'"]),
        ("network.hidden=50", ["network.hidden", "activation, init, dropout, batch_norm, kind, channels"]),
        ("networ.init=he", ["'networ'", "did you mean 'network'"]),
        ("network.kind=vgg", ["network.kind='vgg'", "two_layer", "convnet", "resnet", "torchvision", "module"]),
        (
            "network={hidden: 3}",
            ["network.kind: missing", "two_layer, mlp, convnet, resnet, torchvision, timm or module"],
        ),
        ("checks.skip=modes", ["checks.skip='modes'", "expected a list, as in [modes]"]),
        ("network.init=glorot", ["network.init='glorot'", "he, xavier, orthogonal, zeros or gaussian:STD"]),
        ("network.init=gaussian:1.2.3", ["network.init='gaussian:1.2.3'", "STD above 0"]),
        ("network.init=gaussian:0", ["network.init='gaussian:0'", "STD above 0"]),
        ("network.init=gaussian:1e999", ["network.init='gaussian:1e999'", "STD above 0"]),
        ("search.coarse.learning_rate=[1e-3, 1e-6]", ["search.coarse.learning_rate", "low < high"]),
        ("search.coarse.weight_decay=[0, 1]", ["search.coarse.weight_decay", "greater than 0"]),
        (
            "data.source=s3:bucket",
            ["data.source='s3:bucket'", "expected digits, folder:PATH, tar:PATH", "s3://BUCKET/KEY"],
        ),
        ("data.image_size=32", ["data.image_size", "8x8"]),
        ("data.image_size=[8, 0]", ["data.image_size=[8, 0]", "1 to 4,096: one number, or [height, width]"]),
        ("data.image_size=[1, 2, 3]", ["data.image_size=[1, 2, 3]", "one number, or [height, width]"]),
        ("data.image_size=true", ["data.image_size=True", "one number, or [height, width]"]),
        ("data.test_fraction=0.7", ["data.test_fraction=0.7", "less than 0.5"]),
        ("seed=abc", ["seed='abc'", "integer"]),
        ("name=a/b", ["name='a/b'"]),
        ("drift.retrain_when=never", ["drift.retrain_when='never'", "'always' or 'drifted'"]),
        ("drift.images=5001", ["drift.images=5001", "less than or equal to 5000"]),
        ("drift.least_effect=large", ["drift.retrain_when=always", "drift.retrain_when=drifted; set it"]),
        ("seed", ["--set 'seed'", "key=value"]),
        ("seed.deeper=1", ["not a section"]),
        ("name=[", ["no YAML value"]),
    ],
)
def test_a_bad_value_is_one_line_with_the_key_and_what_was_expected(override: str, words: list[str]) -> None:
    with pytest.raises(SettingsError) as raised:
        load_config(DEFAULT_CONFIG, [override])
    message = str(raised.value)
    assert "\n" not in message
    for word in words:
        assert word in message


WEBHOOK = "https://hooks.example/services/CANARY"


@pytest.mark.parametrize(
    "override",
    [
        f"registry.notify_url={WEBHOOK}?x=%20y",
        "registry.notify_url=http://127.0.0.1:8080",
        "registry.notify_url=env:SHOP_HOOK",
        "registry.notify_command=[/opt/tell, '', '--all=yes']",
    ],
)
def test_who_is_told_may_be_an_address_a_variable_or_a_command(override: str) -> None:
    registry = load_config(DEFAULT_CONFIG, [override]).registry
    assert type(registry).model_validate_json(registry.model_dump_json()) == registry
    assert registry.notify_url or registry.notify_command


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        (["registry.notify_url=ftp://hooks.example/CANARY"], ["registry.notify_url: expected https://HOST/"]),
        (["registry.notify_url=hooks.example/CANARY"], ["registry.notify_url: expected https://HOST/", "env:NAME"]),
        (["registry.notify_url=https:///CANARY"], ["registry.notify_url: expected https://HOST/"]),
        (["registry.notify_url='https://hooks.example/CANARY x'"], ["registry.notify_url: expected https://HOST/"]),
        (["registry.notify_url=https://hooks.example:CANARY/"], ["registry.notify_url: expected https://HOST/"]),
        (["registry.notify_url=https://[CANARY/"], ["registry.notify_url: expected https://HOST/"]),
        ([f"registry.notify_url=[{WEBHOOK}]"], ["registry.notify_url: expected https://HOST/"]),
        (["registry.notify_url=''"], ["registry.notify_url: expected https://HOST/"]),
        ([f"registry.notify_url=env:{WEBHOOK}"], ["registry.notify_url: expected the name of an environment variable"]),
        (["registry.notify_url='env:'"], ["registry.notify_url: expected the name of an environment variable"]),
        (["registry.notify_url=https://me:CANARY@hooks.example/"], ["password for 'hooks.example'", "env:NAME"]),
        (["registry.notify_command=[]"], ["registry.notify_command: expected a program and its arguments"]),
        (["registry.notify_command=['', CANARY]"], ["registry.notify_command: expected a program"]),
        (["registry.notify_command=[curl, CANARY, 3]"], ["registry.notify_command: expected a program"]),
        (["registry.notify_command='curl CANARY'"], ["registry.notify_command: expected a program"]),
        ([f"registry.notify_url={WEBHOOK}", "registry.notify_command=[a]"], ["notify_url and", "expected one"]),
        (
            ["cluster.notify_secret=sanefit-hook", f"registry.notify_url={WEBHOOK}"],
            ["cluster.notify_secret='sanefit-hook'", "expected registry.notify_url=env:NAME"],
        ),
    ],
)
def test_who_is_told_is_refused_without_showing_it(overrides: list[str], words: list[str]) -> None:
    with pytest.raises(SettingsError) as raised:
        load_config(DEFAULT_CONFIG, overrides)
    message = str(raised.value)
    assert "\n" not in message
    assert "CANARY" not in message
    for word in words:
        assert word in message


@pytest.mark.parametrize("text", ["- a\n- b\n", "", "a: [1\n", "name: x\n"])
def test_a_bad_file_is_one_line(text: str, tmp_path: Path) -> None:
    with pytest.raises(SettingsError) as raised:
        load_config(write(tmp_path, text))
    assert "\n" not in str(raised.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"nowhere\.yaml"):
        load_config(tmp_path / "nowhere.yaml")


def test_pipeline_arguments_round_trip() -> None:
    config = load_config(DEFAULT_CONFIG, ["search.coarse.learning_rate=[1e-3, 1.0]"])
    arguments = pipeline_arguments(config)
    sections = {key: yaml.safe_load(value) for key, value in arguments.items() if key not in ("name", "seed")}
    assert type(config).model_validate({"name": config.name, "seed": config.seed, **sections}) == config
