"""What registered models answer in a process that has just begun, as a service is."""

import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sanefit.components.foundation.errors import RunFailedError
from sanefit.components.foundation.image_dataset.png import as_png

LINES_SHOWN = 3


def answers_in_fresh_process(
    tracking_uri: str, model_uri: str, files_model_uri: str, images: NDArray[np.uint8]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The probabilities of the model that takes pixels, and of the one that takes the same images as PNG files.

    Args:
        tracking_uri: of MLflow.
        model_uri, files_model_uri: the two models.
        images: uint8 (images, height, width, channels).

    Returns:
        float64 (images, classes) each.

    Raises:
        RunFailedError: when the process fails.
    """
    with tempfile.TemporaryDirectory(prefix="sanefit-") as temporary:
        folder = Path(temporary)
        np.save(folder / "images.npy", images)
        arguments = (tracking_uri, model_uri, files_model_uri, str(folder))
        if failure := run_in_fresh_process(__name__, *arguments, tracking_uri=tracking_uri):
            raise RunFailedError(
                f"{model_uri} cannot be used in a process of its own: {failure}; expected answers; the version keeps "
                "no alias"
            )
        return np.load(folder / "pixels.npy"), np.load(folder / "files.npy")


def run_in_fresh_process(module: str, *arguments: str, tracking_uri: str = "", lines: int = LINES_SHOWN) -> str:
    """Run a module as a program; why it failed, in one line of its last ``lines`` on stderr; empty when it did not."""
    ran = subprocess.run(
        # -B: of a model that lies on this machine, byte code would be written among its files.
        [sys.executable, "-B", "-m", module, *arguments],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, **({"MLFLOW_TRACKING_URI": tracking_uri} if tracking_uri else {})},
    )
    if ran.returncode < 0:
        return f"ended by {signal.Signals(-ran.returncode).name}"
    last = " | ".join(ran.stderr.strip().splitlines()[-lines:])
    return (last or f"exit status {ran.returncode}") if ran.returncode else ""


def main(tracking_uri: str, model_uri: str, files_model_uri: str, folder: Path) -> None:
    """Answer, and leave the answers in the folder."""
    import mlflow
    import pandas as pd

    mlflow.set_tracking_uri(tracking_uri)
    images = np.load(folder / "images.npy")
    np.save(folder / "pixels.npy", np.asarray(mlflow.pyfunc.load_model(model_uri).predict(images), dtype=np.float64))
    files = pd.DataFrame({"image": [as_png(pixels) for pixels in images]})
    answers = mlflow.pyfunc.load_model(files_model_uri).predict(files)
    np.save(folder / "files.npy", np.array(answers["probabilities"].tolist()))


if __name__ == "__main__":
    _, *uris, working_folder = sys.argv
    main(uris[0], uris[1], uris[2], Path(working_folder))
