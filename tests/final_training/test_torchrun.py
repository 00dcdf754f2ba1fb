"""Several processes, really started by torchrun, against one."""

import dataclasses
import os
import re
import signal
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from said import Said

from sanefit.components.final_training.checkpoint import Checkpoint, MemberProgress
from sanefit.components.final_training.torchrun import MemberJob, train_with_torchrun, useful_processes
from sanefit.components.foundation.classifiers.classifier import build_classifier
from sanefit.components.foundation.errors import RunFailedError, StoppedError
from sanefit.components.foundation.image_dataset.batches import shuffled_batches
from sanefit.components.foundation.image_dataset.shards import read_manifest
from sanefit.components.foundation.machine.termination import is_asked_to_stop, listening_for_sigterm
from sanefit.components.foundation.schemas.final_model import FinalTrainingSettings
from sanefit.components.foundation.schemas.images import DatasetReference
from sanefit.components.foundation.schemas.networks import MlpSettings
from sanefit.components.foundation.schemas.statistics import ChannelStats
from sanefit.components.foundation.training.loop.loss import smoothed_cross_entropy
from sanefit.components.foundation.training.loop.recipe import Recipe
from sanefit.components.foundation.training.loop.training import Training
from sanefit.components.foundation.training.loop.training_data import read_training_data
from sanefit.components.foundation.training.loop.training_options import TrainingOptions
from sanefit.components.foundation.training.loop.training_state import copies

pytestmark = pytest.mark.slow

NETWORK = MlpSettings(kind="mlp", depth=2, width=9, dropout=0.3)
RECIPE = Recipe(
    learning_rate=0.1,
    weight_decay=1e-2,
    momentum=0.9,
    batch_size=67,
    epochs=3,
    batch_seed=5,
    noise_seed=6,
    schedule="cosine",
    augmentation="flip_crop",
)
FINAL = FinalTrainingSettings(label_smoothing=0.1, weight_averaging=0.9)
OPTIONS = TrainingOptions(loss=smoothed_cross_entropy(0.1), weight_averaging=0.9)


@pytest.fixture
def job(digits: DatasetReference, digits_stats: ChannelStats, tmp_path: Path) -> MemberJob:
    return MemberJob(
        dataset=digits,
        stats=digits_stats,
        network=NETWORK,
        recipe=RECIPE,
        seed=1,
        final=FINAL,
        checkpoint_uri=str(tmp_path / "checkpoint.pt"),
        device_type="cpu",
        precision="float64",
    )


def assert_as_one_process(progress: MemberProgress, job: MemberJob) -> None:
    """Every figure of the curve, and the weights of the best epoch, to 1e-9."""
    manifest = read_manifest(job.dataset)
    classes = len(manifest.class_names)
    classifier = build_classifier(job.network, manifest.image_shape, classes, job.stats, job.seed).double()
    alone = Training(classifier, read_training_data(job.dataset), job.recipe, OPTIONS)
    assert len(progress.records) == job.recipe.epochs
    for record in progress.records:
        expected = alone.train_epoch(record.epoch)
        known = {name: value for name, value in expected.model_dump().items() if value is not None}
        assert {name: getattr(record, name) for name in known} == pytest.approx(known, rel=1e-9)
        if record.epoch == progress.best_epoch:
            kept = alone.kept.get_submodule("network").state_dict()
            for name, value in progress.best_weights.items():
                torch.testing.assert_close(value, kept[name], rtol=1e-9, atol=1e-12)


RECIPES = {
    "mixed": {"mixup": 0.4, "cutmix": 1.0, "erasing": 0.3, "augmentation": "trivial_augment"},
    "added up": {"accumulate": 3, "gradient_clip": 0.5, "nesterov": True, "batch_size": 29},
}


@pytest.mark.parametrize("name", RECIPES)
def test_two_processes_mix_images_and_add_gradients_up_as_one(name: str, job: MemberJob, said: Said) -> None:
    recipe = dataclasses.replace(RECIPE, **RECIPES[name])  # type: ignore[arg-type]
    changed = job.model_copy(update={"recipe": recipe})
    # Two processes share the images of mixup, which are float32, as one has them.
    assert_as_one_process(train_with_torchrun(changed, 2, said), changed)


def test_two_processes_train_as_one(job: MemberJob, said: Said, tmp_path: Path) -> None:
    """With batches that two cannot share evenly, dropout, augmentation, smoothed labels and averaged weights."""
    images = sum(read_manifest(job.dataset).images_per_class["train"].values())
    assert any(len(batch) % 2 for batch in shuffled_batches(images, RECIPE.batch_size, RECIPE.batch_seed, 1))
    progress = train_with_torchrun(job, 2, said)
    assert_as_one_process(progress, job)
    assert [line.split(":")[0] for line in said] == [f"Finished epoch {n} / 3" for n in (1, 2, 3)]  # once each
    assert (tmp_path / "checkpoint.pt").exists()
    again = Said()
    assert train_with_torchrun(job, 2, again).records == progress.records
    assert again == ["finished before, after 3 epochs"]


def test_two_processes_go_on_where_a_checkpoint_is(job: MemberJob, said: Said) -> None:
    """Written after the first epoch; the rest is as one process has it, to the optimizer's memory and the averages."""
    manifest = read_manifest(job.dataset)
    classifier = build_classifier(job.network, manifest.image_shape, 10, job.stats, job.seed).double()
    begun = Training(classifier, read_training_data(job.dataset), job.recipe, OPTIONS)
    first = begun.train_epoch(1)
    weights = copies(begun.kept.get_submodule("network").state_dict())
    Checkpoint(job.checkpoint_uri, said).write(MemberProgress([first], 1, weights, begun.state()))
    progress = train_with_torchrun(job, 2, said)
    assert said[0] == "goes on after epoch 1 of a training that was interrupted"
    assert len(said) == 3
    assert_as_one_process(progress, job)


def test_processes_told_to_end_go_on_after_their_last_batches(job: MemberJob, said: Said) -> None:
    """torchrun and both of its processes are told, as in a pod; one checkpoint holds what each has counted."""
    long = job.model_copy(update={"recipe": dataclasses.replace(RECIPE, batch_size=12), "checkpoint_seconds": 1e9})

    def say_and_tell(line: str) -> None:
        said(line)
        if line.startswith("Finished epoch 1"):
            os.kill(os.getpid(), signal.SIGTERM)

    with (
        listening_for_sigterm(),
        pytest.raises(StoppedError, match="what the lines above say is kept"),
    ):
        train_with_torchrun(long, 2, say_and_tell, is_asked_to_stop)
    assert re.match(r"told to end \(SIGTERM\) after (batch \d+ of epoch 2|epoch [12]); a checkpoint is kept", said[-1])
    begun = Checkpoint(long.checkpoint_uri, said).read()
    assert begun is not None
    assert begun.state is not None
    if begun.state.begun is not None:
        assert begun.state.begun.counted.shape == (2, 3)
    assert_as_one_process(train_with_torchrun(long, 2, said), long)


def test_a_process_that_fails_ends_the_step(job: MemberJob, said: Said) -> None:
    missing = job.dataset.model_copy(update={"storage": "/nowhere"})
    with pytest.raises(RunFailedError, match=r"on 2 GPUs ended with exit status \d+; expected 0"):
        train_with_torchrun(job.model_copy(update={"dataset": missing}), 2, said)


@given(st.integers(1, 16), st.integers(2, 500), st.integers(4, 64))
def test_each_process_gets_two_images_of_every_batch(processes: int, images: int, batch_size: int) -> None:
    useful = useful_processes(processes, images, batch_size)
    sizes = [len(batch) for batch in shuffled_batches(images, batch_size, seed=0, epoch=1)]
    assert 1 <= useful <= processes
    if useful > 1:
        assert min(sizes) // useful >= 2
    if useful < processes:
        assert min(sizes) // (useful + 1) < 2
