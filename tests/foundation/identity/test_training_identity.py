"""What one training has in common with another, and what tells them apart."""

import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from sanefit.components.foundation.errors import StorageError
from sanefit.components.foundation.identity.training_identity import (
    TrainingIdentity,
    digest_of_normalization,
    digest_of_weights,
    identify_trainings,
    settings_of,
    torch_version,
)
from sanefit.components.foundation.image_dataset.pixel_transform import PixelTransform, write_transform
from sanefit.components.foundation.schemas.networks import ModuleSettings, TorchvisionSettings, TwoLayerSettings
from sanefit.components.foundation.schemas.statistics import ChannelStats

NETWORK = TwoLayerSettings(kind="two_layer")
TEXTS = ("images", "code", "torch", "module", "weights", "statistics", "arithmetic", "configuration")


def stats(**changed: Any) -> ChannelStats:
    values = {"mean": [1.0], "std": [2.0], "shift": [1.0], "scale": [2.0], "histogram": [], "images": 3}
    return ChannelStats(normalization="channel_mean_std", **{**values, **changed})


identities = st.builds(
    TrainingIdentity, **{name: st.sampled_from(["", "a", "b"]) for name in TEXTS}, seed=st.sampled_from([None, 0, 1])
)


@given(identities, identities)
def test_the_digest_is_the_same_when_all_parts_are(one: TrainingIdentity, other: TrainingIdentity) -> None:
    assert (one.digest == other.digest) == (one == other) == (one.parts == other.parts)
    assert TrainingIdentity.model_validate_json(one.model_dump_json()).digest == one.digest


@given(st.integers(0, 9), st.integers(0, 9), st.text(), st.text())
def test_trainings_that_share_the_rest_differ_by_seed_and_settings(a: int, b: int, one: str, other: str) -> None:
    shared = TrainingIdentity(images="i", code="c", torch="t")
    assert (shared.of(a, one).digest == shared.of(b, other).digest) == ((a, one) == (b, other))


def identity(network: Any = NETWORK, statistics: ChannelStats | None = None, **changed: str) -> TrainingIdentity:
    values = {"fingerprint": "f", "code": "c", "arithmetic": "cpu", **changed}
    return identify_trainings(values.pop("fingerprint"), statistics or stats(), network, **values)


def test_only_what_applies_is_a_part() -> None:
    found = identity().parts
    assert set(found) == {"images", "code", "torch", "statistics", "arithmetic"}
    assert torch.__version__.startswith(found["torch"])
    assert torch_version() == found["torch"]


@pytest.mark.parametrize(
    ("changed", "part"),
    [
        ({"fingerprint": "g"}, "images"),
        ({"code": "d"}, "code"),
        ({"arithmetic": "cuda tf32"}, "arithmetic"),
        ({"statistics": stats(shift=[0.0])}, "statistics"),
        ({"statistics": stats(scale=[1.0])}, "statistics"),
    ],
)
def test_each_part_tells_apart(changed: dict[str, Any], part: str) -> None:
    one, other = identity(), identity(**changed)
    assert one.digest != other.digest
    assert {name for name in one.parts if one.parts[name] != other.parts[name]} == {part}


def test_statistics_that_change_no_pixel_do_not_count() -> None:
    assert identity(statistics=stats(mean=[5.0], histogram=[[1]], images=7)) == identity()


def test_a_module_and_its_weights_count_by_content(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    module, weights, moved = tmp_path / "a_users_net.py", tmp_path / "weights.pt", tmp_path / "moved.pt"
    module.write_text("WIDTH = 64")
    weights.write_bytes(b"one")
    moved.write_bytes(b"one")
    network = ModuleSettings(kind="module", path="a_users_net:Net", weights=str(weights))
    other_place = network.model_copy(update={"weights": str(moved)})
    before = identity(network)
    assert {"module", "weights"} < set(before.parts)
    assert identity(other_place) == before
    assert settings_of(other_place) == settings_of(network)
    weights.write_bytes(b"two")
    assert identity(network).module == before.module
    assert identity(network).weights != before.weights
    module.write_text("WIDTH = 2")
    assert identity(other_place).module != before.module
    assert identity(other_place).weights == before.weights


def test_weights_of_torchvisions_networks_count_too(tmp_path: Path) -> None:
    weights = tmp_path / "weights.pt"
    weights.write_bytes(b"one")
    network = TorchvisionSettings(kind="torchvision", name="resnet18", weights=str(weights))
    assert identity(network).weights == digest_of_weights(str(weights)) != ""
    assert "module" not in identity(network).parts


def test_weights_that_are_not_there_are_said(tmp_path: Path) -> None:
    assert digest_of_weights("") == ""
    with pytest.raises(StorageError, match=r"cannot read .*gone\.pt': No such file"):
        digest_of_weights(str(tmp_path / "gone.pt"))


def test_a_pixel_transform_counts_by_content(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    zeros, ones = np.zeros((2, 2, 1), np.float32), np.ones((2, 2, 1), np.float32)
    later = time.time() + 10_000
    here = write_transform(PixelTransform(zeros, None), str(tmp_path))
    monkeypatch.setattr(time, "time", lambda: later)
    assert write_transform(PixelTransform(zeros, None), str(tmp_path)) == here, "equal content has one place"
    there = write_transform(PixelTransform(zeros, None), str(tmp_path / "elsewhere"))
    another = write_transform(PixelTransform(ones, None), str(tmp_path))
    a, elsewhere, b = (digest_of_normalization(stats(transform_uri=uri)) for uri in (here, there, another))
    assert another != here
    assert a == elsewhere
    assert len({a, b, digest_of_normalization(stats())}) == 3
