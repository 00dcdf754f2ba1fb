"""CIFAR-10's training images, for the benchmarks that take ``--cifar10 ARCHIVE``."""

import argparse
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def unpacked_cifar10(description: str | None) -> Iterator[Path]:
    """A temporary folder with ``cifar/train/CLASS/NNNN.jpg``, from the archive that the command line names."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--cifar10", type=Path, required=True, help="archive of CIFAR-10's training images")
    archive = parser.parse_args().cifar10
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        with tarfile.open(archive) as tar:
            tar.extractall(folder / "cifar", filter="data")
        yield folder
