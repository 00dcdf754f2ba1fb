"""The command ``sanefit verify``."""

import json
import re
import sys
import textwrap
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sanefit.pipeline.commands.options import DEFAULT_WORKDIR, Json, Workdir, tracking_uri_of
from sanefit.pipeline.commands.terminal import print_error

if TYPE_CHECKING:
    from sanefit.components.model_registry.api import CheckedCertificate, CheckedItem

COLUMNS = 80
STATE, NAME, LABEL = 15, 26, 13  # widths
DIGEST, DIGITS = re.compile("[0-9a-f]{64}"), 16  # so many are shown where both are the same


def verify(
    model_uri: Annotated[str, typer.Argument(metavar="MODEL_URI", help="As models:/NAME@champion, or models:/NAME/3.")],
    public_key: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="PEM; the certificate must be signed by its owner.", show_default=False),
    ] = None,
    workdir: Workdir = DEFAULT_WORKDIR,
    as_json: Json = False,
) -> None:
    """Verify a version's certificate, compute anew what is within reach, and say what differs."""
    from sanefit.components.model_registry.api import check_certificate, open_registry, read_public_key
    from sanefit.pipeline.local.reachable_places import require_reachable

    key = None if public_key is None else read_public_key(public_key)
    uri = tracking_uri_of(workdir.expanduser().absolute())
    require_reachable(uri)
    checked = check_certificate(open_registry(uri), model_uri, key)
    for line in lines_of(model_uri, checked):
        print(line, file=sys.stderr if as_json else sys.stdout)
    if as_json:
        print(json.dumps(_result(model_uri, checked)))
    if checked.differing:
        print_error(f"{model_uri}: {', '.join(checked.differing)}: not what its certificate says")
        sys.exit(1)


def _result(model_uri: str, checked: "CheckedCertificate") -> dict[str, object]:
    return {
        "status": "failed" if checked.differing else "succeeded",
        "model_uri": model_uri,
        "signature": checked.signature,
        "key": checked.key,
        "items": [asdict(item) for item in checked.items],
        "certificate": checked.certificate.model_dump(mode="json"),
    }


def lines_of(model_uri: str, checked: "CheckedCertificate") -> Iterator[str]:
    """For a reader, in 80 columns."""
    registered = checked.certificate.registration
    yield from _wrapped(f"{'certificate':<{LABEL}}", f"models:/{registered.model_name}/{registered.model_version}")
    yield from _wrapped(f"{'of':<{LABEL}}", checked.certificate.time)
    yield from _wrapped(f"{'signature':<{LABEL}}", _signature(checked))
    yield ""
    for item in checked.items:
        yield from _item_lines(item)
    yield ""
    counts = Counter(item.state for item in checked.items)
    said = f"{counts['same']} same, {counts['differs']} different, {counts['not available']} not available"
    yield f"{model_uri}: {said}"


def _signature(checked: "CheckedCertificate") -> str:
    signer = f"key {checked.key}" if checked.key else "an unknown key"
    return {
        "valid": f"valid, by {signer}",
        "not verified": f"not verified, by {signer}; --public-key FILE verifies it",
        "unsigned": "none",
    }[checked.signature]


def _item_lines(item: "CheckedItem") -> Iterator[str]:
    """One line where both values are the same; else both, as wide as digests are."""
    state = f"{item.state:<{STATE}}"
    if item.state == "same" and not item.why:
        value = item.certified[:DIGITS] if DIGEST.fullmatch(item.certified) else item.certified
        yield from _wrapped(f"{state}{item.name:<{NAME}}", value)
        return
    yield from _wrapped(state, item.name)
    for label, value in (("certified", item.certified), ("found", item.found), ("because", item.why)):
        if value:
            yield from _wrapped(f"  {label:<{LABEL - 2}}", value)


def _wrapped(start: str, value: str) -> list[str]:
    """A value behind what it is, in as many lines as it takes."""
    if len(start) > STATE + NAME:  # a long name
        return [*_wrapped(start[:STATE], start[STATE:]), *_wrapped(" " * STATE, value)]
    indent = " " * min(len(start), STATE)
    return textwrap.wrap(value, COLUMNS, initial_indent=start, subsequent_indent=indent, break_on_hyphens=False)
