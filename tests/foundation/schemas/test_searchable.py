"""The table of searchable values, and what is made of it."""

import pickle
from pathlib import Path
from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from sanefit.components.foundation.schemas.networks import NETWORKS
from sanefit.components.foundation.schemas.search import CoarseSettings, SearchSettings, TrialSetting
from sanefit.components.foundation.schemas.searchable import SEARCHABLE, VALUES, Searchable, range_or_choices
from sanefit.components.foundation.schemas.training import OptimizerSettings

DOCS = Path(__file__).parents[3] / "docs" / "search.md"
# A legal value of each, and one that is not.
EXAMPLES: dict[str, tuple[Any, Any]] = {
    "momentum": (0.5, 1.0),
    "dropout": (0.5, 1.0),
    "warmup": (0.25, 0.75),
    "backbone_rate": (0.1, 1.5),
    "erasing": (0.5, 1.5),
    "mixup": (0.5, -0.5),
    "cutmix": (1.0, -0.5),
    "gradient_clip": (1.0, -1.0),
    "batch_size": (32, 3),
    "optimizer": ("adam", "none"),
    "schedule": ("step", "none"),
    "augmentation": ("flip", "turn"),
    "init": ("he", "glorot"),
    "width": (16, 0),
    "depth": (2, 0),
}


def test_every_value_stands_where_its_section_has_it() -> None:
    for value in VALUES:
        if value.section == "optimizer":
            assert value.replaces in OptimizerSettings.model_fields
        else:
            assert any(network.can_search(value.name) for network in NETWORKS)


@pytest.mark.parametrize("name", SEARCHABLE)
def test_every_value_is_documented(name: str) -> None:
    [table] = [part for part in DOCS.read_text().split("## ") if part.startswith("What is searched")]
    keys = [line.split("|")[1] for line in table.splitlines() if line.startswith("|")]
    assert any(f"`{name}`" in key or f"`{name}:" in key for key in keys)


@pytest.mark.parametrize("value", VALUES, ids=lambda value: value.name)
def test_a_trial_takes_what_is_legal_and_nothing_else(value: Searchable) -> None:
    legal, illegal = EXAMPLES[value.name]
    plain = {"learning_rate": 0.1, "weight_decay": 0.0}
    setting = TrialSetting.model_validate({**plain, value.name: legal})
    assert setting.further == {value.name: legal}
    assert setting.searched == {**plain, value.name: legal}
    assert setting.of(value.section) == {value.name: legal}
    assert setting.of("network" if value.section == "optimizer" else "optimizer") == {}
    with pytest.raises(ValidationError):
        TrialSetting.model_validate({**plain, value.name: illegal})


@pytest.mark.parametrize("value", VALUES, ids=lambda value: value.name)
def test_the_coarse_stage_takes_bounds_or_choices(value: Searchable) -> None:
    legal, illegal = EXAMPLES[value.name]
    given = [legal] if value.scale == "choice" else [legal / 2, legal]
    coarse = CoarseSettings.model_validate({value.name: given})
    assert {**coarse.ranges, **coarse.choices} == {value.name: given if value.scale == "choice" else tuple(given)}
    wrong = [[illegal], [legal, legal]] if value.scale == "choice" else [[legal, illegal], [legal, legal / 2], [legal]]
    for bad in wrong:
        with pytest.raises(ValidationError):
            CoarseSettings.model_validate({value.name: bad})


def test_a_value_in_the_logarithm_lies_above_0() -> None:
    value = Searchable("leak", "network", "log", float, "free", farthest=(0, 1))
    bounds = TypeAdapter(range_or_choices(value)[0])
    assert bounds.validate_python([1e-3, 1.0]) == (1e-3, 1.0)
    with pytest.raises(ValidationError):
        bounds.validate_python([0.0, 1.0])


def test_the_schemas_keep_their_keys_in_order_and_survive_json_and_pickle() -> None:
    """The names are those of configurations, of MLflow's parameters and of stored results."""
    assert list(CoarseSettings.model_fields) == ["trials", "epochs", "learning_rate", "weight_decay", *EXAMPLES]
    assert list(TrialSetting.model_fields) == ["learning_rate", "weight_decay", *EXAMPLES]
    setting = TrialSetting(learning_rate=0.1, weight_decay=0.0, momentum=0.5, depth=2)
    assert pickle.loads(pickle.dumps(setting)) == setting
    assert TrialSetting.model_validate_json(setting.model_dump_json()) == setting
    search = SearchSettings(coarse=CoarseSettings(dropout=(0.0, 0.5), init=("he",)))
    assert SearchSettings.model_validate_json(search.model_dump_json()) == search
