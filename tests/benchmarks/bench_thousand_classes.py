"""A whole run on 1,000 classes of 50 images each: that it ends well, how long it takes, what steps hand each other."""

import json
import subprocess
import sys
import tarfile
import tempfile
import time
from pathlib import Path

import numpy as np
import simplejpeg
from figures import print_figure

CLASSES, PER_CLASS, SIDE, GRID = 1000, 50, 16, 4
LIMIT = 16 * 1024  # bytes of what a task gives
TAR_BLOCK = 512
SETTINGS = (
    "network={kind: two_layer, hidden: 128}",
    "optimizer.batch_size=256",
    "search.coarse.trials=4",
    "search.coarse.epochs=2",
    "search.fine.trials=2",
    "search.fine.epochs=3",
    "final.epochs=6",
)


def main(*settings: str) -> None:
    with tempfile.TemporaryDirectory(prefix="sanefit-bench-") as folder:
        archive, workdir = Path(folder, "images.tar"), Path(folder, "sanefit-runs")
        write_archive(archive)
        started = time.perf_counter()
        given = [f"data.source=tar:{archive}", "name=thousand", *SETTINGS, *settings]
        overrides = [part for value in given for part in ("--set", value)]
        command = [sys.executable, "-m", "sanefit", "run", "--json", "--workdir", str(workdir), *overrides]
        ran = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
        seconds = time.perf_counter() - started
        result = json.loads(ran.stdout.splitlines()[-1])
        if result["status"] != "succeeded":
            raise SystemExit(f"the run ended as {result['status']!r}: {result.get('error')}")
        sizes = {path: path.stat().st_size for path in Path(result["run_dir"]).glob("tasks/**/executor_output.json")}
        steps = {step["step"]: step.get("computing_seconds", step.get("seconds")) for step in result["steps"]}
        print_figure("1,000 classes of 50 images, whole run", round(seconds, 1), "s", 1, steps=steps)
        print_figure("the same, test accuracy", result["test_accuracy"], "share", 1, classes=CLASSES)
        print_figure("the same, largest hand-off", max(sizes.values()), "bytes", len(sizes), limit=LIMIT)
        page = Path(result["report"]).stat().st_size
        print_figure("the same, page", round(page / 1e6, 2), "MB", 1)


def write_archive(archive: Path) -> None:
    """Each class has its own colors in 4x4 cells, which noise blurs: no two images are alike."""
    random = np.random.default_rng(0)
    with archive.open("wb") as opened:
        for label in range(CLASSES):
            cells = random.integers(40, 216, (GRID, GRID, 3))
            for number in range(PER_CLASS):
                moved = cells + random.normal(0, 20, cells.shape)
                picture = moved.repeat(SIDE // GRID, axis=0).repeat(SIDE // GRID, axis=1)
                picture = np.clip(picture + random.normal(0, 10, (SIDE, SIDE, 3)), 0, 255).astype(np.uint8)
                content = simplejpeg.encode_jpeg(np.ascontiguousarray(picture), quality=90)
                member = tarfile.TarInfo(f"a-class-with-a-rather-long-name-{label:04d}/{number:02d}.jpg")
                member.size = len(content)
                opened.write(member.tobuf(tarfile.USTAR_FORMAT) + content + b"\0" * (-len(content) % TAR_BLOCK))
        opened.write(b"\0" * 2 * TAR_BLOCK)


if __name__ == "__main__":
    main(*sys.argv[1:])
