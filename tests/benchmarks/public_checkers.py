"""Public checkers, each used as its documentation shows, on a set-up of the zoo."""

import contextlib
import copy
import io
from typing import Any

import torch
from torch import nn

from sanefit.components.foundation.classifiers.classifier import Classifier
from sanefit.components.sanity_checks.setup import Setup

BATCH = 64
STEPS = 5


def neural_net_checklist(setup: Setup) -> bool:
    """Whether ``assert_all_for_classification_cross_entropy_loss`` objects."""
    from neural_net_checklist import torch_diagnostics

    model, batch = _model_and_batch(setup)
    try:
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            torch_diagnostics.assert_all_for_classification_cross_entropy_loss(
                lambda: copy.deepcopy(model), batch, num_classes=setup.classes
            )
    except (AssertionError, RuntimeError, IndexError, ValueError):
        return True
    return False


def torchtest2(setup: Setup) -> bool:
    """Whether ``check_model`` reports a failure or a warning."""
    import torchtest2

    model, (inputs, targets) = _model_and_batch(setup)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    try:
        report = torchtest2.check_model(model, inputs, targets, loss_fn=setup.loss, optimizer=optimizer)
    except (AssertionError, RuntimeError, IndexError, ValueError):
        return True
    return bool(report.failures or report.warnings)


def torch_audit(setup: Setup) -> bool:
    """Whether five audited steps of training find anything above a hint."""
    from torch_audit import audit_dynamic
    from torch_audit.core import Severity

    model, (inputs, targets) = _model_and_batch(setup)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    try:
        with audit_dynamic(model, optimizer=optimizer, every_n_steps=1, reporters=[]) as auditor:
            auditor.audit_static()
            auditor.audit_init()
            for _ in range(STEPS):
                _audited_step(auditor, setup, optimizer, inputs, targets)
        result = auditor.finish(report=False)
    except (AssertionError, RuntimeError, IndexError, ValueError):
        return True
    # Hints on speed are no alarm; nor is the range of raw pixels, which it cannot know the network to normalize.
    passed_over = ("TA2",) if isinstance(setup.classifier, Classifier) else ("TA2", "TA301")
    return any(f.severity >= Severity.WARN and not f.rule_id.startswith(passed_over) for f in result.findings)


def _audited_step(
    auditor: Any, setup: Setup, optimizer: torch.optim.Optimizer, inputs: torch.Tensor, targets: torch.Tensor
) -> None:
    if setup.step.__name__ == "gradient_step":
        optimizer.zero_grad()
    auditor.backward(setup.loss(auditor.forward(inputs), targets))
    auditor.optimizer_step()


def _model_and_batch(setup: Setup) -> tuple[nn.Module, tuple[torch.Tensor, torch.Tensor]]:
    """As their users have it: the network, and images that are normalized before they enter it, as floats.

    Where a fault stands around the network, the whole of it and raw pixels.
    """
    pixels, labels = setup.images(BATCH)
    classifier = setup.copy()
    if isinstance(classifier, Classifier):
        return classifier.network, (classifier.normalization(pixels), labels)
    return classifier, (pixels.float(), labels)


CHECKERS = {
    "neural-net-checklist": neural_net_checklist,
    "torchtest2": torchtest2,
    "torch-audit": torch_audit,
}
