"""A final training in a process of its own, which sends itself a signal.

Arguments: folder with dataset.json, stats.json and run.json; when, or nothing; the signal. SIGKILL comes when it has
said a line that begins so, and a checkpoint is written after every batch; SIGTERM when it has asked so many times
whether to end, and no checkpoint is written but for that. Prints what it says.
"""

import itertools
import os
import signal
import sys
from pathlib import Path

import torch

from sanefit.components.final_training.final_training import train_final
from sanefit.components.foundation.errors import StoppedError
from sanefit.components.foundation.image_dataset.shards import read_manifest
from sanefit.components.foundation.machine.termination import is_asked_to_stop, listening_for_sigterm
from sanefit.components.foundation.schemas.final_model import FinalTrainingSettings
from sanefit.components.foundation.schemas.images import DatasetReference
from sanefit.components.foundation.schemas.networks import ConvNetSettings
from sanefit.components.foundation.schemas.runs import RunReference
from sanefit.components.foundation.schemas.search import Ranking, SearchRange, TrialSetting
from sanefit.components.foundation.schemas.statistics import ChannelStats
from sanefit.components.foundation.schemas.training import OptimizerSettings
from sanefit.components.foundation.training.checkpoints.checkpoint_pace import Interruptions
from sanefit.components.foundation.training.inputs import TrainingInputs

NETWORK = ConvNetSettings(kind="convnet", channels=(3, 4), dropout=0.2)
OPTIMIZER = OptimizerSettings(batch_size=128, schedule="cosine", warmup=0.1, augmentation="flip_crop")
FINAL = FinalTrainingSettings(epochs=4, label_smoothing=0.1, weight_averaging=0.9, ensemble=2)
SETTINGS = [TrialSetting(learning_rate=0.1, weight_decay=1e-3), TrialSetting(learning_rate=0.05, weight_decay=1e-4)]
RANKING = Ranking(
    stage="fine",
    search_range=SearchRange(learning_rate=(1e-3, 1.0), weight_decay=(1e-6, 1e-1), reasons=[]),
    best=SETTINGS[0],
    best_trial=0,
    best_validation_accuracy=0.5,
    top=SETTINGS,
    trials=2,
    diverged=0,
    packs=[],
)


def say(text: str) -> None:
    print(text, flush=True)
    if when and text.startswith(when):
        os.kill(os.getpid(), number)


def stops() -> bool:
    if number == signal.SIGTERM and when and next(asked) == int(when):
        os.kill(os.getpid(), number)
    return is_asked_to_stop()


folder, when, number = Path(sys.argv[1]), sys.argv[2], signal.Signals[sys.argv[3]]
asked = itertools.count(1)
torch.set_num_threads(1)
dataset = DatasetReference.model_validate_json((folder / "dataset.json").read_text())
stats = ChannelStats.model_validate_json((folder / "stats.json").read_text())
with listening_for_sigterm():
    try:
        train_final(
            TrainingInputs(dataset, read_manifest(dataset), stats, NETWORK, OPTIMIZER, seed=3),
            FINAL,
            RANKING,
            RunReference.model_validate_json((folder / "run.json").read_text()),
            say=say,
            clock=lambda: 1e9,  # stands still: writing takes no time
            interruptions=Interruptions(1.0 if number == signal.SIGTERM else 0.0, stops),
        )
    except StoppedError as error:
        print(error)
        sys.exit(error.exit_status)
