"""Set-ups of the zoo, built as the pipeline builds them."""

from collections.abc import Callable
from typing import Any

from torch import nn
from zoo_data import Images, statistics

from sanefit.components.foundation.classifiers.classifier import Classifier, build_classifier
from sanefit.components.foundation.classifiers.input_normalization import InputNormalization
from sanefit.components.foundation.schemas.networks import network_settings
from sanefit.components.foundation.schemas.statistics import ChannelStats
from sanefit.components.sanity_checks.setup import Setup

TWO_LAYER = {"kind": "two_layer", "hidden": 32}
MLP = {"kind": "mlp", "depth": 3, "width": 64}
CONVNET = {"kind": "convnet", "channels": [8, 16]}


def setup(
    images: Images, network: dict[str, Any], *, stats: ChannelStats | None = None, seed: int = 0, **options: Any
) -> Setup:
    """One of sanefit's networks on some images; ``options`` are fields of the set-up."""
    settings = network_settings.validate_python(network)
    classifier = build_classifier(settings, images.shape, images.classes, stats or statistics(images), seed)
    return on(images, classifier, seed=seed, **options)


def on(images: Images, classifier: nn.Module, **options: Any) -> Setup:
    """Any classifier of raw pixels on some images."""
    defaults = {"batch_size": 64, "weight_decays": (1e-6, 1e-1)}
    return Setup(
        classifier=classifier,
        classes=images.classes,
        train_pixels=images.train_pixels,
        train_labels=images.train_labels,
        validation_pixels=images.validation_pixels,
        validation_labels=images.validation_labels,
        **{**defaults, **options},
    )


def normalized(images: Images, network: nn.Module) -> Classifier:
    """A network of a user's behind the normalizing layer."""
    stats = statistics(images)
    return Classifier(InputNormalization(stats.shift, stats.scale), network)


Make = Callable[[], Setup]
