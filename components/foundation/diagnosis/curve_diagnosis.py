"""What a loss curve says about its training (ledger rows M2, M3, R1 to R3). Needs no torch."""

import math
from collections.abc import Iterator, Sequence
from itertools import pairwise
from statistics import fmean, median

from sanefit.components.foundation.schemas.training import CurveDiagnosis, EpochRecord

BARELY = 0.01  # of the first loss; the lecture's 1e-6 moved it by 0.007 % in ten epochs
FLAT = 0.02  # of the first loss
FELL = 0.1  # of the first loss
ROSE = 0.1  # of the lowest loss
JUMP = 0.02  # of the loss before it: a rise that noise does not make
NOISE = 0.05  # of the loss
ACCURACY_GAP = 0.1
NO_GAP = 0.03
STEADY = 0.6  # of the first half's fall, in the second half: not levelling off
FEWEST = 3  # epochs that make a curve

CONFIGURED = "search.coarse.learning_rate"


def diagnose(epochs: Sequence[EpochRecord]) -> list[CurveDiagnosis]:
    """What is to be said about a finished or running curve, the gravest first; ``healthy`` when nothing is.

    How far images are mixed with others is drawn for each batch: then the training loss goes up and down by that alone,
    and training accuracy says nothing of a gap.

    Args:
        epochs: one record per epoch so far, at least one.
    """
    exploded = next((record for record in epochs if record.train_loss is None or record.validation_loss is None), None)
    if exploded is not None:
        return [_exploded(exploded, epochs)]
    if len(epochs) < FEWEST:
        return [_of("too_short", "a curve needs three epochs", f"{len(epochs)} so far", "")]
    mixed = any(record.mixed_images for record in epochs)
    rate, fit = list(_rate(epochs, jumps=not mixed)), list(_fit(epochs, mixed=mixed))
    if rate:  # it says why the training is not finished
        fit = [diagnosis for diagnosis in fit if diagnosis.kind != "underfitting"]
    found = [*rate, *_plateau(epochs), *fit, *(() if mixed else _rises(epochs))]
    return found or [
        _of("healthy", "training and validation fall together and level off", _course(_losses(epochs)), "")
    ]


def _rate(epochs: Sequence[EpochRecord], *, jumps: bool) -> Iterator[CurveDiagnosis]:
    """``jumps``: whether a loss that jumps says something."""
    losses, accuracies = _losses(epochs), [record.train_accuracy for record in epochs]
    first, last = losses[0], losses[-1]
    lower = f"lower the learning rate ({CONFIGURED})"
    if last > first * (1 + FLAT):
        yield _of("rate_too_high", "the training loss rises: the learning rate is too high", _course(losses), lower)
    elif jumps and _noise(losses) > NOISE:
        yield _of(
            "rate_too_high",
            "the training loss jumps up and down: the learning rate is too high, or batches are very small",
            f"neighboring epochs differ from their trend by {_noise(losses):.0%}",
            f"{lower}, or use larger batches (optimizer.batch_size)",
        )
    elif first - min(losses) < BARELY * first:
        evidence = _course(losses)
        words = "the training loss barely moves: the learning rate is too low"
        if max(accuracies) - accuracies[0] > FLAT:
            words += (
                "; that accuracy rises all the same is no contradiction: the scores shift a little, all in the right "
                "direction, and accuracy only asks which one is largest"
            )
            evidence += f"; accuracy {accuracies[0]:.3f} to {max(accuracies):.3f}"
        yield _of("rate_too_low", words, evidence, f"raise the learning rate ({CONFIGURED})")


def _plateau(epochs: Sequence[EpochRecord]) -> Iterator[CurveDiagnosis]:
    losses = _losses(epochs)
    flat = next((n for n, loss in enumerate(losses) if abs(loss - losses[0]) > FLAT * losses[0]), len(losses))
    if flat >= max(FEWEST, len(losses) // 5) and losses[0] - losses[-1] > FELL * losses[0]:
        yield _of(
            "plateau_then_fall",
            "flat at first, then it falls: bad initialization, out of which training had to find its way",
            f"{_course(losses)}; within {FLAT:.0%} of the start for {flat} epochs",
            "use network.init=he (xavier for tanh), or batch norm",
        )


def _fit(epochs: Sequence[EpochRecord], *, mixed: bool) -> Iterator[CurveDiagnosis]:
    train, validation = _losses(epochs), [record.validation_loss or 0.0 for record in epochs]
    last, smooth = epochs[-1], validation if mixed else train
    gap = last.train_accuracy - last.validation_accuracy
    lowest = min(range(len(validation)), key=validation.__getitem__)
    turned = lowest < len(validation) - 1 and validation[-1] > (1 + ROSE) * validation[lowest]
    if gap > ACCURACY_GAP or (turned and train[-1] < train[lowest]):
        evidence = f"accuracy {last.train_accuracy:.3f} in training, {last.validation_accuracy:.3f} in validation"
        if turned:
            evidence += (
                f"; validation loss lowest in epoch {epochs[lowest].epoch} ({validation[lowest]:.4f}), "
                f"now {validation[-1]:.4f}"
            )
        yield _of(
            "overfitting",
            "training runs ahead of validation: the network learns its images by heart",
            evidence,
            "more weight decay, dropout or augmentation, fewer epochs, or more images",
        )
    elif gap < NO_GAP and _still_falling(smooth):
        yield _of(
            "underfitting",
            "no gap, and the loss still falls as fast as before: training is not finished, or the network is too small",
            f"{_course(smooth)}; accuracy {last.train_accuracy:.3f} in training, "
            f"{last.validation_accuracy:.3f} in validation",
            "more epochs, a higher learning rate, or a wider network",
        )


def _rises(epochs: Sequence[EpochRecord]) -> Iterator[CurveDiagnosis]:
    """M3: where the training loss goes up from one epoch to the next, the likely reasons here."""
    for before, now in pairwise(epochs):
        train_before, train_now = before.train_loss or 0.0, now.train_loss or 0.0
        if train_now <= train_before * (1 + JUMP):
            continue
        reasons = ["the learning rate is too high for this part of the surface"]
        if now.learning_rate > 1.01 * before.learning_rate:
            reasons.insert(
                0, f"the schedule raised the rate from {before.learning_rate:.1e} to {now.learning_rate:.1e}"
            )
        if train_now < train_before * (1 + NOISE):
            reasons.append("noise of small batches")
        if (now.validation_loss or 0.0) <= (before.validation_loss or 0.0):
            reasons.append("the order of the data or augmentation, for validation did not rise with it")
        yield _of(
            "rise",
            f"the training loss goes up in epoch {now.epoch}; likely: {'; or '.join(reasons)}",
            f"{train_before:.4f} to {train_now:.4f} at rate {now.learning_rate:.1e}",
            "lower the learning rate, use larger batches, or look at the schedule",
        )
        return  # the first one: later ones follow from it


def _exploded(record: EpochRecord, epochs: Sequence[EpochRecord]) -> CurveDiagnosis:
    before = [loss for e in epochs if (loss := e.train_loss) is not None]
    evidence = f"not finite in epoch {record.epoch} at rate {record.learning_rate:.1e}"
    if before:
        evidence += f", after {', '.join(f'{loss:.2f}' for loss in before[-4:])}"
    return _of(
        "exploded",
        "the loss exploded: the learning rate is too high, scores of other classes grew without bound",
        evidence,
        f"lower the learning rate at least tenfold ({CONFIGURED})",
    )


def _losses(epochs: Sequence[EpochRecord]) -> list[float]:
    return [record.train_loss for record in epochs if record.train_loss is not None]


def _noise(losses: Sequence[float]) -> float:
    """Standard deviation of white noise around a line, from the median second difference, over the mean loss."""
    bends = [a - 2 * b + c for a, b, c in zip(losses, losses[1:], losses[2:], strict=False)]
    turns = sum(x * y < 0 for x, y in pairwise(bends))
    if len(bends) < FEWEST or turns < len(bends) / 2:
        return 0.0  # bent one way: a curve, not noise
    return median(map(abs, bends)) / (0.6745 * math.sqrt(6)) / (abs(fmean(losses)) or 1.0)


def _still_falling(losses: Sequence[float]) -> bool:
    middle = len(losses) // 2
    early, late = losses[0] - losses[middle], losses[middle] - losses[-1]
    return early > 0 and late > STEADY * early


def _course(losses: Sequence[float]) -> str:
    return f"training loss {losses[0]:.4f} to {losses[-1]:.4f} in {len(losses)} epochs, lowest {min(losses):.4f}"


def _of(kind: str, words: str, evidence: str, fix: str) -> CurveDiagnosis:
    return CurveDiagnosis.model_validate({"kind": kind, "words": words, "evidence": evidence, "fix": fix})
