"""The comparison as one HTML page."""

from collections.abc import Sequence

from jinja2 import Environment, PackageLoader, StrictUndefined

from sanefit.components.lecture.comparison import Comparison


def render(comparisons: Sequence[Comparison], source: str) -> str:
    """HTML with nothing to fetch.

    Args:
        comparisons: the table's rows.
        source: of the images.
    """
    loader = PackageLoader("sanefit.components.lecture", ".")
    environment = Environment(loader=loader, autoescape=True, undefined=StrictUndefined)
    passed = sum(comparison.passed for comparison in comparisons)
    return environment.get_template("page.html.j2").render(comparisons=comparisons, source=source, passed=passed)
