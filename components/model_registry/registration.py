"""Register the trained model and decide between champion and challenger."""

from collections.abc import Sequence

from sanefit.components.foundation.classifiers.classifier import ProbabilityModel
from sanefit.components.foundation.errors import RunFailedError
from sanefit.components.foundation.image_dataset.batch_size import images_at_once
from sanefit.components.foundation.image_dataset.shards import SplitImages, open_split
from sanefit.components.foundation.schemas.final_model import TrainedModel
from sanefit.components.foundation.schemas.runs import Registration, RunReference
from sanefit.components.foundation.step_lines.step_log import Say
from sanefit.components.foundation.tracking.connection import Client, connect
from sanefit.components.foundation.tracking.models import (
    champion_version,
    model_metadata,
    predict,
    register_model,
    set_alias,
)
from sanefit.components.foundation.tracking.tags import FINGERPRINT_TAG
from sanefit.components.foundation.training.checkpoints.trained_model import read_trained
from sanefit.components.foundation.training.inputs import TrainingInputs
from sanefit.components.foundation.training.stacks.trial import Problem
from sanefit.components.model_registry.promotion import Champion, decide

PREDICTION_BATCH = 1000
SHOWN = 20  # values of a list in a sentence


def register(
    model_name: str, inputs: TrainingInputs, trained: TrainedModel, run: RunReference, say: Say
) -> Registration:
    """Register the model, score it and the champion on the test split, and set the alias.

    The new version is loaded back from the registry and must give the accuracy that the final
    training reported.

    Args:
        model_name: the registered model.
        inputs: what the model is built from; the snapshot's test split judges.
        trained: the model.
        run: the parent run.
        say: prints a line.

    Raises:
        RunFailedError: when the loaded model's accuracy is not the reported one.
    """
    manifest = inputs.manifest
    client = connect(run.tracking_uri)
    version = register_model(
        client,
        run,
        model=_served_model(inputs, trained),
        model_name=model_name,
        class_names=manifest.class_names,
        image_shape=manifest.image_shape,
        tags={FINGERPRINT_TAG: inputs.dataset.fingerprint, "test_accuracy": f"{trained.test_accuracy:.6f}"},
    )
    model_uri = f"models:/{model_name}/{version}"
    test = open_split(inputs.dataset, "test", manifest=manifest)
    accuracy = registered_accuracy(model_uri, test)
    if accuracy != trained.test_accuracy:
        raise RunFailedError(
            f"{model_uri} scores {accuracy:.6f} on the test split; the final training reported "
            f"{trained.test_accuracy:.6f}; expected the same; the version keeps no alias"
        )
    champion = score_champion(client, model_name, version, manifest.class_names, test)
    promotion = decide(accuracy, trained.test, champion)
    set_alias(client, model_name, promotion.alias, version)
    say(f"{model_uri} is {promotion.alias}: {promotion.reason}")
    return Registration(
        model_name=model_name,
        model_version=version,
        model_uri=model_uri,
        alias=promotion.alias,
        test_accuracy=accuracy,
        champion_version_before=champion.version if champion else None,
        champion_accuracy_before=champion.accuracy if champion else None,
        reason=promotion.reason,
    )


def score_champion(
    client: Client,
    model_name: str,
    new_version: str,
    class_names: Sequence[str],
    images: SplitImages,
) -> Champion | None:
    """The present champion with its accuracy on these images; None when there is none.

    A step that is repeated finds its own version to be champion: then there is none to compare.
    """
    version = champion_version(client, model_name)
    if version is None or version == new_version:
        return None
    uri = f"models:/{model_name}/{version}"
    known, wanted = model_metadata(uri), {"class_names": class_names, "image_shape": images.image_shape}
    for key, value in wanted.items():
        if known.get(key) != list(value):
            return Champion(version, None, f"its {key} is {_shown(known.get(key))}, this run's is {_shown(value)}")
    return Champion(version, registered_accuracy(uri, images))


def registered_accuracy(model_uri: str, images: SplitImages) -> float:
    """Share of images whose most probable class is the right one."""
    size = images_at_once(images.image_shape, PREDICTION_BATCH)
    predicted = predict(model_uri, images.batches(size)).argmax(axis=1)
    return float((predicted == images.labels).mean())


def _served_model(inputs: TrainingInputs, trained: TrainedModel) -> ProbabilityModel:
    problem = Problem(inputs.manifest.image_shape, inputs.classes, inputs.stats)
    return ProbabilityModel(read_trained(trained, inputs.network, problem)).eval()


def _shown(values: Sequence[object] | None) -> str:
    """A short list whole, a long one by its ends."""
    if values is None or len(values) <= SHOWN:
        return str(values and list(values))
    return f"{len(values):,} values from {values[0]!r} to {values[-1]!r}"
