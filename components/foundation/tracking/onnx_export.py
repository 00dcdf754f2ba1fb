"""A registered model as an ONNX file, written by a process of its own: an export that breaks breaks nothing else."""

import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from sanefit.components.foundation.errors import RunFailedError, first_line
from sanefit.components.foundation.tracking.fresh_process import run_in_fresh_process

if TYPE_CHECKING:
    from torch.export import ExportedProgram

PIXELS, PROBABILITIES = "pixels", "probabilities"  # the input and the output
IMAGES = "images"  # the first dimension of both, of any size


def export_in_fresh_process(tracking_uri: str, model_uri: str, file: Path) -> None:
    """Write the model that takes pixels as ONNX; weights of more than 1.5 GB go to a second file beside it.

    Args:
        tracking_uri: of MLflow.
        model_uri: the model.
        file: where to; from ``pixels``, uint8 (images, height, width, channels), to ``probabilities``, float32 (images,
            classes).

    Raises:
        RunFailedError: when it cannot be exported.
    """
    if failure := run_in_fresh_process(__name__, model_uri, str(file), tracking_uri=tracking_uri, lines=1):
        raise RunFailedError(f"it cannot be exported: {failure}")


def write_onnx(program: "ExportedProgram", file: Path) -> None:
    """As ``export_in_fresh_process`` does.

    Args:
        program: from uint8 (images, height, width, channels) to float32 (images, classes).
        file: where to.

    Raises:
        Exception: whatever torch, onnxscript or the translation of an operator raises.
    """
    import torch
    from onnxscript.ir.passes.common import ClearMetadataAndDocStringPass

    exported = torch.onnx.export(
        program,
        dynamo=True,
        verbose=False,
        input_names=[PIXELS],
        output_names=[PROBABILITIES],
        dynamic_shapes=({0: IMAGES},),  # a name, no more: the program says that this dimension is free
    )
    assert exported is not None
    ClearMetadataAndDocStringPass()(exported.model)  # lines of source with their paths, for every node
    exported.save(file)


def main(model_uri: str, file: Path) -> None:
    """Export the very program that is registered."""
    import mlflow
    import torch

    with tempfile.TemporaryDirectory(prefix="sanefit-") as folder:
        model = mlflow.artifacts.download_artifacts(model_uri, dst_path=folder)
        write_onnx(torch.export.load(Path(model) / "data" / "model.pt2"), file)


def _origin(error: BaseException) -> BaseException:
    """What came first: torch wraps it in pages of advice."""
    return error if error.__cause__ is None else _origin(error.__cause__)


if __name__ == "__main__":
    _, uri, target = sys.argv
    try:
        main(uri, Path(target))
    except Exception as error:
        sys.exit(first_line(_origin(error)))
