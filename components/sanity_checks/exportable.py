"""Whether a network can be kept as the graph that is registered: tried before anything is searched."""

import contextlib
import io
import logging

import torch

from sanefit.components.foundation.classifiers.classifier import Classifier, ProbabilityModel
from sanefit.components.foundation.errors import SettingsError, first_line

IMAGES = 2  # one would freeze the batch size


def require_exportable(
    classifier: Classifier, image_shape: tuple[int, int, int], described: str, warned: str = ""
) -> None:
    """Raise SettingsError unless ``torch.export`` makes a graph of a network for any number of images.

    Args:
        classifier: left as it is.
        image_shape: (height, width, channels).
        described: the network, in words.
        warned: what the checks warn of, which may be why.
    """
    was_training, pixels = classifier.training, torch.zeros(IMAGES, *image_shape, dtype=torch.uint8)
    before = logging.root.manager.disable
    logging.disable(logging.ERROR)  # torch prints the whole graph of a network that it refuses
    model, any_number = ProbabilityModel(classifier).eval(), ({0: torch.export.Dim.AUTO},)
    try:
        with contextlib.redirect_stderr(io.StringIO()):
            torch.export.export(model, (pixels,), dynamic_shapes=any_number)
    except Exception as error:  # torch raises whatever the network makes it stumble over
        raise SettingsError(
            f"{described} cannot be exported ({first_line(error)}); expected a network that torch.export makes a graph "
            "of, which is what is registered and served; decide nothing in forward by values of tensors: use "
            "torch.where, or torch.cond" + (f"; the checks warn, too: {warned}" if warned else "")
        ) from error
    finally:
        logging.disable(before)
        classifier.train(was_training)
