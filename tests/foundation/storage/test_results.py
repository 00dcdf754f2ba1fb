"""What one step hands to the next."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sanefit.components.foundation.errors import StorageError
from sanefit.components.foundation.schemas.checks import CheckReport
from sanefit.components.foundation.schemas.runs import ResultReference, RunReference
from sanefit.components.foundation.schemas.search import PackResult, SearchRange
from sanefit.components.foundation.storage.layout import Storage
from sanefit.components.foundation.storage.packs import load_pack_results, store_pack_result, trials_of
from sanefit.components.foundation.storage.results import (
    load_optional_result,
    load_result,
    store_cached_result,
    store_result,
)

BAND = st.tuples(st.floats(1e-7, 1e-3), st.floats(1e-2, 10))
RANGE = SearchRange(learning_rate=(1e-3, 1.0), weight_decay=(1e-6, 1e-1), reasons=["given"])


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


def test_the_results_of_a_pack_that_was_trained_again_are_not_taken_for_the_first(tmp_path: Path) -> None:
    run = RunReference(run_name="r", storage=str(tmp_path), tracking_uri="", tracking_run_id="")
    first = store_pack_result(run, 3, PackResult(stage="coarse", search_range=RANGE, results=[]))
    again = PackResult(stage="coarse", search_range=RANGE.model_copy(update={"reasons": []}), results=[])
    second = store_pack_result(run, 3, again)
    assert load_pack_results(run, "coarse", [second]) == [again]
    assert trials_of([again]) == []
    with pytest.raises(StorageError, match="coarse-pack-003"):
        load_pack_results(run, "coarse", [first])
