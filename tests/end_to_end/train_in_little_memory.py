"""Snapshot, statistics and an epoch in a process that may take so many bytes more than at its start.

Arguments: folder of images, bytes. The last line printed is JSON.
"""

import json
import os
import resource
import sys
from pathlib import Path

import psutil
import torch

from sanefit.components.channel_stats.channel_stats import measure_channel_stats
from sanefit.components.dataset_snapshot.snapshot import take_snapshot
from sanefit.components.foundation.classifiers.classifier import build_classifier
from sanefit.components.foundation.image_dataset.shards import read_manifest
from sanefit.components.foundation.schemas.data_settings import DataSettings
from sanefit.components.foundation.schemas.networks import TwoLayerSettings
from sanefit.components.foundation.schemas.statistics import ChannelStats, StatsSettings
from sanefit.components.foundation.training.loop.recipe import Recipe
from sanefit.components.foundation.training.loop.training_data import TrainingData, read_training_data
from sanefit.components.foundation.training.loop.training_images import StreamedImages
from sanefit.components.foundation.training.loop.whole_training import train

NETWORK = TwoLayerSettings(kind="two_layer", hidden=8)
SOME = ChannelStats(
    normalization="channel_mean", images=1, mean=[0] * 3, std=[1] * 3, shift=[0] * 3, scale=[1] * 3, histogram=[]
)


def epoch(data: TrainingData, shape: tuple[int, int, int], stats: ChannelStats) -> str:
    status, _ = train(
        build_classifier(NETWORK, shape, 2, stats, 0),
        data,
        Recipe(learning_rate=1e-5, weight_decay=0.0, momentum=0.9, batch_size=8, epochs=1, batch_seed=0),
    )
    return status


def peak_resident_memory() -> int:
    """Bytes since this program began; getrusage would count what the process was before it."""
    status = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    (kibibytes,) = (line.split()[1] for line in status if line.startswith("VmHWM:"))
    return 1024 * int(kibibytes)


folder, limit = sys.argv[1], int(sys.argv[2])
torch.set_num_threads(1)
few = torch.zeros(16, 8, 8, 3, dtype=torch.uint8), torch.arange(16) % 2
epoch(TrainingData(*few, *few), (8, 8, 3), SOME)  # what torch loads when it first trains
process = psutil.Process(os.getpid())
start = process.memory_info()
resource.setrlimit(resource.RLIMIT_AS, (start.vms + limit, resource.RLIM_INFINITY))

dataset = take_snapshot(DataSettings(source=f"folder:{folder}"), f"{folder}-storage", print, workers=2)
stats = measure_channel_stats(dataset, StatsSettings(), print, workers=2)
manifest = read_manifest(dataset)
data = read_training_data(dataset)
assert epoch(data, manifest.image_shape, stats) == "ok"
peak = peak_resident_memory()
images = sum(index.images for index in manifest.splits.values())
height, width, channels = manifest.image_shape
print(
    json.dumps(
        {
            "images": images,
            "bytes": images * height * width * channels,
            "streamed": isinstance(data.train_pixels, StreamedImages),
            "peak": peak,
            "grown": peak - start.rss,
        }
    )
)
