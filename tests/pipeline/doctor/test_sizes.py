"""What steps used beside what they ask for."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kubernetes.utils.quantity import parse_quantity

from sanefit.components.foundation.schemas.run_record import RunRecord, StepRecord
from sanefit.pipeline.doctor.sizes import section_of, size_findings, suggested_memory
from sanefit.pipeline.settings.cluster_settings import ClusterSettings

GIB = 2**30


def used(step: str, gib: float, cores: float = 0.5) -> StepRecord:
    return StepRecord(step=step, state="succeeded", started=0.0, ended=60.0, peak_memory=int(gib * GIB), cores=cores)


@pytest.mark.parametrize(
    ("step", "section"),
    [
        ("snapshot", "data_steps"),
        ("open run", "data_steps"),
        ("stats", "data_steps"),
        ("sanity", "trainer_steps"),
        ("coarse plan", "trainer_steps"),
        ("coarse rank", "trainer_steps"),
        ("coarse pack 1", "search_packs"),
        ("fine pack 12", "search_packs"),
        ("fine rank", "final_training"),
        ("train", "final_training"),
        ("register", "trainer_steps"),
        ("close run", "trainer_steps"),
    ],
)
def test_each_step_has_a_section(step: str, section: str) -> None:
    assert section_of(step) == section


def test_the_largest_step_of_a_kind_counts() -> None:
    record = RunRecord(
        steps=[
            used("coarse pack 1", 3.0, cores=3.5),
            used("fine pack 2", 5.0, cores=2.0),
            used("train", 15.5),
            used("stats", 0.0),
            used("register", 7.0),
        ]
    )
    found = {finding.what: finding for finding in size_findings(record, ClusterSettings())}
    assert found.keys() == {"search packs", "final training", "trainer steps"}
    packs = found["search packs"]
    assert packs.seen == "2 steps: at most 5.0 GiB (fine pack 2) of 16Gi, 3.5 of 4 cores on average"
    assert (packs.state, packs.fix) == ("ok", "cluster.search_packs.memory=6400Mi would do")
    final = found["final training"]
    assert (final.state, final.fix) == ("warning", "set cluster.final_training.memory=19968Mi")
    assert (found["trainer steps"].state, found["trainer steps"].fix) == ("ok", "")


def test_how_busy_gpus_were_is_told() -> None:
    steps = [
        used("coarse pack 1", 3.0).model_copy(update={"gpu_utilization": 0.31}),
        used("coarse pack 2", 3.0).model_copy(update={"gpu_utilization": 0.9}),
        used("coarse pack 3", 3.0),
    ]
    [packs] = size_findings(RunRecord(steps=steps), ClusterSettings())
    assert packs.seen.endswith("; its GPUs computed in 31% to 90% of the time")


@given(st.integers(1, 10**13))
def test_a_suggestion_leaves_a_quarter_and_no_more_than_a_step(peak: int) -> None:
    memory = int(parse_quantity(suggested_memory(peak)))
    assert 1.25 * peak <= memory * (1 + 1e-9)
    assert memory - 1.25 * peak <= 256 * 2**20
    assert ClusterSettings.model_validate({"trainer_steps": {"memory": suggested_memory(peak)}})
