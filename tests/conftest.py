"""What many tests share: real digits, small folders of images, and a place to say things."""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import hypothesis
import numpy as np
import pytest
from PIL import Image
from said import Said

from sanefit.components.channel_stats.channel_stats import measure_channel_stats
from sanefit.components.dataset_snapshot.snapshot import take_snapshot
from sanefit.components.foundation.schemas.data_settings import DataSettings
from sanefit.components.foundation.schemas.images import DatasetReference
from sanefit.components.foundation.schemas.statistics import ChannelStats, StatsSettings

hypothesis.settings.register_profile("untimed", deadline=None)  # another test may have the core
hypothesis.settings.load_profile("untimed")

CIFAR10_ARCHIVE = Path(__file__).parents[2] / "shared" / "data" / "cifar10-train.tar.gz"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files with slow tests come first: one of them at the end would leave the other processes idle."""
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in slow)


@pytest.fixture(autouse=True, scope="module")
def _path_of_imports() -> Iterator[None]:
    """MLflow puts the code of a model that it loads, a part of sanefit, before all else, and leaves it there."""
    before = list(sys.path)
    yield
    sys.path[:] = before


@pytest.fixture(autouse=True, scope="session")
def _gradients_before_fake_tensors() -> None:
    """For tests that fork: autograd begins threads where the first gradients come after an export, in another test."""
    if "torch" in sys.modules:
        import torch

        torch.ones(1, requires_grad=True).sum().backward()


@pytest.fixture(scope="module")
def one_thread() -> Iterator[None]:
    """For networks that are too small to share among threads."""
    import torch  # many tests need none

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def said() -> Said:
    return Said()


@pytest.fixture(scope="session")
def digits(tmp_path_factory: pytest.TempPathFactory) -> DatasetReference:
    """A snapshot of the real digits."""
    return take_snapshot(DataSettings(), str(tmp_path_factory.mktemp("storage")), Said())


@pytest.fixture(scope="session")
def digits_stats(digits: DatasetReference) -> ChannelStats:
    return measure_channel_stats(digits, StatsSettings(normalization="channel_mean_std"), Said())


@pytest.fixture(scope="session")
def cifar10_archive() -> Path:
    """The real CIFAR-10 training images, where they are at hand."""
    if not CIFAR10_ARCHIVE.is_file():
        pytest.skip("the CIFAR-10 archive is not on this machine")
    return CIFAR10_ARCHIVE


@pytest.fixture
def image_folder(tmp_path: Path) -> Callable[..., Path]:
    """Make a folder of random PNG images, one folder per class."""

    def make(per_class: dict[str, int], size: tuple[int, int] = (6, 5), name: str = "images", seed: int = 0) -> Path:
        root = tmp_path / name
        root.mkdir(exist_ok=True)
        random = np.random.default_rng(seed)
        for class_name, count in per_class.items():
            (root / class_name).mkdir(exist_ok=True)
            for number in range(count):
                pixels = random.integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
                Image.fromarray(pixels).save(root / class_name / f"{number:04d}.png")
        return root

    return make
