"""300 files that are no whole images, among good ones: each is set aside with its reason."""

import io
import json
import struct
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from said import Said

from sanefit.components.dataset_snapshot.snapshot import take_snapshot
from sanefit.components.foundation.errors import DataError
from sanefit.components.foundation.image_dataset.shards import read_manifest, read_split, snapshot_folder
from sanefit.components.foundation.schemas.data_settings import DataSettings
from sanefit.components.foundation.schemas.images import SPLITS

pytestmark = pytest.mark.slow

KINDS = {"JPEG": "jpg", "PNG": "png", "GIF": "gif", "BMP": "bmp", "TIFF": "tif", "WEBP": "webp"}
HOSTILE = 300


def encoded(random: np.random.Generator, kind: str) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(random.integers(0, 256, (18, 22, 3), dtype=np.uint8)).save(buffer, kind)
    return buffer.getvalue()


def decodes(content: bytes) -> bool:
    """The oracle: Pillow alone."""
    try:
        with Image.open(io.BytesIO(content)) as image:
            image.load()
    except Exception:
        return False
    return True


def bomb() -> bytes:
    header = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    chunk = struct.pack(">I", 13) + b"IHDR" + header + struct.pack(">I", zlib.crc32(b"IHDR" + header))
    return b"\x89PNG\r\n\x1a\n" + chunk


def mutated(random: np.random.Generator, kind: str) -> Iterator[bytes]:
    """Damaged copies of good files that Pillow cannot decode."""
    while True:
        content = bytearray(encoded(random, kind))
        for _ in range(int(random.integers(1, 6))):
            content[int(random.integers(0, len(content)))] = int(random.integers(0, 256))
        if not decodes(bytes(content)):
            yield bytes(content)


def hostile(random: np.random.Generator, number: int) -> tuple[str, bytes]:
    """A suffix and the content of a file that is no whole image."""
    kind = list(KINDS)[number % len(KINDS)]
    suffix, good = KINDS[kind], encoded(random, kind)
    odd = number // len(KINDS) % 7
    if odd == 0:
        return suffix, good[: len(good) // 3]
    if odd == 1:
        return suffix, b""
    if odd == 2:
        return suffix, f"words, number {number}\n".encode() * 40
    if odd == 3:
        return suffix, good[:20] + bytes(random.integers(0, 256, 200, dtype=np.uint8))
    if odd == 4:
        return suffix, bomb() + bytes(random.integers(0, 256, 8, dtype=np.uint8))
    if odd == 5:
        return suffix, zlib.compress(good)
    return suffix, next(mutated(random, "PNG" if kind in ("BMP", "TIFF") else kind))


@pytest.fixture
def mixed(image_folder: Callable[..., Path]) -> tuple[Path, set[str]]:
    """A folder of 400 good images, and 300 others among them; the others' paths."""
    random = np.random.default_rng(0)
    root, bad = image_folder({"cat": 200, "dog": 200}), set()
    for number in range(HOSTILE):
        suffix, content = hostile(random, number)
        path = root / ("cat", "dog")[number % 2] / f"hostile-{number:03d}.{suffix}"
        path.write_bytes(content)
        bad.add(str(path))
    return root, bad


def test_every_hostile_file_is_listed_with_its_reason_and_no_good_one(
    mixed: tuple[Path, set[str]], tmp_path: Path
) -> None:
    root, bad = mixed
    said = Said()
    settings = DataSettings(source=f"folder:{root}", max_bad_fraction=0.5)
    dataset = take_snapshot(settings, str(tmp_path / "storage"), said)
    manifest = read_manifest(dataset)
    listed = {file.path for file in manifest.quarantined}
    conflicts = {path for conflict in manifest.label_conflicts for path in conflict.paths}  # empty files are equal
    unlisted = bad - listed - conflicts
    assert listed | conflicts <= bad
    assert len(unlisted) <= manifest.duplicates
    assert all(Path(path).read_bytes() in {Path(other).read_bytes() for other in listed} for path in unlisted)
    assert all(file.path in file.reason and len(file.reason) > len(file.path) + 20 for file in manifest.quarantined)
    assert sum(len(read_split(dataset, split)[1]) for split in SPLITS) == 400
    assert any("files quarantined in all" in line for line in said)


def test_more_than_the_allowed_share_stops_the_run_and_makes_no_snapshot(
    mixed: tuple[Path, set[str]], tmp_path: Path
) -> None:
    storage = tmp_path / "storage"
    with pytest.raises(DataError, match=r"no whole images: cannot decode .* expected at most 10.00%") as caught:
        take_snapshot(DataSettings(source=f"folder:{mixed[0]}", max_bad_fraction=0.1), str(storage), Said())
    assert "\n" not in str(caught.value)
    assert not list(storage.rglob("manifest.json"))


def test_the_manifest_is_read_back_as_it_was_written(mixed: tuple[Path, set[str]], tmp_path: Path) -> None:
    settings = DataSettings(source=f"folder:{mixed[0]}", max_bad_fraction=1.0)
    dataset = take_snapshot(settings, str(tmp_path / "storage"), Said())
    text = (Path(snapshot_folder(dataset)) / "manifest.json").read_text()
    assert json.loads(text) == json.loads(read_manifest(dataset).model_dump_json())
