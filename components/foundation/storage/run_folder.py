"""The folder of one run in the storage: ``runs/RUN_NAME``."""

from collections.abc import Sequence

from sanefit.components.foundation.schemas.search import PackPlan, PackResult, TrialResult
from sanefit.components.foundation.storage import object_store

REPORT_FILE = "report.html"
SUMMARY_FILE = "summary.json"


def run_folder(storage: str, run_name: str) -> str:
    """The URI of a run's folder."""
    return object_store.join(storage, "runs", run_name)


def storage_of(folder_uri: str) -> str:
    """The storage that a run's folder lies in."""
    return folder_uri.rsplit("/", 2)[0]


def write_pack_plan(folder_uri: str, plan: PackPlan) -> str:
    """Keep the plan of one pack; its URI. A thousand trials do not fit a command line."""
    uri = object_store.join(folder_uri, "trials", f"{plan.stage}-pack-{plan.pack:03d}-plan.json")
    object_store.write_bytes(uri, plan.model_dump_json().encode())
    return uri


def read_pack_plan(uri: str) -> PackPlan:
    """The plan of one pack."""
    return PackPlan.model_validate_json(object_store.read_bytes(uri))


def write_pack_result(folder_uri: str, pack: int, result: PackResult) -> str:
    """Keep the results of one pack; their URI."""
    uri = object_store.join(folder_uri, "trials", f"{result.stage}-pack-{pack:03d}.json")
    object_store.write_bytes(uri, result.model_dump_json().encode())
    return uri


def read_trials(pack_uris: Sequence[str]) -> list[TrialResult]:
    """Every trial of the packs, by number."""
    packs = [PackResult.model_validate_json(object_store.read_bytes(uri)) for uri in pack_uris]
    return sorted((result for pack in packs for result in pack.results), key=lambda result: result.spec.number)
