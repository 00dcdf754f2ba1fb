"""Who takes part, and how much of a search each one trains; the rest is extrapolated."""

from dataclasses import dataclass

from search_peers.protocol import CORES, NetName


@dataclass(frozen=True)
class Contestant:
    """A program that trains a search.

    ``arguments``: of ``python -m``. ``at_once``: how many trials run side by side. ``part``: how many trials of the
    lecture's net it trains, 0 for all. ``threads``: of torch, in each process; 0 leaves torch's own choice, all cores.
    ``environment``: names and values of further variables.
    """

    name: str
    arguments: tuple[str, ...]
    at_once: int = CORES
    part: int = 0
    threads: int = 0
    environment: tuple[tuple[str, str], ...] = ()

    def trains(self, net: NetName, trials: int) -> int:
        """Of so many trials; of the slow convnet two on each core."""
        part = self.part if net == "lecture" else min(self.part, 2 * CORES)
        return min(trials, part) if part else trials


PEER = "search_peers."
RAY_ALONE = (
    ("RAY_USAGE_STATS_ENABLED", "0"),
    ("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0"),  # on Linux, too, it makes Ray listen on 127.0.0.1 and nowhere else
)
NO_LOGS = ("TUNE_DISABLE_AUTO_CALLBACK_LOGGERS", "1")
USUAL_LOOP = Contestant("ImageFolder + DataLoader, one trial after another", (PEER + "image_folder",), 1, 2)
IMAGE_FOLDER_EACH = Contestant(
    "ImageFolder + DataLoader, a process per trial on each core",
    (PEER + "process_per_trial", PEER + "image_folder"),
    part=3 * CORES,
    threads=1,
)
IN_MEMORY_EACH = Contestant(
    "images in memory, a process per trial on each core",
    (PEER + "process_per_trial", PEER + "prepared_pixels"),
    part=4 * CORES,
    threads=1,
)
BOTH_CORES = Contestant(
    "images in memory, a lasting process on each core", (PEER + "both_cores",), part=10 * CORES, threads=1
)
PEERS = (
    USUAL_LOOP,
    IMAGE_FOLDER_EACH,
    Contestant("images in memory, one trial after another, all threads", (PEER + "in_memory",), 1, 10),
    IN_MEMORY_EACH,
    BOTH_CORES,
    Contestant("Ray Tune as documented", (PEER + "ray_documented",), part=4 * CORES, environment=RAY_ALONE),
    Contestant(
        "Ray Tune, reused actors, images in memory",
        (PEER + "ray_reused_actors",),
        part=10 * CORES,
        environment=(*RAY_ALONE, NO_LOGS),
    ),
    Contestant("Optuna, n_jobs, images in memory", (PEER + "optuna_jobs",), part=10 * CORES, threads=1),
)
OURS_SEARCH = Contestant("sanefit", ("ours_search", "search"))
OURS_TRAINING = Contestant("sanefit, training alone", ("ours_search", "training"))
