"""Models and the images that they were not trained on."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from sanefit.components.final_training.confident_learning import Batch
from sanefit.components.final_training.member_runs import MemberRuns, TrainedMember, Workers
from sanefit.components.final_training.members import Member
from sanefit.components.foundation.diagnosis.calibration import fit_temperature
from sanefit.components.foundation.image_dataset.batch_size import images_at_once
from sanefit.components.foundation.randomness import derive_seed
from sanefit.components.foundation.schemas.images import SplitName
from sanefit.components.foundation.storage import object_store
from sanefit.components.foundation.training.loop.evaluation import EVALUATION_BATCH, scores_of
from sanefit.components.foundation.training.loop.folds import assign_folds, fold_data
from sanefit.components.foundation.training.loop.training_images import Images, read_batch

FOLDS = 3
SHARE_OF_EPOCHS = 0.5  # of the final training's: three folds, each of two thirds, take about as long as it


@dataclass(frozen=True)
class HeldOut:
    """Images of a split, and a model that was not trained on them.

    ``numbers``: int64 (images,), theirs in the split. ``pixels``: uint8 (all images, height, width, channels), and
    ``labels``, int64 (all images,), of the whole split. ``temperature``: what the model's scores are divided by before
    the softmax.
    """

    split: SplitName
    numbers: Tensor
    model: nn.Module
    pixels: Images
    labels: Tensor
    temperature: float

    def batches(self) -> Iterator[Batch]:
        """Labels, int64 (some,), and probabilities, float32 (some, classes), in order; computed when asked for."""
        for numbers in self.numbers.split(images_at_once(self.pixels.shape[1:], EVALUATION_BATCH)):
            scores = scores_of(self.model, read_batch(self.pixels, numbers))
            probabilities = (scores.double() / self.temperature).softmax(dim=1).float()
            yield self.labels[numbers.to(self.labels.device)].cpu().numpy(), probabilities.cpu().numpy()


@dataclass(frozen=True)
class CrossValidated:
    """Parts of the training split, each with its model; ``checkpoints``: URIs that are not needed once it is used."""

    parts: list[HeldOut]
    checkpoints: list[str]

    def remove_checkpoints(self) -> None:
        """Take away what an interrupted training would have gone on from."""
        for uri in self.checkpoints:
            object_store.remove(uri)


def cross_validate(runs: MemberRuns, member: Member, bundles: NDArray[np.int64], seed: int) -> CrossValidated:
    """Train a member anew without each third of the training split, in half the epochs.

    The epoch that is kept is the best on the validation split, so that nothing of the third was looked at. Images that
    belong together are in one third. An image whose class the other two have not is left out; so is a third whose
    training diverges.

    Args:
        runs: as the final training's.
        member: the best setting.
        bundles: int64 (images,), equal for images of the training split that belong together.
        seed: of the run.

    Raises:
        StoppedError: when the process is told to end; checkpoints are kept.
    """
    fold_of = assign_folds(runs.data().train_labels, bundles, FOLDS, derive_seed(seed, "label errors"))
    found, checkpoints = [], []
    for fold in range(FOLDS):
        trained = _train(runs, _shortened(member, seed, fold), fold_of, fold)
        if trained is None:
            runs.say(
                f"warning: label errors, fold {fold + 1} of {FOLDS}: diverged in epoch 1; its labels are not judged"
            )
            continue
        checkpoints.append(trained.checkpoint_uri)
        found.append(_held_out(runs, trained, fold_of, fold))
    return CrossValidated(found, checkpoints)


def _shortened(member: Member, seed: int, fold: int) -> Member:
    recipe, own = member.trial.recipe, ("label errors", fold)
    shorter = replace(
        recipe,
        epochs=max(1, round(recipe.epochs * SHARE_OF_EPOCHS)),
        freeze_epochs=round(recipe.freeze_epochs * SHARE_OF_EPOCHS),
        batch_seed=derive_seed(recipe.batch_seed, *own),
        noise_seed=derive_seed(recipe.noise_seed, *own),
    )
    return replace(member, trial=replace(member.trial, recipe=shorter, seed=derive_seed(seed, *own)))


def _train(runs: MemberRuns, member: Member, fold_of: Tensor, fold: int) -> TrainedMember | None:
    data = runs.data()
    others = fold_data(data, fold_of, fold)
    seen = replace(
        others,
        validation_pixels=data.validation_pixels,
        validation_labels=data.validation_labels,
        validation_features=data.validation_features,
    )
    of_fold = replace(
        runs,
        training_images=len(seen.train_labels),
        final=runs.final.model_copy(update={"patience": None}),
        workers=Workers(runs.workers.device),
        data=lambda: seen,
        say=lambda text: runs.say(f"label errors, fold {fold + 1} of {FOLDS}: {text}"),
        part=f"without fold {fold} of {FOLDS}",
    )
    trained = of_fold.train(member)
    if trained is not None:
        trained.reestimate_batch_norm(seen.train_pixels)
    return trained


def _held_out(runs: MemberRuns, trained: TrainedMember, fold_of: Tensor, fold: int) -> HeldOut:
    data = runs.data()
    labels = data.train_labels.cpu()
    is_known = torch.isin(labels, labels[fold_of != fold].unique())
    numbers = torch.nonzero((fold_of == fold) & is_known).flatten()
    temperature = fit_temperature(scores_of(trained.classifier, data.validation_pixels), data.validation_labels)
    return HeldOut("train", numbers, trained.classifier, data.train_pixels, data.train_labels, temperature)
