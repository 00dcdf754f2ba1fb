"""L1: what is checked is what will be trained: each choice of the search, not only the first."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial

from sanefit.components.foundation.schemas.checks import CheckName, Verdict
from sanefit.components.sanity_checks.check import Measurement
from sanefit.components.sanity_checks.checks.activations_between import check_activations
from sanefit.components.sanity_checks.checks.first_loss import check_first_loss, check_regularization
from sanefit.components.sanity_checks.checks.gradient_steps import check_gradient_step
from sanefit.components.sanity_checks.checks.learning_rates import check_learning_rates
from sanefit.components.sanity_checks.checks.modes import check_modes
from sanefit.components.sanity_checks.checks.overfit import check_few_samples
from sanefit.components.sanity_checks.checks.raw_scores import check_raw_scores
from sanefit.components.sanity_checks.checks.signals import check_signals
from sanefit.components.sanity_checks.checks.symmetry import check_symmetry
from sanefit.components.sanity_checks.probe.probing import probed
from sanefit.components.sanity_checks.progress import told
from sanefit.components.sanity_checks.setup import Setup, with_verdict

OF_THE_NETWORK: tuple[tuple[CheckName, Callable[[Setup], Measurement]], ...] = (
    ("neurons_differ", check_symmetry),
    ("activations_between", check_activations),
    ("modes", check_modes),
    ("first_loss", check_first_loss),
    ("regularization", check_regularization),
    ("gradient_step", check_gradient_step),
    ("overfit", check_few_samples),
    ("signals", check_signals),
)
SHOWN = 3


def check_searched_choices(setup: Setup) -> Measurement | None:
    """Each other choice passes the checks on the network, and learns at rates that are searched; None without one.

    The first choice of everything is what all other checks are run on; here one of them at a time is another.
    """
    if not setup.choices:
        return None
    pieces = [partial(_problems_of, choice, setup.batch_size) for choice in setup.choices.values()]
    problems, unseen = [], list(setup.choices)
    for got in told(setup, "further choices checked", pieces):
        words = unseen.pop(0)
        problems += [(words, *problem) for problem in got]
        if setup.is_late:
            break
    worst: Verdict = "pass"
    if problems:
        worst = "fail" if any(verdict == "fail" for _, verdict, _ in problems) else "warn"
    shown = [f"with {words}: {found.measured}" for words, _, found in problems[:SHOWN]]
    ill = len({words for words, _, _ in problems})
    return Measurement(
        verdict=worst,
        measured="; ".join([f"{len(setup.choices) - ill} of {len(setup.choices)} further choices hold", *shown]),
        expected=f"each choice holds as the first does: {', '.join(setup.choices)}; not looked at: "
        f"{', '.join([*unseen, *setup.not_looked_at]) or 'none'}",
        fix=f"take {problems[0][0]} out of search.coarse, or: {problems[0][2].fix}" if problems else "",
    )


def _problems_of(choice: Callable[[], Setup], most: int) -> list[tuple[Verdict, Measurement]]:
    """``most``: images that fit in a batch."""
    setup = choice()
    return list(_problems(replace(setup, batch_size=min(setup.batch_size, most))))


def _problems(choice: Setup) -> Iterator[tuple[Verdict, Measurement]]:
    """Those that a choice has; no more of one whose scores are not what they should be."""
    scores = check_raw_scores(choice)
    if scores.verdict != "pass":
        yield scores.verdict, scores
        return
    for name, check in OF_THE_NETWORK:
        if name in choice.thresholds.skip:
            continue
        found = check(choice)
        choice = with_verdict(choice, name, found.verdict)
        if found.verdict in ("warn", "fail"):
            yield found.verdict, found
            if found.verdict == "fail":
                return
    found = check_learning_rates(probed(choice))
    if found.verdict in ("warn", "fail"):
        yield found.verdict, found
