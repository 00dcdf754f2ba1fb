"""A network trained on the labels beside one trained on permuted labels, asked the same images."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from sanefit.components.foundation.randomness import derive_seed
from sanefit.components.foundation.training.loop.evaluation import evaluate, scores_of
from sanefit.components.foundation.training.loop.training_images import Images
from sanefit.components.sanity_checks.nearest_neighbours import nearest_neighbours, thumbnails
from sanefit.components.sanity_checks.probe.learning_rate_probe import probe_batches
from sanefit.components.sanity_checks.progress import told
from sanefit.components.sanity_checks.setup import Setup
from sanefit.components.sanity_checks.short_training import short_training

IMAGES = 2000  # of validation, and as many of training to compare with
STANDARD_ERRORS = 3.0
MOST_NATS = 10.0  # that one image counts
TURNS, MOST_IN_TURNS = 3, 3000


@dataclass(frozen=True)
class Answers:
    """To validation images, float64 (images,): ``right``, 0 or 1; ``log_probability`` of the true class, less its mean
    over all classes, so that how confident a network is in general does not count: of noise it is 0 on average.
    """

    right: Tensor
    log_probability: Tensor


@dataclass(frozen=True)
class HeldOut:
    """What to train on, and what to ask then: uint8 pixels, int64 labels."""

    train_pixels: Images
    train_labels: Tensor
    pixels: Images
    labels: Tensor

    @property
    def permuted(self) -> Tensor:
        """The training labels in another order, the same each time."""
        generator = torch.Generator().manual_seed(derive_seed(len(self.train_labels), "permuted labels"))
        return self.train_labels[torch.randperm(len(self.train_labels), generator=generator)]


@dataclass(frozen=True)
class NullControl:
    """Answers after training on the labels, and on permuted ones. ``train``: accuracy on training images."""

    steps: int
    train: float
    real: Answers
    control: Answers
    labels: Tensor
    held_out: Sequence[HeldOut]

    @property
    def is_better(self) -> bool:
        """Whether the labels taught more."""
        return is_better(self.real, self.control, self.labels)

    @property
    def accuracy(self) -> float:
        """After training on the labels, mean over classes."""
        return float((class_weights(self.labels) * self.real.right).sum())

    @property
    def of_control(self) -> float:
        """After training on permuted labels, mean over classes."""
        return float((class_weights(self.labels) * self.control.right).sum())


def turns_of(setup: Setup) -> list[HeldOut]:
    """Each third of the training images is held out once."""
    pixels, labels = setup.images(MOST_IN_TURNS)
    turns = []
    for turn in range(TURNS):
        asked = torch.arange(len(labels)) % TURNS == turn
        turns.append(HeldOut(pixels[~asked], labels[~asked], pixels[asked], labels[asked]))
    return turns


@dataclass(frozen=True)
class Pace:
    """Of a short training: ``rate``, its learning rate; ``steps``, of ``size`` images each."""

    rate: float
    steps: int
    size: int


def train_both(setup: Setup, turns: Sequence[HeldOut], pace: Pace) -> NullControl:
    """Two networks for each turn, of which the second gets permuted labels.

    Args:
        setup: network, and how it is trained.
        turns: what to train on and to ask.
        pace: of each training.
    """
    trainings = [partial(_trained, setup, turn, turn.train_labels, pace) for turn in turns]
    trainings += [partial(_trained, setup, turn, turn.permuted, pace) for turn in turns]
    trained = list(told(setup, "networks trained, half of them on permuted labels", trainings))
    real, control = trained[: len(turns)], trained[len(turns) :]
    return NullControl(
        pace.steps,
        real[0][0],
        _together([answers for _, answers in real]),
        _together([answers for _, answers in control]),
        torch.cat([turn.labels for turn in turns]),
        turns,
    )


def _together(answers: Sequence[Answers]) -> Answers:
    return Answers(torch.cat([one.right for one in answers]), torch.cat([one.log_probability for one in answers]))


def class_weights(labels: Tensor) -> Tensor:
    """Of each image, so that each class that there is weighs the same and all together 1: float64 (images,)."""
    sizes = torch.bincount(labels)
    return 1.0 / (sizes[labels].double() * (sizes > 0).sum())


def is_better(one: Answers, other: Answers, labels: Tensor) -> bool:
    """Whether answers are better by more than three standard errors, by their accuracy or their log-probability."""
    weights = class_weights(labels)
    for difference in (one.right - other.right, one.log_probability - other.log_probability):
        gain = (weights * difference).sum()
        error = (weights * (difference - gain)).square().sum().sqrt()
        if gain > STANDARD_ERRORS * error and gain > 0:
            return True
    return False


def nearest_images_say(found: NullControl, *, permuted: bool) -> Answers:
    """What the nearest training images say."""
    answers = []
    for turn in found.held_out:
        known = (turn.permuted if permuted else turn.train_labels)[:IMAGES]
        said = nearest_neighbours(thumbnails(turn.train_pixels[:IMAGES]), known, thumbnails(turn.pixels))
        right = (said == turn.labels).double()
        answers.append(Answers(right, torch.zeros_like(right)))
    return _together(answers)


def _trained(setup: Setup, turn: HeldOut, labels: Tensor, pace: Pace) -> tuple[float, Answers]:
    """Accuracy on training images, and the answers to those that are asked."""
    classifier = setup.copy()
    training = short_training(
        classifier,
        turn.train_pixels,
        labels,
        pace.rate,
        loss=setup.loss,
        step=setup.step,
        descent=setup.descent,
    )
    seed = derive_seed(setup.seed, "carry over")
    for indices in probe_batches(turn.train_pixels, labels, pace.size, seed, pace.steps).batches:
        training.step(indices, pace.rate)
    again = slice(min(IMAGES, len(turn.labels)))
    train = evaluate(classifier, turn.train_pixels[again], turn.train_labels[again]).accuracy
    scores = scores_of(classifier, turn.pixels).double()
    probable = torch.nan_to_num(torch.log_softmax(scores, 1), nan=-MOST_NATS).clamp_min(-MOST_NATS)
    known = probable.gather(1, turn.labels.unsqueeze(1)).squeeze(1) - probable.mean(1)
    return train, Answers((scores.argmax(1) == turn.labels).double(), known)
