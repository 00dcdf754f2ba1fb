"""The probe of a set-up, as costly as its network allows."""

from dataclasses import replace
from functools import partial

from sanefit.components.sanity_checks.cost import PROBE, cost_of
from sanefit.components.sanity_checks.probe.learning_rate_probe import plan_probe, probe_batches, probe_learning_rates
from sanefit.components.sanity_checks.progress import told
from sanefit.components.sanity_checks.setup import Setup


def probed(setup: Setup) -> Setup:
    """The same with its learning rates probed."""
    plan = plan_probe(setup.batch_size, cost_of(setup).operations, PROBE)
    batches = probe_batches(setup.train_pixels, setup.train_labels, plan.batch_size, setup.seed, plan.steps)
    probe = probe_learning_rates(
        setup.classifier,
        batches,
        setup.momentum,
        setup.loss,
        setup.step,
        setup.optimizer,
        plan.rates,
        partial(told, setup, "learning rates probed"),
    )
    return replace(setup, probe=tuple(probe))
