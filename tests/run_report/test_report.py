from collections.abc import Callable
from pathlib import Path

import pytest
from said import Said
from trial_results import made_up_result

from sanefit.components.channel_stats.channel_stats import measure_channel_stats
from sanefit.components.dataset_snapshot.snapshot import take_snapshot
from sanefit.components.foundation.schemas.checks import CheckReport, GateResult, LayerSignal
from sanefit.components.foundation.schemas.data_settings import DataSettings
from sanefit.components.foundation.schemas.final_model import Judgement, TrainedModel
from sanefit.components.foundation.schemas.images import DatasetReference
from sanefit.components.foundation.schemas.label_errors import LabelErrors, SuspectedLabel
from sanefit.components.foundation.schemas.mutations import MutationReport, PlantedResult
from sanefit.components.foundation.schemas.run_record import StepRecord
from sanefit.components.foundation.schemas.runs import Registration, RunReference
from sanefit.components.foundation.schemas.search import PackResult, Ranking, SearchRange, TrialResult, TrialSetting
from sanefit.components.foundation.schemas.statistics import ChannelStats, StatsSettings
from sanefit.components.foundation.storage import object_store
from sanefit.components.foundation.storage.layout import Storage
from sanefit.components.foundation.storage.packs import store_pack_result
from sanefit.components.run_report.report import Findings, render, summarize, write_report

pytestmark = pytest.mark.slow

RUN = RunReference(run_name="r", storage="", tracking_uri="sqlite:///x", tracking_run_id="1")


def gate(verdict: str) -> GateResult:
    return GateResult.model_validate(
        {
            "name": "first_loss",
            "row": "S1",
            "title": "first loss is log K",
            "verdict": verdict,
            "measured": "9.9000",
            "expected": "2.3026",
            "reason": "a network that knows nothing",
            "fix": "lower the initial weights",
        }
    )


def checks(verdict: str) -> CheckReport:
    return CheckReport(gates=[gate(verdict)], probe=[], learning_rate_band=None)


def test_a_failed_check_shows_its_numbers_and_its_fix(digits: DatasetReference, digits_stats: ChannelStats) -> None:
    page = render(Findings(RUN, digits, digits_stats, checks("fail")))
    for text in ("Stopped at the gate", "9.9000", "2.3026", "lower the initial weights"):
        assert text in page


def test_the_signals_of_the_layers_are_drawn_and_told(digits: DatasetReference, digits_stats: ChannelStats) -> None:
    layer = LayerSignal(
        layer="activation<1>",
        kind="Tanh",
        mean=0.0,
        std=None,
        gradient_std=1e-9,
        saturated=0.9,
        dead=None,
        low=-1.0,
        high=1.0,
        histogram=[5, 0, 5],
        update_ratio=None,
        verdict="saturating",
        evidence="90% of the values at a bound",
    )
    report = checks("fail").model_copy(update={"layers": [layer] * 11})
    page = render(Findings(RUN, digits, digits_stats, report))
    assert "<1>" not in page
    assert page.count('<td class="warn">saturating</td>') == 11
    assert "0.9" in page


def test_a_page_before_the_search_does_not_claim_a_result(digits: DatasetReference, digits_stats: ChannelStats) -> None:
    page = render(Findings(RUN, digits, digits_stats, checks("pass")))
    assert "Written before the search" in page
    assert "Stopped at the gate" not in page
    assert "Test accuracy" not in page


def test_the_same_findings_give_the_same_page(digits: DatasetReference, digits_stats: ChannelStats) -> None:
    findings = Findings(RUN, digits, digits_stats, checks("pass"))
    assert render(findings) == render(findings)


def test_the_page_of_the_checks_alone_tells_the_planted_faults(
    digits: DatasetReference, digits_stats: ChannelStats, tmp_path: Path, said: Said
) -> None:
    planted = [
        PlantedResult(fault="labels <shuffled>", verdict="caught", check="carries_over", measured="accuracy 0.1"),
        PlantedResult(fault="softmax", verdict="missed"),
        PlantedResult(fault="momentum 0", verdict="not applicable"),
    ]
    run = RUN.model_copy(update={"storage": str(tmp_path)})
    report = MutationReport(planted=planted)
    page = write_report(Findings(run, digits, digits_stats, checks("pass"), mutations=report, alone=True), said)
    assert (tmp_path / "checks" / "r" / "report.html").read_text() == page
    for text in ("mutation score 0.500", "labels &lt;shuffled&gt;", "carries_over", "not applicable"):
        assert text in page
    assert "before the search" not in page


@pytest.mark.parametrize("size", [(7, 5), (200, 90)])
def test_class_names_are_text_and_any_image_size_is_drawn(
    size: tuple[int, int], image_folder: Callable[..., Path], tmp_path: Path
) -> None:
    folder = image_folder({"<script>alert(1)<": 12, "b & c": 12}, size)
    dataset = take_snapshot(DataSettings(source=f"folder:{folder}"), str(tmp_path / "s"), Said())
    stats = measure_channel_stats(dataset, StatsSettings(normalization="channel_mean"), Said())
    page = render(Findings(RUN, dataset, stats, checks("pass")))
    assert "<script>" not in page
    assert "b &amp; c" in page
    assert "data:image/png;base64," in page


def test_page_and_summary_are_written_to_the_run_folder(
    digits: DatasetReference, digits_stats: ChannelStats, tmp_path: Path, said: Said
) -> None:
    run = RUN.model_copy(update={"storage": str(tmp_path)})
    page = write_report(Findings(run, digits, digits_stats, checks("fail")), said)
    assert (tmp_path / "runs" / "r" / "report.html").read_text() == page
    assert "9.9000" in (tmp_path / "runs" / "r" / "summary.json").read_text()
    assert said[0].startswith(str(tmp_path))


def ranking_in(folder: Path, results: list[TrialResult], **update: object) -> Ranking:
    searched = SearchRange(
        learning_rate=(1e-3, 1e0), weight_decay=(1e-6, 1e-1), reasons=["a reason", "20 trials from a Sobol sequence"]
    )
    pack = PackResult(stage="coarse", search_range=searched, results=results)
    best = results[0]
    return Ranking(
        stage="coarse",
        search_range=searched,
        best=best.spec.setting,
        best_trial=best.spec.number,
        best_validation_accuracy=best.validation_accuracy,
        trials=len(results),
        diverged=0,
        packs=[store_pack_result(RUN.model_copy(update={"storage": str(folder)}), 0, pack)],
    ).model_copy(update=update)


def test_a_stage_shows_what_was_searched_how_what_mattered_and_whether_it_was_wide_enough(
    digits: DatasetReference, digits_stats: ChannelStats, tmp_path: Path
) -> None:
    results = [
        made_up_result(0, 0.91234, epochs=5, momentum=0.912345, batch_size=64, init="gaussian:1e-2"),
        made_up_result(1, 0.99, "stopped", 1),
        made_up_result(2, 0.0, "diverged", 1),
    ]
    ranking = ranking_in(
        tmp_path,
        results,
        stopped=1,
        diverged=1,
        importances={"learning_rate": 0.83, "batch_size": 0.17},
        range_findings=["learning rate was too narrow above: <numbers>", "weight decay was wide enough: numbers"],
    )
    page = render(
        Findings(
            RUN.model_copy(update={"storage": str(tmp_path)}), digits, digits_stats, checks("pass"), coarse=ranking
        )
    )
    assert "3 trials, 1 diverged, 1 stopped early" in page
    assert "learning rate 1.000e-02, weight decay 1.000e-04, momentum 0.912, batch size 64, init gaussian:1e-2." in page
    assert "<li>20 trials from a Sobol sequence</li>" in page
    assert '<tr><td>learning rate</td><td class="n">0.83</td>' in page
    assert 'style="width: 17%"' in page
    assert '<li class="warn">learning rate was too narrow above: &lt;numbers&gt;</li>' in page
    assert "<li>weight decay was wide enough: numbers</li>" in page
    assert "stopped early</text>" in page
    assert "diverged or failed</text>" in page


def test_a_stage_of_finished_trials_that_says_nothing_more_has_no_empty_tables(
    digits: DatasetReference, digits_stats: ChannelStats, tmp_path: Path
) -> None:
    ranking = ranking_in(tmp_path, [made_up_result(0, 0.9, epochs=5)])
    page = render(
        Findings(
            RUN.model_copy(update={"storage": str(tmp_path)}), digits, digits_stats, checks("pass"), coarse=ranking
        )
    )
    for absent in ("stopped early", "importance", "too narrow", "diverged or failed"):
        assert absent not in page


def test_a_stage_whose_trials_were_all_stopped_early_still_has_its_best(
    digits: DatasetReference, digits_stats: ChannelStats, tmp_path: Path
) -> None:
    ranking = ranking_in(tmp_path, [made_up_result(0, 0.9, "stopped", 1)], stopped=1)
    assert "0.9000" in render(
        Findings(
            RUN.model_copy(update={"storage": str(tmp_path)}), digits, digits_stats, checks("pass"), coarse=ranking
        )
    )


JUDGEMENT = Judgement(interval=(0.4, 0.6), majority_accuracy=0.1, balanced_accuracy=0.5, only_class_named=None)


REGISTRATION = Registration(
    model_name="digits",
    model_version="3",
    model_uri="models:/digits/3",
    alias="challenger",
    test_accuracy=0.5,
    champion_version_before="2",
    reason="not better",
    look=0,
)


def trained_model() -> TrainedModel:
    return TrainedModel(
        weights_uri="w",
        setting=TrialSetting(learning_rate=0.1, weight_decay=0),
        best_epoch=1,
        epochs=[made_up_result(0, 0.5, epochs=1).epochs[0]],
        validation_accuracy=0.5,
        test_accuracy=0.5,
        test_loss=1.0,
        test_images=10,
        confusion=[[0] * 10] * 10,
        validation=JUDGEMENT,
        test=JUDGEMENT,
    )


def test_suspected_labels_are_shown_with_what_they_should_be_and_counted(
    digits: DatasetReference, digits_stats: ChannelStats
) -> None:
    worst = [
        SuspectedLabel(
            path=f"3/<{number}>.png", class_name="3", suggested="8", score=0.00123, split="train", place=(0, number)
        )
        for number in range(24)
    ]
    found = LabelErrors(
        uri="runs/r/suspected-labels.csv",
        sha256="0" * 64,
        judged={"train": 1206, "validation": 271},
        suspected={"train": 1200, "validation": 34},
        worst=worst,
    )
    trained = trained_model().model_copy(update={"label_errors": found})
    findings = Findings(RUN, digits, digits_stats, checks("pass"), trained=trained)
    page = " ".join(render(findings).split())
    assert "1,234 among 1,206 train images and 271 validation images, judged by models not trained on them." in page
    assert "runs/r/suspected-labels.csv" in page
    assert page.count("an image whose label may be wrong") == 24
    cells = '<td>3</td><td class="warn">8</td><td class="n">0.0012</td><td>train</td><td>3/&lt;7&gt;.png</td>'
    assert cells in page
    assert summarize(findings).suspected_labels == 1234


def test_a_page_without_suspects_says_so_and_one_that_judged_no_label_is_silent(
    digits: DatasetReference, digits_stats: ChannelStats
) -> None:
    found = LabelErrors(uri="u", sha256="", judged={"validation": 271}, suspected={"validation": 0}, worst=[])
    trained = trained_model().model_copy(update={"label_errors": found})
    findings = Findings(RUN, digits, digits_stats, checks("pass"), trained=trained)
    page = " ".join(render(findings).split())
    assert "0 among 271 validation images, judged by the final model, which was not trained on them." in page
    assert "data.exclude" not in page
    assert summarize(findings).suspected_labels == 0
    silent = Findings(RUN, digits, digits_stats, checks("pass"), trained=trained_model())
    assert "label error" not in render(silent)
    assert summarize(silent).suspected_labels is None


def test_the_page_counts_what_is_excluded(image_folder: Callable[..., Path], tmp_path: Path) -> None:
    folder = image_folder({"cat": 20, "dog": 20})
    (tmp_path / "out.txt").write_text("".join(f"cat/000{number}.png\n" for number in range(6)))
    settings = DataSettings(source=f"folder:{folder}", exclude=str(tmp_path / "out.txt"))
    dataset = take_snapshot(settings, str(tmp_path / "s"), Said())
    stats = measure_channel_stats(dataset, StatsSettings(normalization="channel_mean"), Said())
    page = render(Findings(RUN, dataset, stats, checks("pass")))
    assert (
        "6 images left out that <code>data.exclude</code> names, or copies of them: cat/0000.png, cat/0001.png" in page
    )


@pytest.mark.parametrize(
    ("gpus", "utilization", "said"),
    [
        (0, None, ""),
        (2, None, "held GPUs for 1.00 GPU-hours."),
        (2, 0.25, "held GPUs for 1.00 GPU-hours and computed on them in 25 % of that time."),
    ],
)
def test_the_page_says_how_long_gpus_were_held_and_how_busy_they_were(
    gpus: int,
    utilization: float | None,
    said: str,
    digits: DatasetReference,
    digits_stats: ChannelStats,
    tmp_path: Path,
) -> None:
    run = RUN.model_copy(update={"storage": str(tmp_path)})
    step = StepRecord(
        step="train", state="succeeded", started=0.0, ended=1800.0, gpus=gpus, gpu_utilization=utilization
    )
    object_store.write_bytes(Storage(str(tmp_path)).run(run.run_name).step("train"), step.model_dump_json().encode())
    page = render(
        Findings(run, digits, digits_stats, checks("pass"), trained=trained_model(), registration=REGISTRATION)
    )
    assert said in " ".join(page.split())
    assert ("GPU-hours" in page) == bool(gpus)


@pytest.mark.parametrize(
    ("look", "said", "renewed"),
    [(0, "", False), (1, "compared versions once.", False), (20, "compared versions 20 times, and takes", True)],
)
def test_the_page_says_how_often_the_test_split_has_judged(
    look: int, said: str, renewed: bool, digits: DatasetReference, digits_stats: ChannelStats
) -> None:
    registration = REGISTRATION.model_copy(update={"look": look})
    page = render(
        Findings(RUN, digits, digits_stats, checks("pass"), trained=trained_model(), registration=registration)
    )
    assert ("This test split has" in page) == bool(look)
    assert said in page
    assert ("renew it" in page) == renewed
