"""How often the null control refuses: sets under permuted labels, where it should, and sound sets, where it must not.

Each set with each of many seeds, which draw its pictures, its splits and the first weights. One line for each set.
"""

import argparse
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
from figures import print_figure
from folders import GENERATED
from setups import CONVNET, setup
from zoo_data import Images, cifar10, digits, split

from sanefit.components.foundation.machine.cores import usable_cores
from sanefit.components.sanity_checks.checks.carry_over import check_recommended_rate
from sanefit.components.sanity_checks.probe.probing import probed

TRAIN = 0.75


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cifar10", type=Path, help="archive of CIFAR-10's training images")
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("names", nargs="*", help="of the sets; all without one")
    given = parser.parse_args()
    sets: dict[str, tuple[Callable[[int], Images], bool]] = {"digits": (_digits, False)}
    sets |= {name: (partial(_generated, name), False) for name in GENERATED}
    if given.cifar10:
        sets["cifar10"] = (partial(_cifar10, given.cifar10, permuted=False), False)
        sets["cifar10 under permuted labels"] = (partial(_cifar10, given.cifar10, permuted=True), True)
    with ProcessPoolExecutor(usable_cores(), initializer=torch.set_num_threads, initargs=(1,)) as pool:
        for name, (make, faulty) in sets.items():
            if given.names and name not in given.names:
                continue
            verdicts = Counter(pool.map(partial(_verdict, make), range(given.seeds)))
            right = verdicts["fail"] if faulty else given.seeds - verdicts["fail"]
            wanted = "refused" if faulty else "not refused"
            print_figure(f"null control: {name} {wanted}", right, "seeds", given.seeds, verdicts=dict(verdicts))


def _verdict(make: Callable[[int], Images], seed: int) -> str:
    found = check_recommended_rate(probed(setup(make(seed), CONVNET, seed=seed)))
    return found.verdict if found else "no rate"


def _digits(seed: int) -> Images:
    images = digits()
    return _split_anew(images, seed)


def _cifar10(archive: Path, seed: int, *, permuted: bool) -> Images:
    images = _split_anew(cifar10(archive), seed)
    if not permuted:
        return images
    random = torch.Generator().manual_seed(1000 + seed)
    train, validation = (
        labels[torch.randperm(len(labels), generator=random)]
        for labels in (images.train_labels, images.validation_labels)
    )
    return replace(images, train_labels=train, validation_labels=validation)


def _split_anew(images: Images, seed: int) -> Images:
    pixels = torch.cat([images.train_pixels, images.validation_pixels])
    labels = torch.cat([images.train_labels, images.validation_labels])
    order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(seed))
    return split(pixels[order], labels[order], len(images.train_labels), images.classes)


def _generated(name: str, seed: int) -> Images:
    samples = GENERATED[name](seed)
    names = sorted({label for label, _ in samples})
    pixels = torch.from_numpy(np.stack([picture.clip(0, 255).astype(np.uint8) for _, picture in samples]))
    pixels = pixels if pixels.ndim == 4 else pixels.unsqueeze(3)  # of gray pictures
    labels = torch.tensor([names.index(label) for label, _ in samples])
    return _split_anew(split(pixels, labels, int(TRAIN * len(labels)), len(names)), seed)


if __name__ == "__main__":
    main()
