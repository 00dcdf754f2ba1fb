"""All that a user may set: one YAML file, and ``--set`` for single values."""

import difflib
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, get_args, get_origin

import yaml
from pydantic import BaseModel, Field, ValidationError, model_validator
from pydantic_core import ErrorDetails

from sanefit.components.foundation.errors import SettingsError
from sanefit.components.foundation.schemas.bases import Settings
from sanefit.components.foundation.schemas.checks import CheckSettings
from sanefit.components.foundation.schemas.data_settings import DataSettings
from sanefit.components.foundation.schemas.drift import DriftSettings
from sanefit.components.foundation.schemas.final_model import FinalTrainingSettings
from sanefit.components.foundation.schemas.network_refusals import kinds_of_network
from sanefit.components.foundation.schemas.networks import NetworkSettings
from sanefit.components.foundation.schemas.recipients import variable_of
from sanefit.components.foundation.schemas.registry import RegistrySettings
from sanefit.components.foundation.schemas.search import SearchSettings
from sanefit.components.foundation.schemas.statistics import StatsSettings
from sanefit.components.foundation.schemas.storage import StorageSettings
from sanefit.components.foundation.schemas.training import OptimizerSettings
from sanefit.pipeline.settings.cluster_settings import ClusterSettings
from sanefit.pipeline.settings.example_configs import CONFIGS, DEFAULT_CONFIG
from sanefit.pipeline.settings.renamed_settings import with_new_spellings
from sanefit.pipeline.settings.search_checks import check_nesterov, check_search, check_transfer

BY_PIXEL = ("mean_image", "pca_whitening", "zca_whitening")


class RunConfig(Settings):
    """A run's whole configuration."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$", max_length=100)]
    seed: Annotated[int, Field(ge=0, lt=2**31)] = 0
    skip_unchanged: bool = False
    drift: DriftSettings = DriftSettings()
    data: DataSettings = DataSettings()
    stats: StatsSettings = StatsSettings()
    network: NetworkSettings
    optimizer: OptimizerSettings = OptimizerSettings()
    checks: CheckSettings = CheckSettings()
    search: SearchSettings = SearchSettings()
    final: FinalTrainingSettings = FinalTrainingSettings()
    registry: RegistrySettings = RegistrySettings()
    storage: StorageSettings = StorageSettings()
    cluster: ClusterSettings = ClusterSettings()

    @model_validator(mode="after")
    def _settings_fit_each_other(self) -> "RunConfig":
        source = self.data.source_kind
        if source.pixels is not None and self.data.image_size is not None:
            height, width, _ = source.pixels
            raise ValueError(
                f"data.image_size: {source.name} are {height}x{width} as they are; remove it or choose another "
                "data.source"
            )
        if self.stats.mode == "sampled" and self.stats.normalization in BY_PIXEL:
            raise ValueError(
                f"stats.mode=sampled: {self.stats.normalization} is taken over every image; set stats.mode=exact"
            )
        if not source.has_splits and self.data.splits == "own":
            raise ValueError(f"data.splits: {source.name} have no splits of their own; set data.splits=by_content")
        if self.drift.retrain_when == "always" and self.drift != DriftSettings():
            raise ValueError(
                "drift.retrain_when=always: the other keys of drift say when a run trains with "
                "drift.retrain_when=drifted; set it, or remove them"
            )
        if self.cluster.notify_secret and not variable_of(self.registry.notify_url):
            raise ValueError(
                f"cluster.notify_secret={self.cluster.notify_secret!r}: expected registry.notify_url=env:NAME with it, "
                "where NAME is the secret's key; set both or none"
            )
        check_search(self.search, self.network)
        check_nesterov(self.optimizer, self.search)
        check_transfer(self.optimizer, self.search, self.network)
        return self


def load_config(path: Path, overrides: Sequence[str] = ()) -> RunConfig:
    """Read a configuration; old spellings are accepted, with a warning for each on stderr.

    Args:
        path: a YAML file.
        overrides: ``dotted.key=value`` each, the value in YAML; they win over the file.

    Raises:
        SettingsError: one line that names the key, its value, what was expected, and the fix.
    """
    values = _read_yaml(path)
    for override in overrides:
        _apply(values, override)
    values, warnings = with_new_spellings(values)
    for warning in warnings:
        print(f"sanefit: warning: {warning}", file=sys.stderr)
    try:
        config = RunConfig.model_validate(values)
    except ValidationError as error:
        raise SettingsError(_one_line(error)) from None
    given = values.get("data", {}).get("source", config.data.source)
    if given != config.data.source:
        print(f"sanefit: data.source={given!r} is taken as {config.data.source!r}", file=sys.stderr)
    return config.model_copy(
        update={"data": _absolute_paths(config.data), "network": _absolute_weights(config.network)}
    )


def pipeline_arguments(config: RunConfig) -> dict[str, Any]:
    """The pipeline's parameters that come from the configuration."""
    sections = ("data", "stats", "network", "optimizer", "checks", "search", "final", "registry")
    dumped = {section: getattr(config, section).model_dump_json() for section in sections}
    return {"name": config.name, "seed": config.seed, **dumped}


def endings_of(config: RunConfig) -> dict[str, Any]:
    """When a run may end before it trains; as ``training_pipeline`` takes it."""
    drift = config.drift.model_dump_json() if config.drift.retrain_when == "drifted" else ""
    return {"skip_unchanged": config.skip_unchanged, "drift": drift}


def _read_yaml(path: Path) -> dict[str, Any]:
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise SettingsError(
            f"configuration {str(path)!r}: {error.strerror}; expected a YAML file; examples are in {str(CONFIGS)!r}"
        ) from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        reason = " ".join(str(error).split())
        raise SettingsError(f"configuration {str(path)!r} is no YAML: {reason}; correct it there") from None
    if not isinstance(values, dict):
        raise SettingsError(
            f"configuration {str(path)!r} holds {type(values).__name__}; expected keys and values, as in "
            f"{str(DEFAULT_CONFIG)!r}"
        )
    return values


def _apply(values: dict[str, Any], override: str) -> None:
    key, equals, text = override.partition("=")
    if not equals or not key.strip():
        raise SettingsError(f"--set {override!r}: expected key=value, as in --set search.coarse.trials=20")
    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError:
        raise SettingsError(f"--set {override!r}: {text!r} is no YAML value; put it in quotes") from None
    *sections, last = key.strip().split(".")
    target = values
    for section in sections:
        inner = target.setdefault(section, {})
        if not isinstance(inner, dict):
            raise SettingsError(f"--set {override!r}: {section!r} is {inner!r}, not a section; correct the key")
        target = inner
    target[last] = value


def _absolute_paths(data: DataSettings) -> DataSettings:
    """Steps run in other folders: a relative path is made absolute here, where the user typed it."""
    kind, absolute = data.source_kind, {}
    if kind.on_this_machine(data.source):
        absolute["source"] = f"{kind.name}:{_absolute(kind.place(data.source))}"
    if data.exclude is not None and data.excludes_by_local_file:
        absolute["exclude"] = _absolute(data.exclude)
    return data.model_copy(update=absolute)


def _absolute_weights(network: NetworkSettings) -> NetworkSettings:
    uri = network.weights_uri
    if not network.weights_on_this_machine:
        return network
    return network.model_copy(update={"weights": _absolute(uri)})


def _absolute(path: str) -> str:
    return str(Path(path).expanduser().absolute())


def _one_line(error: ValidationError) -> str:
    details = error.errors()
    first = _describe(details[0])
    return first if len(details) == 1 else f"{first} (and {len(details) - 1} more)"


def _describe(detail: ErrorDetails) -> str:
    # A network's location holds its kind too: ("network", "convnet", "init").
    parts = [str(part) for part in detail["loc"]]
    shown = ".".join(part for i, part in enumerate(parts) if not (i == 1 and parts[0] == "network" and len(parts) > 2))
    if detail["type"] == "extra_forbidden":
        known = _known_keys(parts[:-1])
        close = difflib.get_close_matches(parts[-1], known, n=1)
        fix = f"did you mean {close[0]!r}?" if close else "remove it"
        return f"unknown key {shown!r}; expected one of {', '.join(known)}; {fix}"
    if detail["type"] == "missing":
        return f"{shown}: missing; expected a value; add it to the configuration or --set {shown}=…"
    if detail["type"].startswith("union_tag"):
        tag = detail.get("ctx", {}).get("tag")
        given = f"{shown}.kind={tag!r}:" if tag else f"{shown}.kind: missing;"
        return f"{given} expected {kinds_of_network()}; set {shown}.kind"
    if detail["type"] == "tuple_type":
        return f"{shown}={detail['input']!r}: expected a list, as in [{detail['input']}]; correct {shown}"
    message = detail["msg"].removeprefix("Value error, ")
    if detail["type"] == "value_error" and isinstance(detail["input"], dict):  # of a whole section: it names its keys
        return message
    return f"{shown}={detail['input']!r}: {message[0].lower()}{message[1:]}; correct {shown}"


def _known_keys(location: Sequence[str]) -> list[str]:
    options: list[type[BaseModel]] = [RunConfig]
    for part in location:
        if part.isdigit():  # an item of a list
            continue
        if part in options[0].model_fields:
            options = _models_in(options[0].model_fields[part].annotation)
        else:  # the kind of a network
            options = [option for option in options if part in get_args(option.model_fields["kind"].annotation)]
    return list(options[0].model_fields)


def _models_in(annotation: Any) -> list[type[BaseModel]]:
    options = get_args(annotation) or (annotation,)
    if get_origin(annotation) is tuple:
        return _models_in(options[0])
    return [option for option in options if isinstance(option, type) and issubclass(option, BaseModel)]
