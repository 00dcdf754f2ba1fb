"""The images of the benchmark: JPEG files in folders, and the same decoded."""

import re
import shutil
import tarfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

NUMBERED = re.compile(r"train/(\w+)/(\d+)\.jpg")


def extract(archive: Path, folder: Path, images: int, validation: int, classes: int = 10) -> None:
    """The first files of each class to ``train``, the next to ``val``, and one to ``test``, which ours asks for."""
    until = {"train": images // classes}
    until["val"] = until["train"] + validation // classes
    until["test"] = until["val"] + 1
    with tarfile.open(archive) as tar:
        for member in tar:
            if not (named := NUMBERED.fullmatch(member.name)):
                continue
            split = next((name for name, end in until.items() if int(named[2]) < end), None)
            if split:
                _write(tar, member, folder / split / named[1] / f"{named[2]}.jpg")


def _write(tar: tarfile.TarFile, member: tarfile.TarInfo, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    opened = tar.extractfile(member)
    assert opened, member.name
    with path.open("wb") as file:
        shutil.copyfileobj(opened, file)


def decode(folder: Path) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """uint8 (images, 3, height, width) and the number of each one's class, in the order of their names."""
    classes = sorted(path for path in folder.iterdir() if path.is_dir())
    files = [(file, label) for label, path in enumerate(classes) for file in sorted(path.iterdir())]
    pixels = np.stack([np.asarray(Image.open(file).convert("RGB")) for file, _ in files])
    return np.ascontiguousarray(pixels.transpose(0, 3, 1, 2)), np.array([label for _, label in files])


def save_decoded(folder: Path, target: Path) -> None:
    target.mkdir()
    for split in ("train", "val"):
        pixels, labels = decode(folder / split)
        np.save(target / f"{split}_pixels.npy", pixels)
        np.save(target / f"{split}_labels.npy", labels)
