"""What an ONNX file answers in a process that has ONNX Runtime alone, on the CPU."""

import sys
import tempfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sanefit.components.foundation.errors import RunFailedError
from sanefit.components.foundation.machine.cores import usable_cores
from sanefit.components.foundation.tracking.fresh_process import run_in_fresh_process
from sanefit.components.foundation.tracking.onnx_export import PIXELS, PROBABILITIES


def onnx_answers(file: Path, batches: list[NDArray[np.uint8]]) -> list[NDArray[np.float32]]:
    """The probabilities for each batch.

    Args:
        file: the ONNX file.
        batches: uint8 (images, height, width, channels) each.

    Returns:
        As the file gives them; float32 (images, classes) is expected.

    Raises:
        RunFailedError: when the process fails.
    """
    with tempfile.TemporaryDirectory(prefix="sanefit-") as temporary:
        folder = Path(temporary)
        np.savez(folder / "batches.npz", *batches)
        if failure := run_in_fresh_process(__name__, str(file), str(folder), lines=1):
            raise RunFailedError(f"ONNX Runtime cannot use it: {failure}")
        with np.load(folder / "answers.npz") as answers:
            return [answers[name] for name in answers]


def main(file: Path, folder: Path) -> None:
    """Answer, and leave the answers in the folder."""
    from onnxruntime import InferenceSession, SessionOptions

    options = SessionOptions()
    options.intra_op_num_threads = usable_cores()
    session = InferenceSession(file, options, providers=["CPUExecutionProvider"])
    with np.load(folder / "batches.npz") as batches:
        answers = [session.run([PROBABILITIES], {PIXELS: batches[name]})[0] for name in batches]
    np.savez(folder / "answers.npz", *answers)


if __name__ == "__main__":
    try:
        main(Path(sys.argv[1]), Path(sys.argv[2]))
    except Exception as error:  # ONNX Runtime has a kind for each of its own
        sys.exit(" ".join(str(error).split()))
