"""H1, H2 and H5: the coarse and the fine search over learning rate and regularization.

The slides' accuracies have three digits: of 1,000 images, and the best of a trial's epochs. So are ours, on the last
1,000 validation images; the accuracy on all 5,000 stands beside them.
"""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from sanefit.components.foundation.step_lines.step_log import Say
from sanefit.components.foundation.training.loop.evaluation import evaluate
from sanefit.components.foundation.training.loop.training_state import TrainingState
from sanefit.components.foundation.training.stacks.trial import Trial
from sanefit.components.lecture.comparison import Comparison
from sanefit.components.lecture.toy_data import ToyData
from sanefit.components.lecture.toy_training import STACKED, toy_trial, train_toys

TRIALS = 100
BATCH = 100
VALIDATED = 1000  # images, in each epoch


@dataclass(frozen=True)
class SearchedTrial:
    """A trial's validation accuracies: the best of its epochs on 1,000 images; the last on all, or 0 if it diverged."""

    trial: Trial
    best: float
    last: float


def coarse_search(data: ToyData, say: Say) -> Iterator[Comparison]:
    """H1: lr 10^U(-6,-3), reg 10^U(-5,5), 100 trials of 5 epochs."""
    found = _search(data, (-6, -3), (-5, 5), epochs=5, seed=1, say=say)
    yield _best("H1", "coarse", found, "0.482", 0.46)
    drowned = [searched.last for searched in found if searched.trial.recipe.weight_decay >= 1e3]
    yield Comparison(
        "H1",
        "trials with reg of 1e3 and more: validation accuracy",
        "0.079",
        f"{min(drowned):.3f} to {max(drowned):.3f} ({len(drowned)} trials; what exploded counts as 0)",
        "at chance: below 0.13",
        max(drowned) < 0.13,
    )


def fine_search(data: ToyData, say: Say) -> Iterator[Comparison]:
    """H2: lr 10^U(-4,-3), reg 10^U(-4,0), 100 trials of 20 epochs ("longer running time")."""
    found = _search(data, (-4, -3), (-4, 0), epochs=20, seed=2, say=say)
    yield _best("H2", "fine", found, "0.531", 0.52)


def _best(row: str, stage: str, found: Sequence[SearchedTrial], theirs: str, least: float) -> Comparison:
    best = max(found, key=lambda searched: searched.best)
    highest = max(searched.last for searched in found)
    return Comparison(
        row,
        f"{stage}: best validation accuracy of {TRIALS} trials and their epochs, on 1,000 images",
        theirs,
        f"{best.best:.3f} at lr {best.trial.recipe.learning_rate:.1e}, reg {best.trial.recipe.weight_decay:.1e} "
        f"(after the last epoch, on 5,000 images: {highest:.3f})",
        f"{least} at least; 1,000 images have a standard error of 0.016",
        best.best >= least,
    )


def _search(
    data: ToyData, rates: tuple[float, float], decays: tuple[float, float], *, epochs: int, seed: int, say: Say
) -> list[SearchedTrial]:
    drawn = random.Random(seed)
    settings = [(10 ** drawn.uniform(*rates), 10 ** drawn.uniform(*decays)) for _ in range(TRIALS)]
    found: list[SearchedTrial] = []
    for start in range(0, TRIALS, STACKED.networks_at_once):
        trials = [
            toy_trial(rate, decay, number, batch_size=BATCH, epochs=epochs, batch_seed=seed + start)
            for number, (rate, decay) in enumerate(settings[start : start + STACKED.networks_at_once], start)
        ]
        trained = train_toys(trials, data.problem, data.splits(VALIDATED))
        for number, (trial, curve) in enumerate(zip(trials, trained.records, strict=True)):
            best = max(record.validation_accuracy for record in curve)
            last = _accuracy(data, trial, trained.states[number]) if number in trained.states else 0.0
            found.append(SearchedTrial(trial, best, last))
            say(
                f"val_acc: {best:.6f}, lr: {trial.recipe.learning_rate:.6e}, reg: {trial.recipe.weight_decay:.6e}, "
                f"({len(found)} / {TRIALS})"
            )
    return found


def _accuracy(data: ToyData, trial: Trial, state: TrainingState) -> float:
    """Of a trained network, on all validation images."""
    classifier = data.problem.classifier(trial)
    classifier.network.load_state_dict(dict(state.weights))
    splits = data.splits()
    return evaluate(classifier, splits.validation_pixels, splits.validation_labels).accuracy
