"""Ray Tune at its fastest: processes that go from trial to trial, and images that all share in Ray's object store."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from ray import tune

from search_peers.images import decode
from search_peers.in_memory import memory_splits
from search_peers.protocol import Search, Trial, read_search, say_ready
from search_peers.ray_session import Reporting, ray_session, trial_space
from search_peers.training import train_trial

Arrays = tuple[NDArray[np.uint8], NDArray[np.int64], NDArray[np.uint8], NDArray[np.int64]]


def main() -> None:
    search = read_search()
    arrays = (*decode(search.folder / "train"), *decode(search.folder / "val"))
    with ray_session():
        say_ready()
        trainable = tune.with_parameters(Training, search=search, arrays=arrays)
        tuner = tune.Tuner(
            tune.with_resources(trainable, {"cpu": 1}),
            param_space=trial_space(search),
            tune_config=tune.TuneConfig(reuse_actors=True),
            run_config=tune.RunConfig(
                storage_path=str(search.scratch),
                callbacks=[Reporting()],
                verbose=0,
                stop={"training_iteration": search.epochs},
                checkpoint_config=tune.CheckpointConfig(checkpoint_at_end=False),
            ),
        )
        assert not tuner.fit().errors


class Training(tune.Trainable):
    """A trial, and after it the next one."""

    def setup(self, config: dict[str, Any], search: Search, arrays: Arrays) -> None:
        self.search = search
        # Ray's arrays cannot be written to, of which torch warns; nothing writes to them.
        self.splits = memory_splits(search.net, *(torch.from_numpy(array) for array in arrays))
        self.reset_config(config)

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        trial = Trial(**new_config["trial"])
        self.epochs: Iterator[float] = train_trial(self.search, trial, *self.splits)
        return True

    def step(self) -> dict[str, float]:
        return {"accuracy": next(self.epochs)}


if __name__ == "__main__":
    main()
