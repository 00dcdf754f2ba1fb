"""Loss and accuracy of the networks of a stack on a split."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from sanefit.components.foundation.image_dataset.batch_size import images_at_once
from sanefit.components.foundation.training.loop.evaluation import EVALUATION_BATCH, class_recalls
from sanefit.components.foundation.training.loop.training_images import Images
from sanefit.components.foundation.training.stacks.stacked_network import StackedNetwork, answers


@torch.no_grad()
def evaluate_stack(
    network: StackedNetwork, normalization: nn.Module, pixels: Images, labels: Tensor, networks: int
) -> tuple[list[float], list[float], Tensor]:
    """Mean cross-entropy, accuracy, and recall of each class as ``class_recalls``, of each network, in evaluation mode.

    Args:
        network: T networks.
        normalization: from pixels to their inputs.
        pixels: uint8 (images, height, width, channels).
        labels: int64 (images,), on the networks' device.
        networks: T.
    """
    losses = torch.zeros(networks, dtype=torch.float64, device=labels.device)
    right = torch.empty(networks, len(labels), dtype=torch.bool, device=labels.device)
    seen = 0
    for batch in pixels.split(images_at_once(pixels.shape[1:], EVALUATION_BATCH)):
        scores = network.scores(normalization(batch))
        expected = labels[seen : seen + len(batch)]
        each = functional.cross_entropy(scores.double(), expected.expand(networks, -1), reduction="none")
        losses += each.sum(dim=1)
        right[:, seen : seen + len(batch)] = answers(scores) == expected
        seen += len(batch)
    accuracies = right.sum(dim=1).double() / seen
    return (losses / seen).tolist(), accuracies.tolist(), class_recalls(right, labels)
