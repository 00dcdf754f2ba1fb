"""Convolutional networks in a stack: their channels side by side, later convolutions in as many groups as networks."""

from dataclasses import dataclass

from torch import Tensor
from torch.nn import functional

from sanefit.components.foundation.classifiers.activations import activation
from sanefit.components.foundation.schemas.network_kind import Activation
from sanefit.components.foundation.training.stacks.stacked_dense import batch_norm, linear
from sanefit.components.foundation.training.stacks.stacked_network import (
    Gradient,
    Scales,
    StackedDropout,
    as_leaves,
    gradients_of,
    losses_and_right,
    trained_names,
)


@dataclass
class StackedConvNet:
    """T networks as ``classifiers/convnet.py`` makes them; ``blocks`` of them."""

    weights: dict[str, Tensor]
    blocks: int
    activation_name: Activation
    batch_norm: bool

    def losses_and_gradients(
        self, inputs: Tensor, labels: Tensor, dropout: StackedDropout, _scales: Scales
    ) -> tuple[Tensor, Tensor, dict[str, Gradient]]:
        """As ``StackedNetwork``."""
        leaves = as_leaves(self.weights, trained_names(self.weights))
        losses, right = losses_and_right(self._scores(inputs, leaves, dropout), labels)
        return losses.detach(), right, dict(gradients_of(losses, leaves))

    def scores(self, inputs: Tensor) -> Tensor:
        """As ``StackedNetwork``."""
        return self._scores(inputs, self.weights, None)

    def _scores(self, inputs: Tensor, trained: dict[str, Tensor], dropout: StackedDropout | None) -> Tensor:
        networks = len(self.weights["output.weight"])
        images = inputs
        for block in range(1, self.blocks + 1):
            kernels = trained[f"conv{block}.weight"].flatten(0, 1)
            bias = trained[f"conv{block}.bias"].flatten() if f"conv{block}.bias" in trained else None
            # All networks see the same images: their first kernels are one set over the same channels.
            images = functional.conv2d(images, kernels, bias, padding=1, groups=1 if block == 1 else networks)
            if self.batch_norm:
                images = batch_norm(images, f"norm{block}", trained, self.weights, training=dropout is not None)
            if min(images.shape[2:]) >= 2:
                images = functional.max_pool2d(images, 2)
            images = activation(self.activation_name)(images)
        features = images.unflatten(1, (networks, -1)).flatten(2).transpose(0, 1)
        if dropout is not None:
            features = dropout(features, 0)
        return linear(features.transpose(1, 2), trained["output.weight"], trained["output.bias"])
