"""Finished and running trials in the storage, on this machine and on a real S3 server."""

import dataclasses
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch
from foundation.conftest import google_environment, gs, s3, s3_server  # noqa: F401
from hypothesis import given
from hypothesis import strategies as st
from said import Said
from training_inputs import inputs_of

from sanefit.components.foundation.identity import training_identity
from sanefit.components.foundation.schemas.images import DatasetReference
from sanefit.components.foundation.schemas.networks import ModuleSettings, NetworkSettings, TwoLayerSettings
from sanefit.components.foundation.schemas.runs import RunReference
from sanefit.components.foundation.schemas.search import (
    PackPlan,
    PackResult,
    SearchRange,
    TrialResult,
    TrialSetting,
    TrialSpec,
)
from sanefit.components.foundation.schemas.statistics import ChannelStats
from sanefit.components.foundation.schemas.training import EpochRecord, OptimizerSettings
from sanefit.components.foundation.storage import object_store
from sanefit.components.foundation.storage.packs import load_pack_results
from sanefit.components.foundation.storage.stored_objects import list_objects
from sanefit.components.foundation.tracking.connection import connect
from sanefit.components.foundation.tracking.runs import open_run
from sanefit.components.foundation.training.checkpoints.checkpoint_pace import Interruptions
from sanefit.components.foundation.training.loop.recipe import Recipe
from sanefit.components.foundation.training.loop.training_state import BegunEpoch, TrainingState
from sanefit.components.foundation.training.stacks.train_together import EnginePlan, Progress
from sanefit.components.foundation.training.stacks.trial import Trial
from sanefit.components.hyperparameter_search.pack import trial_store
from sanefit.components.hyperparameter_search.pack.trial_pack import PackMachine, run_pack
from sanefit.components.hyperparameter_search.pack.trial_store import (
    TrialStore,
    open_store,
    plan_key,
    progress_bytes,
    progress_from,
)

RECIPE = Recipe(learning_rate=0.1, weight_decay=0.0, momentum=0.9, batch_size=16, epochs=3, batch_seed=0)
TRIAL = Trial(TwoLayerSettings(kind="two_layer"), RECIPE, seed=0)
RECORD = EpochRecord(
    epoch=1,
    learning_rate=0.1,
    train_loss=1.0,
    train_accuracy=0.5,
    validation_loss=None,
    validation_accuracy=0.25,
)
RESULT = TrialResult(
    spec=TrialSpec(number=0, setting=TrialSetting(learning_rate=0.1, weight_decay=0.0), epochs=3, seed=0),
    status="diverged",
    validation_accuracy=0.25,
    epochs=[RECORD],
    seconds=1.0,
)
STATE = TrainingState(
    1,
    4,
    {"w": torch.arange(6.0).reshape(2, 3)},
    {"momentum_buffer": {"w": torch.ones(2, 3)}},
    taken=3,
    scaling={"scale": 1024.0, "_growth_tracker": 2},
)
BEGUN = BegunEpoch(2, torch.tensor([[1.5, 3.0, 8.0]], dtype=torch.float64), {"w": torch.tensor(0.5)})
PROGRESS = Progress(1, [[RECORD], [RECORD]], {1: dataclasses.replace(STATE, begun=BEGUN)}, {0: RECORD})


@pytest.fixture(params=["local", "s3"])
def store(request: pytest.FixtureRequest, tmp_path: Path, digits_stats: ChannelStats) -> TrialStore:
    storage = str(tmp_path) if request.param == "local" else f"{request.getfixturevalue('s3')}/{tmp_path.name}"
    return open_store(storage, "fingerprint", digits_stats, TRIAL.network, arithmetic="cpu")


def test_what_is_written_is_read_back(store: TrialStore) -> None:
    key = store.key(TRIAL, None, 1)
    assert (store.read_result(key), store.read_progress(key), store.read_plan(key)) == (None, None, None)
    assert not store.has_progress(key)
    plan = EnginePlan("stacked", 16, reason="because")
    store.write_result(key, RESULT)
    store.write_progress(key, PROGRESS)
    store.write_plan(key, plan)
    assert store.has_progress(key)
    assert (store.read_result(key), store.read_plan(key)) == (RESULT, plan)
    read = store.read_progress(key)
    assert read is not None
    assert (read.epochs, read.records, list(read.states)) == (1, PROGRESS.records, [1])
    torch.testing.assert_close(read.states[1].weights["w"], STATE.weights["w"], rtol=0, atol=0)
    torch.testing.assert_close(read.states[1].slots, STATE.slots, rtol=0, atol=0)
    assert (read.states[1].taken, read.states[1].scaling) == (STATE.taken, STATE.scaling)
    begun = read.states[1].begun
    assert begun is not None
    assert (begun.batches, begun.counted.tolist(), begun.scales["w"].item()) == (2, BEGUN.counted.tolist(), 0.5)
    assert read.known == {0: RECORD}
    store.remove_progress(key)
    assert (store.has_progress(key), store.read_progress(key)) == (False, None)


def test_damaged_files_count_as_none(store: TrialStore) -> None:
    key = store.key(TRIAL, None, 1)
    for ending in ("json", "pt", "plan.json"):
        object_store.write_bytes(f"{store.storage}/trials/{key[:2]}/{key}.{ending}", b'{"half": ')
    assert (store.read_result(key), store.read_progress(key), store.read_plan(key)) == (None, None, None)


@given(st.integers(0, 400))
def test_progress_that_is_cut_off_is_damaged(length: int) -> None:
    content = progress_bytes(PROGRESS)
    with pytest.raises(ValueError, match="no progress of trials"):
        progress_from(content[: len(content) * length // 401])


def store_of(
    stats: ChannelStats,
    network: NetworkSettings = TRIAL.network,
    fingerprint: str = "fingerprint",
    arithmetic: str = "cpu",
) -> TrialStore:
    return open_store("s", fingerprint, stats, network, arithmetic=arithmetic)


def test_everything_that_a_curve_depends_on_is_in_its_name(digits_stats: ChannelStats) -> None:
    store = store_of(digits_stats)
    others = [
        *(dataclasses.replace(TRIAL, recipe=dataclasses.replace(RECIPE, **{name: value})) for name, value in CHANGES),
        dataclasses.replace(TRIAL, seed=1),
        dataclasses.replace(TRIAL, network=TwoLayerSettings(kind="two_layer", hidden=51)),
    ]
    shifted = digits_stats.model_copy(update={"shift": [0.0]})
    keys = [
        store.key(TRIAL, None, 1),
        *(store.key(other, None, 1) for other in others),
        store.key(TRIAL, 0, 2),
        store.key(TRIAL, 1, 2),
        store.key(TRIAL, 0, 3),
        store_of(digits_stats, fingerprint="other images").key(TRIAL, None, 1),
        store_of(digits_stats, arithmetic="cuda").key(TRIAL, None, 1),
        store_of(shifted).key(TRIAL, None, 1),
    ]
    assert len(set(keys)) == len(keys)
    assert store.key(dataclasses.replace(TRIAL), None, 1) == keys[0]
    assert len(CHANGES) == len(dataclasses.fields(Recipe))


def test_a_users_network_that_was_edited_never_meets_its_old_trials(
    digits_stats: ChannelStats, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    files = {name: tmp_path / name for name in ("searched_net.py", "its_layers.py", "weights.pt")}
    files["searched_net.py"].write_text("import its_layers")
    files["its_layers.py"].write_text("WIDTH = 64")
    files["weights.pt"].write_bytes(b"one")
    network = ModuleSettings(kind="module", path="searched_net:Net", weights=str(files["weights.pt"]))

    def key() -> str:
        store = store_of(digits_stats, network)
        key = store.key(dataclasses.replace(TRIAL, network=network), None, 1)
        return key + plan_key(store)

    keys = [key()]
    for name, content in (
        ("searched_net.py", "import its_layers, torch"),
        ("its_layers.py", "WIDTH = 2"),
        ("weights.pt", "two"),
    ):
        files[name].write_text(content)
        keys.append(key())
    assert len(set(keys)) == len(keys)
    files["its_layers.py"].write_text("# a comment\nWIDTH = 2")
    assert key() == keys[-1]


def test_other_code_and_another_torch_have_other_trials(
    digits_stats: ChannelStats, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = [store_of(digits_stats).key(TRIAL, None, 1)]
    with monkeypatch.context() as patch:
        patch.setattr(trial_store, "digest_of_own_code", lambda *_: "other code")
        keys.append(store_of(digits_stats).key(TRIAL, None, 1))
    monkeypatch.setattr(training_identity, "torch_version", lambda: "0.4")
    keys.append(store_of(digits_stats).key(TRIAL, None, 1))
    assert len(set(keys)) == 3


CHANGES: list[tuple[str, object]] = [
    ("learning_rate", 0.2),
    ("weight_decay", 0.1),
    ("momentum", 0.8),
    ("freeze_epochs", 2),
    ("backbone_rate", 0.5),
    ("erasing", 0.5),
    ("mixup", 0.5),
    ("cutmix", 0.5),
    ("gradient_clip", 0.5),
    ("accumulate", 2),
    ("nesterov", True),
    ("batch_size", 17),
    ("epochs", 4),
    ("batch_seed", 1),
    ("noise_seed", 1),
    ("optimizer", "adam"),
    ("schedule", "step"),
    ("warmup", 0.1),
    ("augmentation", "flip"),
    ("class_weights", "balanced"),
    ("kept_by", "loss"),
    ("judged_class", 1),
]


@pytest.mark.slow
@pytest.mark.parametrize(("store", "cores"), [("s3", 1), ("gs", 2)])
def test_a_pack_whose_storage_is_an_object_store_takes_from_there_what_was_trained(
    store: str,
    cores: int,
    digits: DatasetReference,
    digits_stats: ChannelStats,
    tmp_path: Path,
    request: pytest.FixtureRequest,
) -> None:
    storage = f"{request.getfixturevalue(store)}/pack"
    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    plan = PackPlan(
        stage="coarse",
        pack=0,
        packs=1,
        trials_in_stage=4,
        search_range=SearchRange(learning_rate=(1e-3, 1.0), weight_decay=(1e-6, 1e-1), reasons=[]),
        trials=[RESULT.spec.model_copy(update={"number": number, "seed": number}) for number in range(4)],
        reduction_factor=2,
        engine="stacked",
        networks_at_once=2,
    )
    inputs = inputs_of(
        digits, digits_stats, TwoLayerSettings(kind="two_layer", hidden=8), OptimizerSettings(batch_size=64)
    )
    results: list[PackResult] = []
    for name in ("first", "second"):
        run_id = open_run(
            connect(uri), experiment="s3", artifact_location=str(tmp_path), run_name=name, tags={}, params={}
        )
        run = RunReference(run_name=name, storage=storage, tracking_uri=uri, tracking_run_id=run_id)
        said = Said()
        with ThreadPoolExecutor(1) as beside:
            written = run_pack(
                plan,
                inputs,
                run,
                PackMachine([torch.device("cpu")], cores=cores),
                writer=beside,
                say=said,
                interruptions=Interruptions(checkpoint_seconds=0.0),
            )
        results += load_pack_results(run, "coarse", [written])
    assert [one.status for one in results[0].results].count("stopped") == 3
    for one, again in zip(results[0].results, results[1].results, strict=True):
        assert (one.status, len(one.epochs)) == (again.status, len(again.epochs))
        # What was stopped is trained again, in a smaller stack, which multiplies in another order.
        assert one.epochs[-1].train_loss == pytest.approx(again.epochs[-1].train_loss, rel=1e-4)
    assert "1 of 4 trainings are in the storage from before, and are not repeated" in said
    assert not any(one.uri.endswith(".pt") for one in list_objects(f"{storage}/trials/"))
