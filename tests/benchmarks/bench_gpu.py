"""The trial engine on one CUDA GPU, beside the same trials one after another on it.

Needs torch, torchvision, pydantic, psutil and PyYAML; where the last three are missing, a folder gpu-packages that was
made by ``pip install --target gpu-packages pydantic psutil pyyaml`` elsewhere will do. Data lie in the GPU's memory on
both sides. The share of the peak is that of a step's multiplications in the speed of a large matrix product, measured
in the same run. With ``--cifar10`` the final training of pipeline/configs/cifar10-resnet.yaml is timed too, from the
first step to the last epoch's validation; decoding is not counted.
"""

import argparse
import dataclasses
import io
import json
import statistics
import sys
import tarfile
import time
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT / "src"), str(ROOT / "gpu-packages")]

import torch  # noqa: E402
import torchvision  # noqa: E402
import yaml  # noqa: E402

from sanefit.components.foundation.machine.arithmetic import Arithmetic, arithmetic_of  # noqa: E402
from sanefit.components.foundation.schemas.final_model import FinalTrainingSettings  # noqa: E402
from sanefit.components.foundation.schemas.networks import (  # noqa: E402
    ConvNetSettings,
    NetworkSettings,
    TwoLayerSettings,
    network_settings,
)
from sanefit.components.foundation.schemas.statistics import ChannelStats  # noqa: E402
from sanefit.components.foundation.schemas.training import OptimizerSettings  # noqa: E402
from sanefit.components.foundation.training.loop.loss import smoothed_cross_entropy  # noqa: E402
from sanefit.components.foundation.training.loop.recipe import Recipe, recipe_of  # noqa: E402
from sanefit.components.foundation.training.loop.training import Training  # noqa: E402
from sanefit.components.foundation.training.loop.training_data import TrainingData, data_on  # noqa: E402
from sanefit.components.foundation.training.loop.training_options import TrainingOptions  # noqa: E402
from sanefit.components.foundation.training.stacks.train_together import EnginePlan, start  # noqa: E402
from sanefit.components.foundation.training.stacks.trial import Problem, Trial  # noqa: E402

SIZES = {"lecture": (1, 4, 16, 64, 100, 128, 256), "convnet": (1, 4, 16, 32, 64)}
NETWORKS: dict[str, NetworkSettings] = {
    "lecture": TwoLayerSettings(kind="two_layer", hidden=50, init="gaussian:1e-4"),
    "convnet": ConvNetSettings(kind="convnet", channels=(16, 32, 64)),
}
MULTIPLICATIONS = {  # of a step, for each image: forward, and back to weights and inputs (not to the image)
    "lecture": 2 * 3072 * 50 + 3 * 50 * 10,
    "convnet": 2 * 1024 * 27 * 16 + 3 * 256 * 144 * 32 + 3 * 64 * 288 * 64 + 3 * 1024 * 10,
}
BATCH = {"lecture": 64, "convnet": 128}
VALIDATION_IMAGES = 1000
REPEATS = 3


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cifar10", type=Path, help="archive of CIFAR-10's training images; by default random ones")
    parser.add_argument("--images", type=int, default=10_000, help="of an epoch (default 10000)")
    parser.add_argument("--learning-rate", type=float, default=0.4, help="of the final training (default 0.4)")
    parser.add_argument("--weight-decay", type=float, default=5e-4, help="of the final training (default 5e-4)")
    arguments = parser.parse_args()
    if not torch.cuda.is_available():
        sys.exit("bench_gpu: torch sees no CUDA GPU; expected one; run it on a machine that has one")
    with Arithmetic("cuda", "tf32").in_force():
        _measure(arguments)


def _measure(arguments: argparse.Namespace) -> None:
    data = data_on(_data(arguments.cifar10, arguments.images), torch.device("cuda"))
    peak = _peak()
    _print("large matrix product, TF32", peak / 1e12, "Tflop/s", REPEATS)
    for name, sizes in SIZES.items():
        alone = _speed(lambda name=name: _loop(name, data))
        _print(f"{name}: one after another, eager", alone, "trial-epochs/s", REPEATS, images=arguments.images)
        for size in sizes:
            for recorded in (False, True):
                _stacked(name, size, recorded, data, alone, peak)
    if arguments.cifar10:
        _final(arguments.cifar10, arguments.learning_rate, arguments.weight_decay)


def _stacked(name: str, size: int, recorded: bool, data: TrainingData, alone: float, peak: float) -> None:
    torch.cuda.reset_peak_memory_stats()
    try:
        speed = _speed(lambda: _stack(name, size, recorded, data)) * size
    except torch.OutOfMemoryError:
        _print(f"{name}: T={size}", 0.0, "trial-epochs/s", 0, note="out of memory")
        return
    operations = 2 * MULTIPLICATIONS[name] * len(data.train_labels) * speed
    _print(
        f"{name}: T={size}{', recorded' if recorded else ''}",
        speed,
        "trial-epochs/s",
        REPEATS,
        peer="the same trials one after another on this GPU, eager, data in its memory",
        ratio=round(speed / alone, 2),
        share_of_peak=round(operations / peak, 4),
        peak_mb=torch.cuda.max_memory_allocated() // 2**20,
    )


def _final(archive: Path, learning_rate: float, weight_decay: float) -> None:
    """CIFAR-10: 45,000 images to train on, 5,000 to validate."""
    config = yaml.safe_load((ROOT / "pipeline" / "configs" / "cifar10-resnet.yaml").read_text())
    final = FinalTrainingSettings.model_validate(config["final"])
    recipe = recipe_of(
        OptimizerSettings.model_validate(config["optimizer"]),
        learning_rate=learning_rate,
        weight_decay=weight_decay,
        epochs=final.epochs,
        batch_seed=0,
        noise_seed=0,
    )
    problem = _problem("convnet")
    trial = Trial(network_settings.validate_python(config["network"]), recipe, 0)
    data = data_on(_data(archive, 45_000, 5_000), problem.device)
    arithmetic = arithmetic_of(trial.network, problem.device, mixed_precision=final.mixed_precision)
    options = TrainingOptions(
        smoothed_cross_entropy(final.label_smoothing),
        weight_averaging=final.weight_averaging,
        arithmetic=arithmetic,
    )
    training = Training(problem.classifier(trial), data, recipe, options)
    torch.cuda.synchronize()
    started, best = time.perf_counter(), 0.0
    for epoch in range(1, final.epochs + 1):
        best = max(best, training.train_epoch(epoch).validation_accuracy)
    torch.cuda.synchronize()
    seconds = time.perf_counter() - started
    _print("final training, cifar10-resnet", seconds, "s", 1, epochs=final.epochs, best_validation_accuracy=best)


def _speed(begin: Callable[[], Callable[[], object]]) -> float:
    """Epochs per second, the median of some, after one that is not counted."""
    epoch = begin()
    epoch()
    times = []
    for _ in range(REPEATS):
        torch.cuda.synchronize()
        started = time.perf_counter()
        epoch()
        torch.cuda.synchronize()
        times.append(time.perf_counter() - started)
    return 1 / statistics.median(times)


def _problem(name: str) -> Problem:
    scale = [1.0] * 3 if name == "lecture" else [63.0] * 3
    means = [125.3, 123.0, 113.9]
    stats = ChannelStats(
        normalization="channel_mean", images=1, mean=means, std=scale, shift=means, scale=scale, histogram=[]
    )
    return Problem((32, 32, 3), 10, stats, torch.device("cuda"))


def _trials(name: str, count: int) -> list[Trial]:
    recipe = Recipe(
        learning_rate=1e-4,
        weight_decay=1e-4,
        momentum=0.0 if name == "lecture" else 0.9,
        batch_size=BATCH[name],
        epochs=100,
        batch_seed=0,
    )
    rates = [10 ** (-6 + 2 * number / count) for number in range(count)]
    return [
        Trial(NETWORKS[name], dataclasses.replace(recipe, learning_rate=rate, noise_seed=number), number)
        for number, rate in enumerate(rates)
    ]


def _loop(name: str, data: TrainingData) -> Callable[[], object]:
    [trial] = _trials(name, 1)
    problem = _problem(name)
    options = TrainingOptions(arithmetic=problem.arithmetic(trial.network))
    training = Training(problem.classifier(trial), data, trial.recipe, options)
    return lambda: training.train_epoch(1)


def _stack(name: str, size: int, recorded: bool, data: TrainingData) -> Callable[[], object]:
    training = start(EnginePlan("stacked", size, recorded), _trials(name, size), _problem(name), data)
    return lambda: training.train_epoch(1)


def _peak() -> float:
    """Operations per second of a product of large float32 matrices, as torch is set."""
    left, right = torch.randn(8192, 8192, device="cuda"), torch.randn(8192, 8192, device="cuda")
    return 2 * 8192**3 * _speed(lambda: lambda: left @ right)


def _data(archive: Path | None, images: int, validation: int = VALIDATION_IMAGES) -> TrainingData:
    random = torch.Generator().manual_seed(0)
    count = images + validation
    if archive is None:
        pixels = torch.randint(0, 256, (count, 32, 32, 3), dtype=torch.uint8, generator=random)
        labels = torch.randint(0, 10, (count,), generator=random)
    else:
        pixels, labels = _decoded(archive, count, random)
    return TrainingData(pixels[:images], labels[:images], pixels[images:], labels[images:])


def _decoded(archive: Path, count: int, random: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
    files: list[tuple[str, bytes]] = []
    with tarfile.open(archive) as tar:
        for member in tar:
            if member.isfile() and (opened := tar.extractfile(member)) is not None:
                files.append((Path(member.name).parent.name, opened.read()))
    classes = sorted({label for label, _ in files})
    chosen = torch.randperm(len(files), generator=random)[:count].tolist()
    from PIL import Image

    pixels = [
        torchvision.transforms.functional.pil_to_tensor(Image.open(io.BytesIO(files[number][1])).convert("RGB"))
        for number in chosen
    ]
    labels = torch.tensor([classes.index(files[number][0]) for number in chosen])
    return torch.stack(pixels).permute(0, 2, 3, 1).contiguous(), labels


def _print(figure: str, value: float, unit: str, n: int, **more: object) -> None:
    record = {"figure": figure, "value": round(value, 3), "unit": unit, "ratio": None, "peer": "", "n": n, **more}
    versions = {"torch": torch.__version__, "torchvision": torchvision.__version__}
    print(json.dumps({**record, "hardware": torch.cuda.get_device_name(), "versions": versions}), flush=True)


if __name__ == "__main__":
    main()
