"""The probe of a set-up, as costly as its network allows."""

import copy
from dataclasses import replace
from functools import partial

from sanefit.components.sanity_checks.cost import MOST_IMAGES, PROBE, cost_of
from sanefit.components.sanity_checks.probe.learning_rate_probe import (
    learning_rate_band,
    plan_probe,
    probe_batches,
    probe_learning_rates,
)
from sanefit.components.sanity_checks.progress import told
from sanefit.components.sanity_checks.setup import Setup
from sanefit.components.sanity_checks.zero_start import wake, zero_parts


def probed(setup: Setup) -> Setup:
    """The same with its learning rates probed, on what the search trains.

    A network of which parts start at zero may leave this start so slowly that no rate lowers the loss in a probe: then
    these parts are given small values, for the probe and the checks behind it.
    """
    if setup.searched is not None:
        return replace(setup, probe=_probed(setup.of_search).probe)
    seen = _probed(setup)
    if learning_rate_band(seen.probe) is not None or not zero_parts(setup.classifier):
        return seen
    woken = copy.deepcopy(setup.classifier)
    wake(woken, setup.seed)
    return _probed(replace(setup, classifier=woken))


def _probed(setup: Setup) -> Setup:
    plan = plan_probe(min(setup.batch_size, MOST_IMAGES), cost_of(setup).operations, PROBE)
    batches = probe_batches(setup.train_pixels, setup.train_labels, plan.batch_size, setup.seed, plan.steps)
    probe = probe_learning_rates(
        setup.classifier,
        batches,
        setup.descent,
        setup.loss,
        setup.step,
        plan.rates,
        partial(told, setup, "learning rates probed"),
    )
    return replace(setup, probe=tuple(probe))
