"""The tables in the documents list what the tables in the code hold."""

import re
from pathlib import Path

from sanefit.components.foundation.schemas.sources import SOURCES, kind_of
from sanefit.components.sanity_checks.check_table import CHECKS

DOCS = Path(__file__).parents[2] / "docs"


def rows(document: str, heading: str) -> list[list[str]]:
    """The cells of the table whose heading begins like this, without the heading."""
    lines = (DOCS / document).read_text().splitlines()
    [start] = [number for number, line in enumerate(lines) if line.startswith(heading)]
    table = lines[start + 2 : next(number for number in range(start, len(lines)) if not lines[number])]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in table]


def test_the_checks_are_documented_in_their_order_with_their_rows() -> None:
    documented = [(name.strip("`"), row) for name, row, *_ in rows("checks.md", "| name | row |")]
    assert documented == [(check.name, check.row) for check in CHECKS]


def test_every_source_is_documented() -> None:
    documented = {form for first, *_ in rows("data.md", "| `data.source` |") for form in re.findall("`([^`]+)`", first)}
    assert {kind_of(form).form for form in documented if form[0] != "."} == {kind.form for kind in SOURCES}


def test_what_images_hold_is_documented() -> None:
    documented = {
        (name, image)
        for names, images, *_ in rows("kubernetes.md", "| package | images |")
        for name in names.split(", ")
        for image in images.split(", ")
    }
    required = {
        (line.partition("#")[0].strip(), image)
        for image in ("data", "trainer")
        for line in (DOCS.parent / "images" / image / "requirements.in").read_text().splitlines()
        if line.partition("#")[0].strip()
    }
    assert documented == required
