"""What a run is made from, and what its cached steps are told of it."""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sanefit.components.foundation.schemas.images import DatasetReference
from sanefit.components.foundation.storage.layout import Storage
from sanefit.components.model_registry import run_identity
from sanefit.components.model_registry.run_identity import RunIdentity, identify_run


@pytest.fixture
def dataset(tmp_path: Path) -> DatasetReference:
    return DatasetReference(storage=str(tmp_path / "storage"), fingerprint="f" * 64)


@pytest.fixture
def users_network(
    tmp_path: Path, dataset: DatasetReference, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., RunIdentity]:
    """Write a network and its weights; the identity of a run that trains it."""
    monkeypatch.syspath_prepend(str(tmp_path))

    def identify(
        width: int = 64, layers: int = 1, weights: bytes = b"one", seed: int = 0, epochs: int = 3
    ) -> RunIdentity:
        (tmp_path / "identified_net.py").write_text(f"import identified_layers\nWIDTH = {width}")
        (tmp_path / "identified_layers.py").write_text(f"LAYERS = {layers}")
        (tmp_path / "weights.pt").write_bytes(weights)
        network = f'{{"kind": "module", "path": "identified_net:Net", "weights": "{tmp_path}/weights.pt"}}'
        return identify_run(dataset, seed, network=network, final=f'{{"epochs": {epochs}}}')

    return identify


@pytest.mark.parametrize(
    ("change", "part", "checked_again"),
    [
        ({"width": 2}, "module", True),
        ({"layers": 2}, "module", True),
        ({"weights": b"two"}, "weights", True),
        ({"seed": 1}, "seed", False),  # the checks have it as an input of their own, as they have the settings
        ({"epochs": 4}, "configuration", False),
    ],
)
def test_each_edit_is_one_part(
    users_network: Callable[..., RunIdentity], change: dict[str, Any], part: str, checked_again: bool
) -> None:
    before, after = users_network(), users_network(**change)
    assert before.run.digest != after.run.digest
    assert {name for name, value in after.run.parts.items() if value != before.run.parts[name]} == {part}
    assert (before.checks_code != after.checks_code) == checked_again
    assert before.statistics_code == after.statistics_code
    assert users_network() == before


def test_another_torch_is_checked_again(
    users_network: Callable[..., RunIdentity], monkeypatch: pytest.MonkeyPatch
) -> None:
    before = users_network()
    monkeypatch.setattr(run_identity, "torch_version", lambda: "0.4")
    after = users_network()
    assert after.run.digest != before.run.digest
    assert after.checks_code != before.checks_code
    assert after.statistics_code == before.statistics_code


def test_images_and_weights_that_lie_elsewhere_are_the_same(tmp_path: Path, dataset: DatasetReference) -> None:
    found = []
    for name in ("one", "two"):
        (tmp_path / name).write_bytes(b"the same")
        data = json.dumps({"source": f"folder:/data/{name}"})
        found.append(identify_run(dataset, 0, data=data, network=json.dumps({"weights": str(tmp_path / name)})))
    assert found[0] == found[1]


ARGUMENTS = [{}, {"a": {}}, {"a": None}, {"a": "None"}, {"a": 1}, {"a": "1"}, {"a": [1]}, {"a": {"b": 1}}, {"a.b": 1}]


def test_other_arguments_of_a_network_are_another_configuration(dataset: DatasetReference) -> None:
    networks = [json.dumps({"arguments": arguments}) for arguments in ARGUMENTS]
    assert len({identify_run(dataset, 0, network=network).run.digest for network in networks}) == len(ARGUMENTS)


def test_cached_steps_run_again_once_their_results_were_deleted(dataset: DatasetReference) -> None:
    before = identify_run(dataset, 0)
    assert identify_run(dataset, 0) == before
    shutil.rmtree(Path(Storage(dataset.storage).cache_token).parent)
    after = identify_run(dataset, 0)
    assert after.run == before.run
    assert after.statistics_code != before.statistics_code
    assert after.checks_code != before.checks_code


def test_identifying_a_run_loads_neither_torch_nor_mlflow(tmp_path: Path) -> None:
    program = (
        "import sys\n"
        "from sanefit.components.foundation.schemas.images import DatasetReference\n"
        "from sanefit.components.model_registry.run_identity import identify_run\n"
        f"identify_run(DatasetReference(storage={str(tmp_path)!r}, fingerprint='f'), 0, network='{{}}')\n"
        "print([name for name in ('torch', 'mlflow', 'boto3') if name in sys.modules])"
    )
    assert subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True).stdout == "[]\n"
