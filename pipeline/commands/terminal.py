"""Lines that the command prints while something runs."""

import sys

from sanefit.components.foundation.step_lines.reading import Show


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
