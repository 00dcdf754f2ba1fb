"""Keep, with a run, the model that takes image files."""

import contextlib
import sys
import tempfile
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd
from mlflow import MlflowClient
from mlflow.models import ModelSignature
from mlflow.types.schema import Array, ColSpec, DataType, Schema

from sanefit.components.foundation.identity.source_closure import source_closure
from sanefit.components.foundation.image_dataset.png import as_png
from sanefit.components.foundation.machine.environment import variables_set
from sanefit.components.foundation.schemas.runs import RunReference

NEEDED = (
    "sanefit.components.foundation.image_dataset.prepared_pixels",
    "sanefit.components.foundation.unsure",
)  # of sanefit, by the script
NO_BYTE_CODE = "PYTHONDONTWRITEBYTECODE"
PINNED = ("torch", "numpy", "pandas", "pillow", "pi-heif", "simplejpeg")


def log_files_model(run: RunReference, pixels_model_uri: str, config: dict[str, Any]) -> str:
    """Keep it; its URI.

    Args:
        run: the parent run.
        pixels_model_uri: the model that takes pixels, which becomes a part of it.
        config: ``image_shape``, ``class_names``, ``image_size``, ``background`` and ``bit_depth``.
    """
    signature = ModelSignature(
        inputs=Schema([ColSpec(DataType.binary, "image")]),
        outputs=Schema(
            [
                ColSpec(DataType.string, "label"),
                ColSpec(DataType.double, "probability"),
                ColSpec(Array(DataType.double), "probabilities"),
            ]
        ),
    )
    tracking = MlflowClient()
    with (
        tempfile.TemporaryDirectory(prefix="sanefit-") as folder,
        _no_byte_code(),
        mlflow.start_run(run_id=run.tracking_run_id),
    ):
        info = mlflow.pyfunc.log_model(
            name="model-files",
            python_model=str(Path(__file__).with_name("files_model.py")),
            code_paths=[str(_own_sources(Path(folder)))],
            artifacts={"pixels_model": pixels_model_uri},
            model_config=config,
            signature=signature,
            input_example=pd.DataFrame({"image": [as_png(np.zeros(config["image_shape"], dtype=np.uint8))]}),
            pip_requirements=[
                f"mlflow=={mlflow.__version__}",
                *(f"{name}=={version(name).split('+')[0]}" for name in PINNED),
            ],
            metadata=config,
        )
    tracking.update_run(run.tracking_run_id, status="RUNNING")  # start_run closes it; the exit handler does that
    return str(info.model_uri)


def _own_sources(folder: Path) -> Path:
    """Those of sanefit's files that the script needs, as a package."""
    sources = source_closure(NEEDED, lambda name, _: name.startswith("sanefit"))
    for name, content in sources.items():
        is_package = any(other.startswith(f"{name}.") for other in sources)
        file = folder.joinpath(*name.split("."), "__init__.py" if is_package else "")
        file = file if is_package else file.with_suffix(".py")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
    return folder / "sanefit"


@contextlib.contextmanager
def _no_byte_code() -> Iterator[None]:
    """MLflow tries the model before it keeps it, here and in a process of its own: byte code would be kept with it."""
    before, sys.dont_write_bytecode = sys.dont_write_bytecode, True
    try:
        with variables_set({NO_BYTE_CODE: "1"}):
            yield
    finally:
        sys.dont_write_bytecode = before
