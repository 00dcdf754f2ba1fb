"""Several classifiers that answer as one."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from sanefit.components.foundation.classifiers.classifier import Classifier


class Ensemble(nn.Module):
    """Classifiers of the same images; the softmax of its scores is the mean of theirs.

    So the cross-entropy of its scores is that of the mean probabilities, and its most probable class is theirs. The
    members' networks may differ in anything but the classes.
    """

    def __init__(self, members: Sequence[Classifier]) -> None:
        super().__init__()
        self.members = nn.ModuleList(members)

    def forward(self, pixels: Tensor) -> Tensor:
        """uint8 (images, height, width, channels) to float scores (images, classes): logarithms of probabilities."""
        logarithms = torch.stack([torch.log_softmax(member(pixels), dim=1) for member in self.members])
        return torch.logsumexp(logarithms, dim=0) - math.log(len(self.members))
