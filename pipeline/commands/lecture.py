"""The command ``sanefit lecture``."""

import dataclasses
import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from sanefit.components.foundation.errors import StorageError
from sanefit.pipeline.commands.options import Json


def lecture(
    data: Annotated[
        str,
        typer.Option(
            metavar="SOURCE",
            help="CIFAR-10's training images, tar:PATH or folder:PATH; without them, only what needs none.",
            show_default=False,
        ),
    ] = "",
    only: Annotated[str, typer.Option(metavar="ROWS", help="As W2,R1; by default all.", show_default=False)] = "",
    html: Annotated[Path | None, typer.Option(help="Write the table as a page.", show_default=False)] = None,
    seed: Annotated[int, typer.Option(help="Of the order of the images.")] = 0,
    as_json: Json = False,
) -> None:
    """Run the lecture's tables and experiments again, theirs beside ours; exit status 1 when a row does not agree."""
    from sanefit.components.lecture.api import chosen_experiments, render, run_experiments

    stream = sys.stderr if as_json else sys.stdout
    experiments = chosen_experiments([row.strip() for row in only.split(",") if row.strip()], data)
    if html is not None and not html.absolute().parent.is_dir():
        raise StorageError(f"--html {str(html)!r}: no such folder; expected a file in one that exists; correct it")
    comparisons = []
    for comparison in run_experiments(experiments, data, seed, lambda text: print(text, file=stream, flush=True)):
        comparisons.append(comparison)
        verdict = "pass" if comparison.passed else "FAIL"
        print(f"{verdict} {comparison.row:<3} {comparison.title}", file=stream)
        print(f"         slides  {comparison.theirs}", file=stream)
        print(f"         ours    {comparison.ours}   ({comparison.agreement})", file=stream, flush=True)
    passed = sum(comparison.passed for comparison in comparisons)
    print(f"{passed} of {len(comparisons)} agree", file=stream)
    if not data and not only:
        print("The rows on CIFAR-10 were left out: give --data tar:PATH or folder:PATH", file=stream)
    if html is not None:
        html.write_text(render(comparisons, data), encoding="utf-8")
    if as_json:
        rows = [dataclasses.asdict(comparison) for comparison in comparisons]
        status = "succeeded" if passed == len(comparisons) else "failed"
        print(json.dumps({"status": status, "agree": passed, "rows": rows}))
    sys.exit(0 if passed == len(comparisons) else 1)
