"""A search of learning rates and penalties: sanefit beside the ways in which it is usually run.

The same trials on the same JPEG files of CIFAR-10, for the lecture's net (3072-50-10) and a convnet (16-32-64): plain
SGD, a constant rate, the penalty as ``weight_decay`` of the weights alone, validation after each epoch.

Each contestant is a process of its own, timed from its start to its end: imports, decoding and Ray's start count, and
memory is the most that VmHWM over it and its children came to. They take turns, ``--repeats`` times; figures are
medians, ``n`` says of how many. Slow peers train the first trials of the search only (``extrapolated_from``): each of
the others is taken to last as long as those of the part that came after the first ones, one on each core.
"Training alone" compares what is left without start-up: ours from the first start of a trial, without MLflow, and
peers, which have none, over those later trials.

Peers are given their best: a DataLoader of the single process has the ``num_workers`` of 0, 1, 2 that was fastest just
before; where a process or a thread trains on each core, torch has one thread there; "in memory" with a process per
trial reads pixels that were decoded before the clock started; Ray's reused actors share images in its object store and
write no logs. Nothing is pinned. All must reach the same best validation accuracy, within three standard errors.
"""

import argparse
import dataclasses
import math
import statistics
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from figures import print_figure
from search_peers.contestants import OURS_SEARCH, OURS_TRAINING, PEERS, USUAL_LOOP, Contestant
from search_peers.images import extract, save_decoded
from search_peers.measurement import Measured, measure
from search_peers.protocol import CORES, NetName, Search
from search_peers.recipes import RECIPES, make_trials

NETS: dict[NetName, str] = {"lecture": "lecture's net", "convnet": "convnet"}
WORKERS = (0, 1, 2)
STANDARD_ERRORS = 3.0
COARSE = ((1e-6, 1e-3), (1e-5, 1e5), 100, 5)  # rates, penalties, trials, epochs: the lecture's
FINE = ((1e-4, 1e-3), (1e-4, 1e0), 100, 20)
LECTURE_IMAGES, LECTURE_VALIDATION = 45_000, 4_990  # ours asks for a test split: the last 10
Runs = dict[Contestant, list[Measured]]


def main() -> None:
    arguments = _parsed()
    with tempfile.TemporaryDirectory(prefix="bench-search-") as temporary:
        folder = Path(temporary)
        extract(arguments.cifar10, folder / "images", arguments.images, arguments.validation)
        save_decoded(folder / "images", folder / "pixels")
        for net, trials in (("lecture", arguments.trials), ("convnet", arguments.convnet_trials)):
            if net in arguments.nets:
                compare(net, trials, folder, arguments)
        if arguments.lecture:
            lecture_search(arguments.cifar10, folder / "lecture", arguments.seed)
        if arguments.diverging:
            diverging_search(arguments.cifar10, folder / "diverging", arguments.seed)


def _parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cifar10", type=Path, required=True, help="archive of CIFAR-10's training images")
    parser.add_argument("--nets", nargs="+", choices=NETS, default=list(NETS))
    parser.add_argument("--trials", type=int, default=100, help="of the lecture's net")
    parser.add_argument("--convnet-trials", type=int, default=8)
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--images", type=int, default=10_000)
    parser.add_argument("--validation", type=int, default=1_000)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--seed", type=int, default=0, help="of the trials' settings")
    parser.add_argument("--lecture", action="store_true", help="ours alone: the lecture's coarse and fine search, too")
    parser.add_argument(
        "--diverging", action="store_true", help="ours alone: a search half of whose trials diverge, too"
    )
    arguments = parser.parse_args()
    fewest = 2 * CORES
    if arguments.trials < fewest or arguments.convnet_trials < fewest:
        parser.error(f"expected at least {fewest} trials: the first on each core show no pace")
    return arguments


def compare(net: NetName, trials: int, folder: Path, arguments: argparse.Namespace) -> None:
    """Measure all on one network, and print how ours compares."""
    recipe = RECIPES[net]
    search = Search(
        net=net,
        trials=make_trials(recipe.learning_rates, recipe.weight_decays, trials, arguments.seed),
        epochs=arguments.epochs,
        folder=folder / "images",
        pixels=folder / "pixels",
        scratch=folder,
    )
    num_workers = _best_num_workers(search)
    runs: Runs = {contestant: [] for contestant in (OURS_SEARCH, OURS_TRAINING, *PEERS)}
    for _ in range(arguments.repeats):
        for contestant, measured in runs.items():
            workers = num_workers if contestant is USUAL_LOOP else 0
            measured.append(run(contestant, dataclasses.replace(search, num_workers=workers)))
            _note(f"{net}: {contestant.name}: {measured[-1].ended:.1f} s, {measured[-1].peak_mb:.0f} MB")
    require_agreement(runs, arguments.validation)
    described = {"epochs": arguments.epochs, "images": arguments.images, "trials": trials, "num_workers": num_workers}
    for peer in PEERS:
        _print_comparison(Comparison(runs, peer, NETS[net], search, described))


def run(contestant: Contestant, search: Search) -> Measured:
    """The contestant's part of a search, in a scratch folder of its own."""
    trials = search.trials[: contestant.trains(search.net, len(search.trials))]
    with tempfile.TemporaryDirectory(dir=search.scratch) as scratch:
        part = dataclasses.replace(search, trials=trials, threads=contestant.threads, scratch=Path(scratch))
        return measure(contestant.arguments, part, contestant.environment)


def _best_num_workers(search: Search) -> int:
    """By the second epoch, when workers have started."""
    seconds = {}
    for workers in WORKERS:
        tried = dataclasses.replace(search, trials=search.trials[:1], epochs=2, num_workers=workers)
        first, second = (result.at for result in run(USUAL_LOOP, tried).results)
        seconds[workers] = second - first
    _note(f"{search.net}: seconds of an epoch by num_workers: {seconds}")
    return min(seconds, key=lambda workers: seconds[workers])


def require_agreement(runs: Runs, validation: int) -> None:
    """The best accuracy over the trials that all trained is the same, within noise, and better than chance.

    Raises:
        RuntimeError: when it is not: then one of them trains something else.
    """
    finals = {contestant: measured[0].final_accuracies() for contestant, measured in runs.items()}
    common = set.intersection(*(set(final) for final in finals.values()))
    best = {contestant.name: max(final[trial] for trial in common) for contestant, final in finals.items()}
    _note(f"best validation accuracy of trials {sorted(common)}: {best}")
    middle = statistics.median(best.values())
    noise = STANDARD_ERRORS * math.sqrt(2 * middle * (1 - middle) / validation)
    if middle - noise <= 0.1:
        raise RuntimeError(f"the best accuracy, {middle}, is chance; expected more images, epochs or trials")
    if apart := {name: value for name, value in best.items() if abs(value - middle) > noise}:
        raise RuntimeError(f"the best accuracies differ from {middle:.3f} by more than {noise:.3f}: {apart}")


@dataclass(frozen=True)
class Comparison:
    """Ours and a peer on one network; ``described``: what goes into each line."""

    runs: Runs
    peer: Contestant
    net: str
    search: Search
    described: dict[str, int]

    def median(self, contestant: Contestant, figure: Callable[[Measured], float]) -> float:
        return statistics.median(figure(measured) for measured in self.runs[contestant])

    def print(self, figure: str, unit: str, ours: float, peer: float, ratio: float, **more: object) -> None:
        print_figure(
            f"{figure}, {self.net}",
            round(ours, 2),
            unit,
            len(self.runs[self.peer]),
            peer=self.peer.name,
            ratio=round(ratio, 2),
            peer_value=round(peer, 2),
            **self.described,
            **more,
        )


def _print_comparison(of: Comparison) -> None:
    peer, trials, epochs = of.peer, len(of.search.trials), of.search.epochs
    trained = peer.trains(of.search.net, trials)
    part = {"extrapolated_from": trained} if trained < trials else {}

    def print_less_is_better(figure: str, unit: str, value: Callable[[Measured], float], **more: object) -> None:
        ours, theirs = of.median(OURS_SEARCH, value), of.median(peer, value)
        of.print(figure, unit, ours, theirs, theirs / ours, **more)

    ours = of.median(OURS_SEARCH, lambda measured: measured.ended)
    theirs = of.median(peer, lambda measured: measured.search_seconds(trials, peer.at_once))
    of.print("search end to end", "s", ours, theirs, theirs / ours, **part)
    ours = of.median(OURS_TRAINING, lambda measured: measured.training_rate(epochs))
    theirs = of.median(peer, lambda measured: epochs / measured.seconds_each(peer.at_once))
    of.print("training alone", "trial-epochs/s", ours, theirs, ours / theirs, peer_trials=trained)
    print_less_is_better("time to the first result", "s", lambda measured: measured.first_result)
    print_less_is_better("peak memory", "MB", lambda measured: measured.peak_mb, peer_trials=trained)


def lecture_search(archive: Path, folder: Path, seed: int) -> None:
    """Ours alone: coarse, then coarse and fine, each from JPEG files on."""
    extract(archive, folder, LECTURE_IMAGES, LECTURE_VALIDATION)
    seconds, best = 0.0, 0.0
    for stage, (rates, decays, trials, epochs) in (("coarse", COARSE), ("coarse + fine", FINE)):
        search = Search("lecture", make_trials(rates, decays, trials, seed), epochs, folder, folder, folder.parent)
        measured = run(OURS_SEARCH, search)
        seconds += measured.ended
        best = max(best, *measured.final_accuracies().values())
        print_figure(
            f"lecture's search, {stage}",
            round(seconds, 1),
            "s",
            1,
            trials=trials,
            epochs=epochs,
            images=LECTURE_IMAGES,
            best_validation_accuracy=round(best, 4),
            peak_mb=measured.peak_mb,
        )


def diverging_search(archive: Path, folder: Path, seed: int) -> None:
    """Ours alone: the lecture's coarse search with penalties that let it live, and with half the rates up to 1e6."""
    extract(archive, folder, LECTURE_IMAGES, LECTURE_VALIDATION)
    rates, _, count, epochs = COARSE
    trials = make_trials(rates, RECIPES["lecture"].weight_decays, count, seed)
    bad = make_trials((1e2, 1e6), (1e-5, 1e1), count, seed)
    mixed = tuple(bad[number] if number % 2 else trial for number, trial in enumerate(trials))
    whole, half = (
        run(OURS_SEARCH, Search("lecture", chosen, epochs, folder, folder, folder.parent)) for chosen in (trials, mixed)
    )
    expected, seen = whole.final_accuracies(), half.final_accuracies()
    print_figure(
        "lecture's search, half of the trials diverge",
        round(half.ended, 1),
        "s",
        1,
        peer="the same search, none diverges",
        ratio=round(whole.ended / half.ended, 2),
        peer_value=round(whole.ended, 1),
        share_of_time=round(half.ended / whole.ended, 3),
        largest_difference_of_healthy_accuracies=max(abs(seen[n] - expected[n]) for n in range(0, count, 2)),
        trials=count,
        epochs=epochs,
        images=LECTURE_IMAGES,
    )


def _note(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
