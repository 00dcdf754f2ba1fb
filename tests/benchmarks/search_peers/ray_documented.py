"""Ray Tune as its documentation shows it: a function that loads its own data and trains; one core for each trial."""

from typing import Any

from ray import tune

from search_peers.image_folder import loaders
from search_peers.protocol import Search, Trial, read_search, say_ready
from search_peers.ray_session import Reporting, ray_session, trial_space
from search_peers.training import train_trial


def main() -> None:
    search = read_search()
    with ray_session():
        say_ready()
        tuner = tune.Tuner(
            tune.with_resources(tune.with_parameters(train, search=search), {"cpu": 1}),
            param_space=trial_space(search),
            run_config=tune.RunConfig(storage_path=str(search.scratch), callbacks=[Reporting()], verbose=0),
        )
        assert not tuner.fit().errors


def train(config: dict[str, Any], search: Search) -> None:
    """Ray gives it one thread."""
    training, validation = loaders(search)
    for accuracy in train_trial(search, Trial(**config["trial"]), training, validation):
        tune.report({"accuracy": accuracy})


if __name__ == "__main__":
    main()
