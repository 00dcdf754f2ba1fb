"""Two versions of a model side by side, for a reader."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sanefit.components.model_registry.api import ComparedVersion, VersionComparison

DIGITS, LONGEST, NAMES = 16, 240, 3  # of a digest; of a value, in characters; of the classes of one version alone
NONE = "-"
SAME = "the same"
IN_SETTINGS = "configuration"  # the part of an identity that follows from the rows of the settings

Row = tuple[str, str, str]


def print_versions(model_name: str, found: "VersionComparison") -> None:
    """A table as wide as the terminal, 80 columns where there is none, and what a run found of the two."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console(highlight=False)
    table = Table(box=None, header_style="", padding=(0, 2, 0, 0))
    for heading in (model_name, *(f"version {one.version}" for one in found.versions)):
        table.add_column(Text(heading), overflow="fold")
    for row in _rows(found):
        table.add_row(*(Text(cell) for cell in row))
    with console.capture() as capture:
        console.print(table)
        console.print()
        for line in _closing(found):
            console.print(Text(line))
    for line in capture.get().splitlines():
        print(line.rstrip())


def _rows(found: "VersionComparison") -> list[Row]:
    one, two = found.versions
    return [
        ("aliases", ", ".join(one.aliases) or NONE, ", ".join(two.aliases) or NONE),
        ("run", one.run_name or NONE, two.run_name or NONE),
        ("test accuracy", _accuracy(one), _accuracy(two)),
        *_on_the_same_images(found),
        ("data fingerprint", *_digests(one.fingerprint, two.fingerprint)),
        *_classes(one.class_names, two.class_names),
        *_shapes(one.image_shape, two.image_shape),
        *((f"identity: {name}", *_digests(*values)) for name, values in found.identity.items() if name != IN_SETTINGS),
        *((f"chosen: {name}", _short(mine), _short(others)) for name, (mine, others) in found.chosen.items()),
        *((name, _short(mine), _short(others)) for name, (mine, others) in found.settings.items()),
    ]


def _closing(found: "VersionComparison") -> list[str]:
    lines = ["Each test accuracy is on the test split of the version's own run."]
    if not (found.settings or found.chosen or found.not_on_record):
        lines.append("No setting differs.")
    if earlier := found.earlier:
        judged = f"{earlier.comparison.images:,} images of its run's test split"
        lines.append(f"Version {earlier.version} beside {earlier.over}, {earlier.time}, on {judged}: {earlier.reason}.")
    else:
        lines.append("No run has compared the two on the same images.")
    return [*lines, *(f"Not on record: {text}." for text in found.not_on_record)]


def _accuracy(version: "ComparedVersion") -> str:
    return NONE if version.test_accuracy is None else f"{version.test_accuracy:.4f}"


def _on_the_same_images(found: "VersionComparison") -> list[Row]:
    if found.earlier is None:
        return []
    known = found.earlier.comparison
    values = (f"{known.new:.4f}", f"{known.old:.4f}")
    one, two = values if found.earlier.version == found.versions[0].version else values[::-1]
    return [(f"{known.metric.replace('_', ' ')}, same images", one, two)]


def _digests(one: str | None, two: str | None) -> tuple[str, str]:
    if one == two:
        return _short(one and one[:DIGITS]), SAME if one else NONE
    return _short(one and one[:DIGITS]), _short(two and two[:DIGITS])


def _classes(one: Sequence[str] | None, two: Sequence[str] | None) -> list[Row]:
    if one is None or two is None or one == two:
        return []
    if set(one) == set(two):
        return [("classes", f"{len(one):,}", f"{SAME}, in another order")]
    return [("classes", _alone(one, two), _alone(two, one))]


def _alone(names: Sequence[str], others: Sequence[str]) -> str:
    """How many classes, and the first of those that the other version has not."""
    known = set(others)
    alone = [name for name in names if name not in known]
    more = f" and {len(alone) - NAMES:,} more" if len(alone) > NAMES else ""
    return f"{len(names):,}" + (f", of them only here: {', '.join(alone[:NAMES])}{more}" if alone else "")


def _shapes(one: Sequence[int] | None, two: Sequence[int] | None) -> list[Row]:
    if one is None or two is None or one == two:
        return []
    return [("image shape", " x ".join(map(str, one)), " x ".join(map(str, two)))]


def _short(value: str | None) -> str:
    if value is None:
        return NONE
    return value if len(value) <= LONGEST else f"{value[:LONGEST]}…"
