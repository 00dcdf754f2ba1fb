"""Render the page of a run from what its steps found so far."""

from collections.abc import Mapping
from dataclasses import dataclass

from jinja2 import Environment, PackageLoader, StrictUndefined

from sanefit.components.foundation.diagnosis.curve_diagnosis import diagnose
from sanefit.components.foundation.image_dataset.shards import read_manifest
from sanefit.components.foundation.schemas.checks import CheckReport
from sanefit.components.foundation.schemas.final_model import TrainedModel
from sanefit.components.foundation.schemas.images import DatasetReference
from sanefit.components.foundation.schemas.mutations import MutationReport
from sanefit.components.foundation.schemas.registry import WORN_OUT
from sanefit.components.foundation.schemas.runs import Registration, RunReference, RunSummary
from sanefit.components.foundation.schemas.search import TOO_NARROW, Ranking, TrialResult
from sanefit.components.foundation.schemas.statistics import ChannelStats
from sanefit.components.foundation.step_lines.step_log import Say
from sanefit.components.foundation.storage import object_store
from sanefit.components.foundation.storage.layout import RunFolder, Storage
from sanefit.components.foundation.storage.packs import load_pack_results, trials_of
from sanefit.components.foundation.storage.results import load_optional_result, load_result
from sanefit.components.foundation.storage.run_record import read_run_record
from sanefit.components.run_report import figures
from sanefit.components.run_report.pictures import data_pictures


@dataclass(frozen=True)
class Findings:
    """What the steps found; the later ones are None before they ran.

    ``mutations``: of a run of the checks alone, ``alone``, in which faults were planted.
    """

    run: RunReference
    dataset: DatasetReference
    stats: ChannelStats
    checks: CheckReport
    coarse: Ranking | None = None
    fine: Ranking | None = None
    trained: TrainedModel | None = None
    registration: Registration | None = None
    mutations: MutationReport | None = None
    alone: bool = False

    @property
    def folder(self) -> RunFolder:
        """Where its page goes."""
        storage = Storage(self.run.storage)
        return storage.checked(self.run.run_name) if self.alone else storage.run(self.run.run_name)


def load_findings(run: str, dataset: str, stats: str, checks: str, found: Mapping[str, str]) -> Findings:
    """Read what the steps wrote.

    Args:
        run, dataset: JSON of RunReference and DatasetReference.
        stats, checks: refer to ChannelStats and CheckReport.
        found: references to what the later steps found, by field of ``Findings``; empty where one has not run.

    Raises:
        StorageError: when a file is gone, or another.
    """
    return Findings(
        run=RunReference.model_validate_json(run),
        dataset=DatasetReference.model_validate_json(dataset),
        stats=load_result(ChannelStats, stats),
        checks=load_result(CheckReport, checks),
        coarse=load_optional_result(Ranking, found["coarse"]),
        fine=load_optional_result(Ranking, found["fine"]),
        trained=load_optional_result(TrainedModel, found["trained"]),
        registration=load_optional_result(Registration, found["registration"]),
    )


def load_checks_alone(run_name: str, dataset: str, stats: str, checks: str, mutations: str) -> Findings:
    """Of a run of the checks alone, which MLflow does not know.

    Args:
        run_name: names its folder.
        dataset, stats, checks: as for ``load_findings``.
        mutations: refers to a MutationReport; empty where no fault was planted.

    Raises:
        StorageError: when a file is gone, or another.
    """
    reference = DatasetReference.model_validate_json(dataset)
    return Findings(
        run=RunReference(run_name=run_name, storage=reference.storage, tracking_uri="", tracking_run_id=""),
        dataset=reference,
        stats=load_result(ChannelStats, stats),
        checks=load_result(CheckReport, checks),
        mutations=load_optional_result(MutationReport, mutations),
        alone=True,
    )


def write_report(findings: Findings, say: Say) -> str:
    """Write ``report.html`` and ``summary.json`` to the run's folder; the page's HTML."""
    page = render(findings)
    folder = findings.folder
    object_store.write_bytes(folder.report, page.encode())
    object_store.write_bytes(folder.summary, summarize(findings).model_dump_json().encode())
    say(f"{folder.report} ({len(page) // 1024:,} KiB)")
    return page


def render(findings: Findings) -> str:
    """The page: HTML with every figure inside it, nothing to fetch."""
    manifest = read_manifest(findings.dataset)
    environment = Environment(
        loader=PackageLoader("sanefit.components.run_report", "."), autoescape=True, undefined=StrictUndefined
    )
    stages = [_stage(findings.run, ranking) for ranking in (findings.coarse, findings.fine) if ranking is not None]
    trained = findings.trained
    label_errors = trained and trained.label_errors
    record = read_run_record(findings.folder)
    return environment.get_template("page.html.j2").render(
        run=findings.run,
        manifest=manifest,
        stats=findings.stats,
        checks=findings.checks,
        mutations=findings.mutations,
        alone=findings.alone,
        stages=stages,
        too_narrow=TOO_NARROW,
        worn_out=WORN_OUT,
        trained=trained,
        registration=findings.registration,
        gpu_hours=record.gpu_hours,
        gpu_utilization=record.gpu_utilization,
        figures=figures,
        pictures=data_pictures(findings.dataset, manifest, label_errors.worst if label_errors else ()),
        label_errors=label_errors,
        diagnoses=diagnose(trained.epochs) if trained else [],
    )


def summarize(findings: Findings) -> RunSummary:
    """The short form, for programs."""
    trained, registration = findings.trained, findings.registration
    return RunSummary(
        run_name=findings.run.run_name,
        fingerprint=findings.dataset.fingerprint,
        failed_checks=[f"{gate.row} {gate.title}: {gate.measured}; {gate.fix}" for gate in findings.checks.failures],
        validation_accuracy=trained.validation_accuracy if trained else None,
        test_accuracy=trained.test_accuracy if trained else None,
        validation=trained.validation if trained else None,
        test=trained.test if trained else None,
        suspected_labels=trained.label_errors.count if trained and trained.label_errors else None,
        model_name=registration.model_name if registration else None,
        model_version=registration.model_version if registration else None,
        model_uri=registration.model_uri if registration else None,
        alias=registration.alias if registration else None,
        promotion_reason=registration.reason if registration else None,
    )


def _stage(run: RunReference, ranking: Ranking) -> dict[str, object]:
    results = trials_of(load_pack_results(run, ranking.stage, ranking.packs))
    best: TrialResult = next(result for result in results if result.spec.number == ranking.best_trial)
    return {
        "ranking": ranking,
        "results": results,
        "best": best,
        "diagnoses": diagnose(best.epochs),
    }
