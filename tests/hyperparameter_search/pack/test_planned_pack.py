from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from said import Said

from sanefit.components.foundation.schemas.runs import RunReference
from sanefit.components.foundation.schemas.stage_plan import StagePlan
from sanefit.components.foundation.schemas.training import TrainingParameters
from sanefit.components.hyperparameter_search.pack.planned_pack import run_planned_pack


def test_a_pack_without_trials_says_so_and_writes_nothing(tmp_path: Path, said: Said) -> None:
    """A grid of one point, two packs: one of them has nothing to do."""
    run = RunReference(run_name="r", storage=str(tmp_path), tracking_uri="", tracking_run_id="")
    inputs = TrainingParameters(dataset="", stats="", network="", optimizer="", seed=0)
    stage = StagePlan(run=run, stage="coarse", packs=["000-0123456789ab"], inputs=inputs)
    with ThreadPoolExecutor(1) as writer:
        run_planned_pack(stage, 1, writer, said)
    assert said == ["nothing to train: the trials of the coarse stage fill 1 pack"]
    assert list(tmp_path.iterdir()) == []
