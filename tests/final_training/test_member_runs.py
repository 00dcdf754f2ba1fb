"""What names a checkpoint: another training never goes on from it, a like one always does."""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from said import Said

from sanefit.components.final_training import member_runs
from sanefit.components.final_training.member_runs import MemberRuns
from sanefit.components.final_training.members import Member, plan_members
from sanefit.components.foundation.identity import training_identity
from sanefit.components.foundation.schemas.final_model import FinalTrainingSettings
from sanefit.components.foundation.schemas.images import DatasetReference
from sanefit.components.foundation.schemas.networks import ModuleSettings, NetworkSettings, TwoLayerSettings
from sanefit.components.foundation.schemas.search import Ranking, SearchRange, TrialSetting
from sanefit.components.foundation.schemas.statistics import ChannelStats
from sanefit.components.foundation.schemas.training import OptimizerSettings
from sanefit.components.foundation.training.loop.training_data import TrainingData
from sanefit.components.foundation.training.stacks.trial import Problem

pytestmark = pytest.mark.slow

RANDOM = torch.Generator().manual_seed(0)
DATA = TrainingData(
    torch.randint(0, 256, (40, 4, 4, 1), dtype=torch.uint8, generator=RANDOM),
    torch.randint(0, 3, (40,), generator=RANDOM),
    torch.randint(0, 256, (20, 4, 4, 1), dtype=torch.uint8, generator=RANDOM),
    torch.randint(0, 3, (20,), generator=RANDOM),
)
FINAL = FinalTrainingSettings(epochs=1)
NETWORK = TwoLayerSettings(kind="two_layer", hidden=4)
DATASET = DatasetReference(storage="/nowhere", fingerprint="abc")


def stats(shift: float) -> ChannelStats:
    each = {"mean": [shift], "std": [70.0], "shift": [shift], "scale": [70.0]}
    return ChannelStats(normalization="channel_mean_std", images=40, histogram=[], **each)


@pytest.fixture
def named(tmp_path: Path, said: Said) -> Callable[..., str]:
    """Train with something changed; the name of the checkpoint."""

    def name(
        final: FinalTrainingSettings = FINAL,
        shift: float = 100.0,
        seed: int = 0,
        dataset: Any = DATASET,
        network: NetworkSettings = NETWORK,
        **setting: Any,
    ) -> str:
        problem = Problem((4, 4, 1), 3, stats(shift))
        runs = MemberRuns(dataset, 40, problem, final, str(tmp_path), member_runs.Workers(), lambda: DATA, said)
        best = TrialSetting(**{"learning_rate": 0.1, "weight_decay": 1e-3, **setting})
        trained = runs.train(first_member(final, best, seed, said, network))
        assert trained is not None
        assert Path(trained.checkpoint_uri).is_file()
        return trained.checkpoint_uri

    return name


def first_member(
    final: FinalTrainingSettings, best: TrialSetting, seed: int, said: Said, network: NetworkSettings = NETWORK
) -> Member:
    ranking = Ranking(
        stage="fine",
        search_range=SearchRange(learning_rate=(1e-3, 1.0), weight_decay=(1e-6, 1e-1), reasons=[]),
        best=best,
        best_trial=0,
        best_validation_accuracy=0.5,
        trials=1,
        diverged=0,
        packs=[],
    )
    return plan_members(network, OptimizerSettings(batch_size=16), final, ranking, seed, said)[0]


CHANGES: list[dict[str, Any]] = [
    *({"final": FINAL.model_copy(update=update)} for update in ({"label_smoothing": 0.1}, {"weight_averaging": 0.5})),
    *({"final": FINAL.model_copy(update=update)} for update in ({"patience": 3}, {"epochs": 2})),
    {"shift": 101.0},
    {"seed": 1},
    {"dataset": DATASET.model_copy(update={"fingerprint": "abd"})},
    {"learning_rate": 0.2},
    {"weight_decay": 1e-4},
    {"momentum": 0.5},
    {"batch_size": 8},
    {"width": 5},
    {"init": "xavier"},
    {"augmentation": "flip"},
]


@pytest.mark.parametrize("change", CHANGES, ids=str)
def test_whatever_changes_the_training_changes_the_name(named: Callable[..., str], change: dict[str, Any]) -> None:
    assert named(**change) != named()


def test_other_code_has_other_names(named: Callable[..., str], monkeypatch: pytest.MonkeyPatch) -> None:
    before = named()
    with monkeypatch.context() as patch:
        patch.setattr(member_runs, "digest_of_own_code", lambda *_: "other code")
        assert named() != before
    monkeypatch.setattr(training_identity, "torch_version", lambda: "0.4")
    assert named() != before


def test_a_users_network_that_was_edited_never_meets_its_old_checkpoint(
    named: Callable[..., str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its initial weights are the same all the while."""
    monkeypatch.syspath_prepend(str(tmp_path))
    module, beside, weights = tmp_path / "final_net.py", tmp_path / "beside_final_net.py", tmp_path / "weights.pt"
    source = (
        "import torch, beside_final_net\n"
        "def Net(image_shape, classes):\n"
        "    return torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(16, 3))\n"
    )
    module.write_text(source)
    beside.write_text("SLOPE = 0.1")
    network = ModuleSettings(kind="module", path="final_net:Net")
    names = [named(network=network)]
    module.write_text(source + "SLOPE = 0.2\n")
    names.append(named(network=network))
    beside.write_text("SLOPE = 0.2")
    names.append(named(network=network))
    assert len(set(names)) == 3
    beside.write_text("# steeper\nSLOPE = 0.2")
    assert named(network=network) == names[-1]
    torch.save({"1.bias": torch.zeros(3)}, weights)
    named_weights = [named(network=network.model_copy(update={"weights": str(weights)}))]
    torch.save({"1.bias": torch.ones(3)}, weights)
    named_weights.append(named(network=network.model_copy(update={"weights": str(weights)})))
    assert len({*names, *named_weights}) == 5


def test_the_same_training_in_another_ensemble_is_found_again(named: Callable[..., str], said: Said) -> None:
    before = named()
    moved = DATASET.model_copy(update={"storage": "s3://elsewhere"})
    said.clear()
    assert named(final=FINAL.model_copy(update={"ensemble": 3}), dataset=moved) == before
    assert "finished before, after 1 epochs" in said


def test_a_member_that_diverges_leaves_no_checkpoint(tmp_path: Path, said: Said) -> None:
    runs = MemberRuns(
        DATASET, 40, Problem((4, 4, 1), 3, stats(0.0)), FINAL, str(tmp_path), member_runs.Workers(), lambda: DATA, said
    )
    member = first_member(FINAL, TrialSetting(learning_rate=0.1, weight_decay=0.0), 0, said)
    exploding = dataclasses.replace(member.trial, recipe=dataclasses.replace(member.trial.recipe, learning_rate=1e30))
    assert runs.train(dataclasses.replace(member, trial=exploding)) is None
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []
