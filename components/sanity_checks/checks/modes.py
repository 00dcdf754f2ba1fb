"""B3: in training an output depends on its batch and its dropout; in evaluation, on its input alone."""

import torch
from torch import Tensor, nn

from sanefit.components.sanity_checks.check import Measurement
from sanefit.components.sanity_checks.setup import Setup

IMAGES = 64
SAME_WITHIN = 1e-3  # of the scores' spread
MOST_DROPOUT = 0.8
NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)
DROPOUTS = (nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d, nn.AlphaDropout)


def check_modes(setup: Setup) -> Measurement:
    """Batch norm and dropout act in training and not in evaluation, and nothing else differs between the two."""
    problem, fix = _problem(setup)
    norms = sum(isinstance(module, NORMS) for module in setup.classifier.modules())
    dropouts = sum(isinstance(module, DROPOUTS) for module in setup.classifier.modules())
    return Measurement(
        verdict="fail" if problem else "pass",
        measured=problem or f"as expected with {norms} batch norm and {dropouts} dropout layers",
        expected="in training, scores depend on the batch (batch norm) and on chance (dropout); in evaluation "
        f"on neither, within {SAME_WITHIN:g} of their spread",
        fix=fix,
    )


def _problem(setup: Setup) -> tuple[str, str]:
    for name, dropout in setup.classifier.named_modules():
        if isinstance(dropout, DROPOUTS) and dropout.p > MOST_DROPOUT:
            return f"dropout {dropout.p:g} in {name!r} keeps {1 - dropout.p:.0%} of the values", (
                "lower it: 0.5 is much already (network.dropout)"
            )
    pixels, _ = setup.images(2 * IMAGES)
    half, other = pixels[:IMAGES], torch.cat([pixels[:1], pixels[IMAGES:]])
    with torch.no_grad():
        for batch_norm_problem in (
            _training_problem(setup, half, other),
            _evaluation_problem(setup, half, other),
        ):
            if batch_norm_problem[0]:
                return batch_norm_problem
        return _mismatch(setup, half)


def _training_problem(setup: Setup, half: Tensor, other: Tensor) -> tuple[str, str]:
    classifier = setup.copy(dropout=False)
    norms = [module for module in classifier.modules() if isinstance(module, NORMS)]
    if not norms:
        return "", ""
    if not any(norm.training for norm in norms):
        return (
            f"batch norm stays in evaluation mode in training: 0 of {len(norms)} layers train",
            "call train() on the whole network, and do not override it",
        )
    before = _running_statistics(classifier)
    scores = classifier(half)
    if scores.std() > 0 and torch.equal(scores[0], classifier(other)[0]):
        return f"a training-mode score does not depend on its batch, though there are {len(norms)} batch norm layers", (
            "batch norm must use its batch's statistics in training: call train()"
        )
    still = [name for name, now in _running_statistics(classifier).items() if now.equal(before[name])]
    if still:
        return f"batch norm {still[0]!r} and {len(still) - 1} more never update their averages (momentum 0)", (
            "set batch norm's momentum to 0.1; else evaluation uses mean 0 and variance 1"
        )
    return "", ""


def _evaluation_problem(setup: Setup, half: Tensor, other: Tensor) -> tuple[str, str]:
    classifier = setup.copy().eval()
    first, again, second = classifier(half), classifier(half), classifier(other)
    spread = max(first.std().item(), 1e-12)
    random, dependent = (apart.abs().max().item() / spread for apart in (first - again, first[0] - second[0]))
    if random > SAME_WITHIN:
        return f"evaluation is random: scores of the same images differ by {random:.2g} of their spread", (
            "dropout acts in evaluation: call eval()"
        )
    if dependent > SAME_WITHIN:
        return f"an evaluation-mode score depends on its batch, by {dependent:.2g} of the scores' spread", (
            "batch norm must use its running averages in evaluation: track_running_stats=True, and call eval()"
        )
    return "", ""


def _mismatch(setup: Setup, half: Tensor) -> tuple[str, str]:
    classifier = setup.copy(dropout=False)
    norms = [module for module in classifier.modules() if isinstance(module, NORMS)]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # a plain average: after one batch, that batch's statistics
    trained = classifier(half)
    evaluated = classifier.eval()(half)
    spread = max(trained.std().item(), evaluated.std().item(), 1e-12)
    apart = (trained - evaluated).abs().mean().item() / spread
    # Running averages hold the unbiased variance, batches are divided by the biased one.
    allowed = 0.25 if norms else SAME_WITHIN
    if apart > allowed:
        return f"training and evaluation scores differ by {apart:.2g} of their spread, beyond batch norm and dropout", (
            "the network treats its input differently in training: normalize in both modes alike"
        )
    return "", ""


def _running_statistics(classifier: nn.Module) -> dict[str, Tensor]:
    return {
        name: torch.cat([module.running_mean, module.running_var])
        for name, module in classifier.named_modules()
        if isinstance(module, NORMS) and module.running_mean is not None and module.running_var is not None
    }
