"""Optuna: ``study.optimize`` with a thread for each core, images in memory."""

import optuna

from search_peers.in_memory import decoded_splits
from search_peers.protocol import CORES, Trial, read_search, say_ready, say_result
from search_peers.recipes import RECIPES
from search_peers.training import set_threads, train_trial


def main() -> None:
    search = read_search()
    set_threads(search)
    splits = decoded_splits(search.net, search.folder)
    recipe = RECIPES[search.net]

    def objective(suggesting: optuna.Trial) -> float:
        rate = suggesting.suggest_float("learning_rate", *recipe.learning_rates, log=True)
        decay = suggesting.suggest_float("weight_decay", *recipe.weight_decays, log=True)
        accuracy = 0.0
        trial = Trial(suggesting.number, rate, decay)
        for epoch, accuracy in enumerate(train_trial(search, trial, *splits), start=1):
            say_result(suggesting.number, epoch, accuracy)
        return accuracy

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(direction="maximize")
    for trial in search.trials:
        study.enqueue_trial({"learning_rate": trial.learning_rate, "weight_decay": trial.weight_decay})
    say_ready()
    study.optimize(objective, n_trials=len(search.trials), n_jobs=CORES)


if __name__ == "__main__":
    main()
