"""Runs packs as the product does: each in a process of its own that has trained nothing before.

pytest's own process cannot be forked for one: what other tests did leaves it with threads of OpenMP that a fork lacks
and would wait for.
"""

import multiprocessing
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from said import Said
from torch._subclasses.fake_tensor import FakeTensorMode

from sanefit.components.foundation.errors import StoppedError
from sanefit.components.foundation.image_dataset.shards import read_manifest
from sanefit.components.foundation.machine.forked_work import gradients_survive_a_fork
from sanefit.components.foundation.machine.termination import listening_for_sigterm
from sanefit.components.foundation.schemas.images import DatasetReference
from sanefit.components.foundation.schemas.networks import TwoLayerSettings
from sanefit.components.foundation.schemas.runs import RunReference
from sanefit.components.foundation.schemas.search import PackPlan, PackResult
from sanefit.components.foundation.schemas.statistics import ChannelStats
from sanefit.components.foundation.schemas.training import OptimizerSettings
from sanefit.components.foundation.tracking import child_runs
from sanefit.components.foundation.tracking.connection import connect
from sanefit.components.foundation.tracking.runs import open_run
from sanefit.components.foundation.training.inputs import TrainingInputs
from sanefit.components.hyperparameter_search.pack import chunk_training, trial_pack
from sanefit.components.hyperparameter_search.pack.trial_log import tracking_process
from sanefit.components.hyperparameter_search.pack.trial_pack import PackMachine, run_pack

NETWORK = TwoLayerSettings(kind="two_layer", hidden=8)
OPTIMIZER = OptimizerSettings(batch_size=64, momentum=0.5, schedule="cosine")
EXPERIMENT = "packs"
CORES = 2
BeforeTraining = Callable[[int, list[Any]], None]

_clean = multiprocessing.get_context("forkserver")
# Imported once, for all: MLflow's store of tables alone takes longer than a pack of these tests.
_clean.set_forkserver_preload(["mlflow.store.tracking.sqlalchemy_store", child_runs.__name__, trial_pack.__name__])


@dataclass(frozen=True)
class Pack:
    """A plan and where it runs. ``before``: called in the worker, before each training, with how many and the trials.

    ``options``: further arguments of ``run_pack``. ``threads_of_autograd``: whether its process has some.
    """

    plan: PackPlan
    folder: Path
    digits: DatasetReference
    stats: ChannelStats
    run_name: str = "run"
    before: BeforeTraining | None = None
    cores: int = CORES
    options: dict[str, Any] = field(default_factory=dict)
    threads_of_autograd: bool = False

    @property
    def storage(self) -> Path:
        return self.folder / f"storage-{self.run_name}"

    @property
    def tracking_uri(self) -> str:
        return f"sqlite:///{self.folder / 'mlflow.db'}"

    @property
    def results(self) -> list[Path]:
        """The file of its results, once there is one."""
        return list(self.storage.glob("**/trials/coarse-pack-000.json"))

    def result(self) -> PackResult:
        [path] = self.results
        return PackResult.model_validate_json(path.read_bytes())

    def said(self) -> list[str]:
        return (self.folder / f"said-{self.run_name}").read_text().splitlines()


def started(pack: Pack) -> Any:
    """Begin it; what is returned is its process."""
    process = _clean.Process(target=_run, args=(pack,))
    process.start()
    return process


def finished(pack: Pack) -> Pack:
    """Run it to its end."""
    process = started(pack)
    process.join()
    assert process.exitcode == 0
    return pack


def _run(pack: Pack) -> None:
    torch.set_num_threads(CORES)
    if pack.before is not None:
        _call_before_training(pack.before)
    if pack.threads_of_autograd:
        _begin_threads_of_autograd()
    said = Said()
    machine = PackMachine([torch.device("cpu")], pack.cores)
    inputs = TrainingInputs(pack.digits, read_manifest(pack.digits), pack.stats, NETWORK, OPTIMIZER, seed=0)
    try:
        with listening_for_sigterm(), tracking_process(pack.tracking_uri) as beside:
            reference = beside.submit(_opened_run, pack).result()
            run_pack(pack.plan, inputs, reference, machine, writer=beside, say=said, **pack.options)
    except StoppedError as error:
        said(str(error))
        sys.exit(error.exit_status)
    finally:
        (pack.folder / f"said-{pack.run_name}").write_text("\n".join(said))


def _opened_run(pack: Pack) -> RunReference:
    run_id = open_run(
        connect(pack.tracking_uri),
        experiment=EXPERIMENT,
        artifact_location=str(pack.folder),
        run_name=pack.run_name,
        tags={},
        params={},
    )
    return RunReference(
        run_name=pack.run_name,
        storage=str(pack.storage),
        tracking_uri=pack.tracking_uri,
        tracking_run_id=run_id,
    )


def _begin_threads_of_autograd() -> None:
    """As on a machine with a GPU: fake tensors make autograd see one."""
    with FakeTensorMode():
        torch.ones(1)
    torch.ones(1, requires_grad=True).sum().backward()
    assert not gradients_survive_a_fork()


def _call_before_training(before: BeforeTraining) -> None:
    """Workers are forks of this process, and take it with them."""
    train_together = chunk_training.train_together

    def train(plan: Any, chosen: Any, *args: Any, **rest: Any) -> Any:
        before(len(chosen), chosen)
        return train_together(plan, chosen, *args, **rest)

    chunk_training.train_together = train
