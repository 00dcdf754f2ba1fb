"""The command ``sanefit predict``."""

import contextlib
import csv
import json
import os
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sanefit.components.foundation.errors import SettingsError, StorageError
from sanefit.pipeline.commands.options import DEFAULT_WORKDIR, Json, Workdir, tracking_uri_of
from sanefit.pipeline.commands.terminal import print_progress, print_warnings

if TYPE_CHECKING:
    from sanefit.components.model_registry.api import Answers, Predictor

Write = Callable[["Answers"], None]


def predict(
    model_uri: Annotated[str, typer.Argument(metavar="MODEL_URI", help="As models:/NAME@champion, or models:/NAME/3.")],
    images: Annotated[
        list[str], typer.Argument(metavar="IMAGES...", help="Files, folders, archives; s3://…, gs://…, az://….")
    ],
    csv_file: Annotated[Path | None, typer.Option("--csv", metavar="FILE", help="All probabilities, as CSV.")] = None,
    parquet_file: Annotated[
        Path | None, typer.Option("--parquet", metavar="FILE", help="All probabilities, as Parquet.")
    ] = None,
    workdir: Workdir = DEFAULT_WORKDIR,
    as_json: Json = False,
) -> None:
    """Name the class of images, prepared exactly as in training; files that are no images are listed."""
    from sanefit.components.foundation.machine.cores import usable_cores
    from sanefit.components.model_registry.api import find_images, load_predictor, open_registry
    from sanefit.pipeline.local.reachable_places import require_reachable

    if csv_file and parquet_file:
        raise SettingsError("--csv and --parquet: expected one of them; remove the other")
    uri = tracking_uri_of(workdir.expanduser().absolute())
    require_reachable(uri)
    open_registry(uri)
    predictor = load_predictor(model_uri)
    counts: Counter[str] = Counter()
    broken: list[str] = []
    with tempfile.TemporaryDirectory(prefix="sanefit-") as scratch, contextlib.ExitStack() as written:
        found = find_images(images, Path(scratch), predictor.passed_over)
        write = _writer(written, csv_file, parquet_file, predictor, as_json)
        for answers in predictor.answer(found, usable_cores()):
            write(answers)
            counts.update(answers.labels)
            broken += answers.broken
            print_progress(counts.total() + len(broken), len(found))
    print_warnings(broken, predictor.passed_over)
    if as_json:
        result = {"images": counts.total(), "classes": dict(counts), "broken": broken}
        print(json.dumps({"status": "succeeded", **result, "passed_over": predictor.passed_over}))


def _writer(
    written: contextlib.ExitStack,
    csv_file: Path | None,
    parquet_file: Path | None,
    predictor: "Predictor",
    as_json: bool,
) -> Write:
    class_names = predictor.class_names
    if csv_file:
        return _to_csv(written.enter_context(_in_place_of(csv_file)), written, class_names)
    if parquet_file:
        return _to_parquet(written.enter_context(_in_place_of(parquet_file)), written, class_names)
    return (lambda _: None) if as_json else _to_lines(predictor.labels)


def _to_lines(labels: Sequence[str]) -> Write:
    width = max(len(name) for name in labels)

    def write(answers: "Answers") -> None:
        for path, label, probability in zip(answers.paths, answers.labels, answers.highest, strict=True):
            print(f"{label:<{width}}  {probability:.4f}  {path}")

    return write


def _to_csv(path: Path, written: contextlib.ExitStack, class_names: Sequence[str]) -> Write:
    rows = csv.writer(written.enter_context(path.open("w", newline="", encoding="utf-8", errors="surrogateescape")))
    rows.writerow(["path", "label", "probability", *class_names])

    def write(answers: "Answers") -> None:
        for path_, label, probability, probabilities in zip(
            answers.paths, answers.labels, answers.highest, answers.probabilities.tolist(), strict=True
        ):
            rows.writerow([path_, label, probability, *probabilities])

    return write


def _to_parquet(path: Path, written: contextlib.ExitStack, class_names: Sequence[str]) -> Write:
    import pyarrow as pa
    import pyarrow.parquet as pq

    of_class = [pa.field(f"probability of {name}", pa.float32()) for name in class_names]
    schema = pa.schema(
        [
            pa.field("path", pa.string()),
            pa.field("label", pa.string()),
            pa.field("probability", pa.float32()),
            *of_class,
        ]
    )
    table = written.enter_context(pq.ParquetWriter(path, schema))

    def write(answers: "Answers") -> None:
        columns: list[Any] = [
            answers.paths,
            answers.labels,
            answers.probabilities.max(axis=1),
        ]
        table.write_table(pa.table([*columns, *answers.probabilities.T], schema=schema))

    return write


@contextlib.contextmanager
def _in_place_of(file: Path) -> Iterator[Path]:
    """A file beside it, which takes its place when all is written."""
    aside = file.with_name(f".{file.name}.{os.getpid()}.partial")
    try:
        aside.touch()
    except OSError as error:
        raise StorageError(
            f"{str(file)!r}: {error.strerror}; expected a file that can be written; choose another"
        ) from None
    try:
        yield aside
        aside.replace(file)
    finally:
        aside.unlink(missing_ok=True)
