"""What one step hands to the next."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sanefit.components.foundation.errors import StorageError
from sanefit.components.foundation.schemas.checks import CheckReport
from sanefit.components.foundation.schemas.runs import ResultReference, RunReference
from sanefit.components.foundation.schemas.search import PackPlan, PackResult, SearchRange
from sanefit.components.foundation.schemas.stage_plan import StagePlan
from sanefit.components.foundation.schemas.training import TrainingParameters
from sanefit.components.foundation.storage.layout import Storage
from sanefit.components.foundation.storage.packs import (
    finished_packs,
    load_pack_results,
    store_pack_result,
    store_stage_plan,
    text_of_plan,
    trials_of,
)
from sanefit.components.foundation.storage.results import (
    find_cached_result,
    load_optional_result,
    load_result,
    store_cached_result,
    store_result,
)

BAND = st.tuples(st.floats(1e-7, 1e-3), st.floats(1e-2, 10))
RANGE = SearchRange(learning_rate=(1e-3, 1.0), weight_decay=(1e-6, 1e-1), reasons=["given"])


@pytest.fixture
def run(tmp_path: Path) -> RunReference:
    return RunReference(run_name="r", storage=str(tmp_path), tracking_uri="", tracking_run_id="")


def report(band: tuple[float, float] | None) -> CheckReport:
    return CheckReport(gates=[], probe=[], learning_rate_band=band)


@given(st.none() | BAND)
def test_what_is_stored_is_loaded(tmp_path_factory: pytest.TempPathFactory, band: tuple[float, float] | None) -> None:
    reference = store_result(str(tmp_path_factory.mktemp("run") / "checks.json"), report(band))
    assert load_result(CheckReport, reference) == report(band)
    assert load_optional_result(CheckReport, reference) == report(band)


def test_a_step_that_has_not_run_gave_nothing() -> None:
    assert load_optional_result(CheckReport, "") is None


@pytest.mark.parametrize("change", [b"", b"{}", b'{"gates": [], "probe": [], "learning_rate_band": [0.1, 1.0]}'])
def test_a_file_that_was_changed_is_an_error_of_one_line_that_names_it(tmp_path: Path, change: bytes) -> None:
    path = tmp_path / "checks.json"
    reference = store_result(str(path), report((0.1, 0.2)))
    path.write_bytes(change)
    with pytest.raises(StorageError) as raised:
        load_result(CheckReport, reference)
    assert str(path) in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_file_that_is_gone_is_an_error_that_names_it(tmp_path: Path) -> None:
    path = tmp_path / "checks.json"
    reference = store_result(str(path), report(None))
    path.unlink()
    with pytest.raises(StorageError, match=r"checks\.json"):
        load_result(CheckReport, reference)


def test_a_cached_result_has_one_place_and_one_text_whichever_run_found_it(tmp_path: Path) -> None:
    texts = {store_cached_result(str(tmp_path), "checks", report((0.1, 0.2))) for _ in range(2)}
    other = store_cached_result(str(tmp_path), "checks", report((0.1, 0.3)))
    assert len(texts) == 1
    assert other not in texts
    told = ResultReference.model_validate_json(texts.pop())
    assert told.uri == Storage(str(tmp_path)).cached_result("checks", told.sha256, "json")
    assert len(list(tmp_path.glob("results/checks/*.json"))) == 2


def test_the_results_of_a_pack_that_was_trained_again_are_not_taken_for_the_first(run: RunReference) -> None:
    first = store_pack_result(run, 3, PackResult(stage="coarse", search_range=RANGE, results=[]))
    again = PackResult(stage="coarse", search_range=RANGE.model_copy(update={"reasons": []}), results=[])
    second = store_pack_result(run, 3, again)
    assert load_pack_results(run, "coarse", [second]) == [again]
    assert trials_of([again]) == []
    with pytest.raises(StorageError, match="coarse-pack-003"):
        load_pack_results(run, "coarse", [first])


PLAN = PackPlan(stage="coarse", pack=0, packs=2, trials_in_stage=0, search_range=RANGE, trials=[])
PARAMETERS = TrainingParameters(dataset="{}", stats="{}", network="{}", optimizer="{}", seed=0)


def test_a_stage_is_finished_when_each_pack_has_the_result_of_its_plan(run: RunReference) -> None:
    plans = [PLAN, PLAN.model_copy(update={"pack": 1})]
    stage = load_result(StagePlan, store_stage_plan(run, plans, PARAMETERS))
    assert stage.packs == [text_of_plan(plan) for plan in plans]
    assert stage.inputs == PARAMETERS
    written = [
        store_pack_result(run, plan.pack, PackResult(stage="coarse", plan=text, search_range=RANGE, results=[]))
        for plan, text in zip(plans, stage.packs, strict=True)
    ]
    assert [*finished_packs(stage)] == written
    assert [*finished_packs(stage).values()] == load_pack_results(run, "coarse", written)


def test_a_result_of_an_earlier_plan_is_not_taken_for_this_ones(run: RunReference) -> None:
    stage = load_result(StagePlan, store_stage_plan(run, [PLAN], PARAMETERS))
    with pytest.raises(StorageError, match=r"coarse-pack-000\.json"):
        finished_packs(stage)
    store_pack_result(run, 0, PackResult(stage="coarse", plan="000-000000000000", search_range=RANGE, results=[]))
    with pytest.raises(StorageError, match="is not the result of plan 000-"):
        finished_packs(stage)


def test_what_was_found_for_a_key_is_found_again_until_it_is_deleted(tmp_path: Path) -> None:
    storage = str(tmp_path)
    assert find_cached_result(storage, "checks", "k") == ""
    text = store_cached_result(storage, "checks", PARAMETERS, "k")
    assert find_cached_result(storage, "checks", "k") == text
    assert find_cached_result(storage, "checks", "another") == ""
    assert load_result(TrainingParameters, text) == PARAMETERS
    Path(json.loads(text)["uri"]).unlink()
    assert find_cached_result(storage, "checks", "k") == ""
