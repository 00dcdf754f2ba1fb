"""What both uses of Ray Tune share: a Ray that talks to this machine alone, and results as they come in."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import ray
from ray import tune

from search_peers.protocol import CORES, Search, say_result

OBJECT_STORE_BYTES = 512 * 2**20


@contextmanager
def ray_session() -> Iterator[None]:
    """Listens on 127.0.0.1, as ``contestants.RAY_ALONE`` asks, and on sockets in its own folder; ends in the end."""
    with tempfile.TemporaryDirectory(prefix="ray", dir="/tmp") as folder:  # a socket's path is short
        ray.init(
            num_cpus=CORES,
            num_gpus=0,
            include_dashboard=False,
            object_store_memory=OBJECT_STORE_BYTES,
            log_to_driver=False,
            logging_level="ERROR",
            _node_ip_address="127.0.0.1",
            _temp_dir=folder,
        )
        try:
            yield
        finally:
            ray.shutdown()


class Reporting(tune.Callback):
    """Says a result when the process that waits for it has it."""

    def on_trial_result(self, iteration: int, trials: list[Any], trial: Any, result: dict[str, Any], **_: Any) -> None:
        del iteration, trials
        say_result(trial.config["trial"]["number"], result["training_iteration"], result["accuracy"])


def trial_space(search: Search) -> dict[str, Any]:
    """Each trial once, in order."""
    trials = [
        {"number": trial.number, "learning_rate": trial.learning_rate, "weight_decay": trial.weight_decay}
        for trial in search.trials
    ]
    return {"trial": tune.grid_search(trials)}
