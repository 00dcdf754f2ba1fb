"""Every table and experiment of the lecture, one after another."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache, partial

from sanefit.components.foundation.errors import SettingsError
from sanefit.components.foundation.step_lines.step_log import Say
from sanefit.components.lecture import search_rows, toy_rows, weight_rows
from sanefit.components.lecture.comparison import Comparison
from sanefit.components.lecture.toy_data import ToyData, read_toy_data


@dataclass(frozen=True)
class Experiment:
    """``rows``: of the ledger, that it compares. ``run`` gets the images, those that need them."""

    rows: tuple[str, ...]
    needs_images: bool
    run: Callable[..., Iterable[Comparison]]


EXPERIMENTS = (
    Experiment(("W1",), False, weight_rows.zero_weights),
    Experiment(("W2",), False, weight_rows.small_weights),
    Experiment(("W3",), False, weight_rows.big_weights),
    Experiment(("W4",), False, weight_rows.xavier_weights),
    Experiment(("W5",), False, weight_rows.he_weights),
    Experiment(("B1", "B3"), False, weight_rows.batch_norm),
    Experiment(("D2",), True, toy_rows.channel_means),
    Experiment(("S1", "S2"), True, toy_rows.first_losses),
    Experiment(("S3",), True, toy_rows.overfit_samples),
    Experiment(("R1",), True, toy_rows.small_rate),
    Experiment(("R2",), True, toy_rows.huge_rate),
    Experiment(("R3",), True, toy_rows.edge_rate),
    Experiment(("H1", "H5"), True, search_rows.coarse_search),
    Experiment(("H2",), True, search_rows.fine_search),
)
ROWS = tuple(row for experiment in EXPERIMENTS for row in experiment.rows)


def chosen_experiments(only: Sequence[str], source: str) -> list[Experiment]:
    """The experiments of some rows, by default of all that can be run.

    Args:
        only: rows of the ledger; all when empty.
        source: of CIFAR-10; without it, those that need images are left out unless they are asked for.

    Raises:
        SettingsError: for a row that is not there, or that needs images when there are none.
    """
    unknown = [row for row in only if row not in ROWS]
    if unknown:
        raise SettingsError(f"--only {unknown[0]!r}: expected some of {', '.join(ROWS)}; correct --only")
    chosen = [e for e in EXPERIMENTS if not only or set(only) & set(e.rows)]
    if source:
        return chosen
    if only and any(experiment.needs_images for experiment in chosen):
        raise SettingsError(f"--only {','.join(only)} needs CIFAR-10; expected --data tar:PATH or folder:PATH; give it")
    return [experiment for experiment in chosen if not experiment.needs_images]


def run_experiments(experiments: Sequence[Experiment], source: str, seed: int, say: Say) -> Iterator[Comparison]:
    """Compare, and give each line as it is known.

    Args:
        experiments: in the order in which they run.
        source: of CIFAR-10's training images, as ``tar:PATH``.
        seed: of the order of the images.
        say: prints what goes on.
    """

    @cache
    def images() -> ToyData:
        return read_toy_data(source, seed, say)

    for experiment in experiments:
        if not experiment.needs_images:
            yield from experiment.run()
        elif experiment.run in (search_rows.coarse_search, search_rows.fine_search):
            yield from partial(experiment.run, say=say)(images())
        else:
            yield from experiment.run(images())
