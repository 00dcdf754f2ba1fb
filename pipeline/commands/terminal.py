"""Lines that the command prints while something runs."""

import sys
from collections.abc import Mapping, Sequence

from sanefit.components.foundation.step_lines.reading import Show

SHOWN = 3


def step_printer(as_json: bool) -> Show:
    """Print a step's line; with --json to stderr, so that stdout stays for programs."""
    from rich.console import Console
    from rich.markup import escape

    stream = sys.stderr if as_json else sys.stdout  # held: a run redirects sys.stdout
    console = Console(file=stream, highlight=False, soft_wrap=True)

    def show(step: str, text: str) -> None:
        console.print(f"[bold]{escape(step):<14}[/bold] {escape(text)}")

    return show


def print_error(message: str) -> None:
    """One line on stderr."""
    print(f"sanefit: error: {message}", file=sys.stderr)


def print_progress(done: int, images: int) -> None:
    """How many images of all are done, where stderr is a terminal."""
    if sys.stderr.isatty():
        print(f"\r{done:,} of {images:,} images", end="\n" if done == images else "", file=sys.stderr, flush=True)


def print_warnings(broken: Sequence[str], passed_over: Mapping[str, int]) -> None:
    """Reasons why files are no images, the first of them; and how many were not taken, by the reason."""
    for reason in broken[:SHOWN]:
        print(f"sanefit: warning: left out, {reason}", file=sys.stderr)
    if len(broken) > SHOWN:
        print(f"sanefit: warning: {len(broken):,} files left out in all; --json lists them", file=sys.stderr)
    for reason, files in passed_over.items():
        print(f"sanefit: warning: passed over {files:,} file{'s' * (files > 1)}: {reason}", file=sys.stderr)
