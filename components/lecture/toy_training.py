"""The slides' two-layer network in training: as the trials of a search, many at once."""

from collections.abc import Sequence

from sanefit.components.foundation.schemas.networks import TwoLayerSettings
from sanefit.components.foundation.training.loop.recipe import Recipe
from sanefit.components.foundation.training.loop.training_data import TrainingData
from sanefit.components.foundation.training.stacks.train_together import EnginePlan, Progress, train_together
from sanefit.components.foundation.training.stacks.trial import Problem, Trial

NETWORK = TwoLayerSettings(kind="two_layer", hidden=50, init="gaussian:1e-4")
STACKED = EnginePlan("stacked", 25)  # networks trained at once: the fastest on two cores


def toy_trial(rate: float, decay: float, seed: int, *, batch_size: int, epochs: int, batch_seed: int = 0) -> Trial:
    """The network with plain SGD at a constant rate. ``seed``: of its weights; ``batch_seed``: of the batches."""
    recipe = Recipe(
        learning_rate=rate,
        weight_decay=decay,
        momentum=0.0,
        batch_size=batch_size,
        epochs=epochs,
        batch_seed=batch_seed,
    )
    return Trial(NETWORK, recipe, seed)


def train_toys(trials: Sequence[Trial], problem: Problem, data: TrainingData) -> Progress:
    """Train to the last epoch, over the same batches; all trials have the batches and epochs of the first."""
    return train_together(STACKED, trials, problem, data, until=trials[0].recipe.epochs)
