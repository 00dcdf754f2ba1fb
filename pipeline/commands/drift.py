"""The command ``sanefit drift``."""

import json
import sys
from collections.abc import Iterator
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from sanefit.components.foundation.errors import RunFailedError, SettingsError
from sanefit.pipeline.commands.options import DEFAULT_WORKDIR, Json, Workdir, tracking_uri_of
from sanefit.pipeline.commands.terminal import print_progress, print_warnings

if TYPE_CHECKING:
    from sanefit.components.foundation.schemas.drift import DriftSettings
    from sanefit.components.model_registry.api import Difference, VersionDrift

CHANGED_CLASSES = 3  # shown


def drift(
    model_uri: Annotated[str, typer.Argument(metavar="MODEL_URI", help="As models:/NAME@champion, or models:/NAME/3.")],
    source: Annotated[str, typer.Argument(metavar="SOURCE", help="As data.source; images need no class.")],
    significance: Annotated[
        float, typer.Option(min=0.001, max=0.1, help="How often all tests together may be wrong about a drift.")
    ] = 0.01,
    least_effect: Annotated[
        Literal["small", "medium", "large"], typer.Option(help="From where on a difference counts, after Cohen.")
    ] = "small",
    images: Annotated[int, typer.Option(min=100, max=5000, help="New ones, at most, drawn at random.")] = 2000,
    seed: Annotated[int, typer.Option(min=0, help="Of what is drawn, and of the tests.")] = 0,
    workdir: Workdir = DEFAULT_WORKDIR,
    as_json: Json = False,
) -> None:
    """Say whether images have drifted from those that a version was trained on; exit status 1 if they have."""
    from sanefit.components.foundation.machine.cores import usable_cores
    from sanefit.components.foundation.schemas.drift import DriftSettings
    from sanefit.components.model_registry.api import find_drift, open_registry
    from sanefit.pipeline.local.reachable_places import require_reachable

    settings = DriftSettings.model_validate(
        {"significance": significance, "least_effect": least_effect, "images": images}
    )
    uri = tracking_uri_of(workdir.expanduser().absolute())
    require_reachable(uri)
    try:
        found = find_drift(open_registry(uri), model_uri, source, settings, seed, usable_cores(), print_progress)
    except RunFailedError as error:  # of a job, 1 would say that they have drifted
        raise SettingsError(str(error)) from error
    print_warnings(found.drawn.broken, {})
    for line in lines_of(found, settings, seed):
        print(line, file=sys.stderr if as_json else sys.stdout)
    if as_json:
        print(json.dumps(_result(found, settings, seed)))
    sys.exit(1 if found.report and found.report.drifted else 0)


def lines_of(found: "VersionDrift", settings: "DriftSettings", seed: int) -> Iterator[str]:
    """For a reader; the verdict last."""
    from sanefit.components.model_registry.api import verdict_of

    reference, report = found.reference, found.report
    yield f"reference    {found.model_uri}: {reference.train:,} training, {reference.validation:,} validation images"
    yield f"today        {_drawn(found, seed)}"
    if report is None:
        yield f"not drifted: {found.drawn.images:,} images that are new tell nothing"
        return
    yield ""
    yield f"{'':<18}{'reference':>10}{'today':>10}{'difference':>22}{'effect':>9}{'least':>8}{'p':>10}"
    for difference in report.differences:
        yield _row(difference)
    changed = sorted(zip(found.class_names, report.class_shares, strict=True), key=_change, reverse=True)
    mix = ", ".join(f"{name} {before:.1%} to {now:.1%}" for name, (before, now) in changed[:CHANGED_CLASSES])
    yield f"called most differently: {mix}"
    yield ""
    yield (
        f"drift: p at most {settings.significance:g} over all {len(report.differences)} tests (Holm), and an effect "
        f"that is at least {settings.least_effect} (Cohen)"
    )
    yield f"so many images tell a shift from chance from {report.least_shift:.2f} standard deviations on"
    yield verdict_of(report)


def _drawn(found: "VersionDrift", seed: int) -> str:
    drawn = found.drawn
    extent = f"{drawn.drawn:,} of {drawn.population:,} drawn at random (seed {seed})"
    if drawn.drawn == drawn.population:
        extent = f"all {drawn.population:,}"
    left_out = {
        "seen in training or validation": drawn.seen,
        "repeated": drawn.repeated,
        "no images": len(drawn.broken),
    }
    without = ", ".join(f"{count:,} {why}" for why, count in left_out.items() if count)
    return f"{drawn.images:,} images: {extent}" + (f", but for {without}" if without else "")


def _row(difference: "Difference") -> str:
    from sanefit.components.model_registry.api import p_value_in_words

    means, sides = difference.means, f"{'':>42}"
    if means is not None:
        low, high = means.interval
        sides = f"{means.reference:>10.3f}{means.today:>10.3f}{f'{low:+.3f} to {high:+.3f}':>22}"
    tested = (
        f"{difference.effect:>9.3f}{difference.least_effect:>8.3f}{p_value_in_words(difference.adjusted_p_value):>10}"
    )
    return f"{difference.name:<18}{sides}{tested}{'  drifted' if difference.drifted else ''}"


def _change(named: tuple[str, tuple[float, float]]) -> float:
    before, now = named[1]
    return abs(now - before)


def _result(found: "VersionDrift", settings: "DriftSettings", seed: int) -> dict[str, object]:
    drawn, report = found.drawn, found.report
    classes = zip(found.class_names, report.class_shares if report else [], strict=False)
    return {
        "status": "drifted" if report and report.drifted else "not drifted",
        "model_uri": found.model_uri,
        "reference": {"train": found.reference.train, "validation": found.reference.validation},
        "images": drawn.images,
        "drawn": drawn.drawn,
        "population": drawn.population,
        "seen": drawn.seen,
        "repeated": drawn.repeated,
        "broken": drawn.broken,
        **settings.model_dump(include={"significance", "least_effect"}),
        "seed": seed,
        "least_shift": report.least_shift if report else None,
        "differences": [asdict(difference) for difference in report.differences] if report else [],
        "classes": {name: {"reference": before, "today": now} for name, (before, now) in classes},
    }
