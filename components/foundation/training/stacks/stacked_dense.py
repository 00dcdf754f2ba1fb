"""Fully connected networks in a stack: one wide matrix product for all first layers, batched ones for the others.

After that product images are the last dimension, so that nothing is moved in memory between two layers.
"""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from sanefit.components.foundation.classifiers.activations import activation
from sanefit.components.foundation.schemas.network_kind import Activation
from sanefit.components.foundation.training.stacks.stacked_network import (
    Gradient,
    OuterProduct,
    Scales,
    StackedDropout,
    as_leaves,
    by_neuron,
    gradients_of,
    losses_and_right,
    trained_names,
)

FIRST = "hidden1"


@dataclass
class StackedDense:
    """T networks as ``classifiers/mlp.py`` makes them; ``depth`` hidden layers."""

    weights: dict[str, Tensor]
    depth: int
    activation_name: Activation
    batch_norm: bool

    def losses_and_gradients(
        self, inputs: Tensor, labels: Tensor, dropout: StackedDropout, scales: Scales
    ) -> tuple[Tensor, Tensor, dict[str, Gradient]]:
        """As ``StackedNetwork``; autograd begins after the first matrix product.

        The first layer holds nearly all of the weights. Its gradient goes to the optimizer as two factors, so that it
        is added to the weights by the product itself and never lies in memory.
        """
        flat = inputs.flatten(1)
        before = self._first(flat, scales.get(f"{FIRST}.weight")).requires_grad_()
        names = [name for name in trained_names(self.weights) if not name.startswith(FIRST)]
        leaves = as_leaves(self.weights, names)
        losses, right = losses_and_right(self._after_first(before, leaves, dropout), labels)
        found = gradients_of(losses, {FIRST: before, **leaves})
        left = found.pop(FIRST).to(flat.dtype)  # bfloat16 under autocast
        gradients: dict[str, Gradient] = dict(found)
        gradients[f"{FIRST}.weight"] = OuterProduct(left, flat)
        if f"{FIRST}.bias" in self.weights:
            gradients[f"{FIRST}.bias"] = left.sum(dim=1).reshape(self.weights[f"{FIRST}.bias"].shape)
        return losses.detach(), right, gradients

    def scores(self, inputs: Tensor) -> Tensor:
        """As ``StackedNetwork``."""
        return self._after_first(self._first(inputs.flatten(1), None), self.weights, None)

    @torch.no_grad()
    def _first(self, flat: Tensor, scale: Tensor | None) -> Tensor:
        """(T * neurons, images) before norm and activation."""
        weight, bias = self.weights[f"{FIRST}.weight"], self.weights.get(f"{FIRST}.bias")
        wide, offset = weight.flatten(0, 1), None if bias is None else bias.flatten()
        if scale is None:
            return wide_product(flat, wide, offset).T.contiguous()
        outputs = wide_product(flat, wide, None).T.contiguous().mul_(by_neuron(scale, weight))
        return outputs if offset is None else outputs.add_(offset.unsqueeze(1))

    def _after_first(self, tall: Tensor, trained: dict[str, Tensor], dropout: StackedDropout | None) -> Tensor:
        """Scores (T, classes, images) from what the first layer gives, (T * neurons, images)."""
        networks = len(self.weights["output.weight"])
        stacked = tall.unflatten(0, (networks, -1))
        for layer in range(1, self.depth + 1):
            if layer > 1:
                stacked = linear(stacked, trained[f"hidden{layer}.weight"], trained.get(f"hidden{layer}.bias"))
            if self.batch_norm:
                channels = stacked.flatten(0, 1).unsqueeze(0)
                normed = batch_norm(channels, f"norm{layer}", trained, self.weights, training=dropout is not None)
                stacked = normed.reshape(stacked.shape)
            stacked = activation(self.activation_name)(stacked)
            if dropout is not None:
                stacked = dropout(stacked.transpose(1, 2), layer - 1).transpose(1, 2)
        return linear(stacked, trained["output.weight"], trained["output.bias"])


def wide_product(inputs: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """``inputs @ weight.T + bias``, to be called where no gradient is taken.

    On a CPU it is taken by oneDNN, through the operation into which torch.compile turns such a product. torch itself
    has MKL take it, which needs 10 to 28 % longer (AMD EPYC, one thread, torch 2.14.1; 16 to 1,000 images of 784 to
    12,288 values), and with the factors the other way round half as long again when images are an odd number.

    Args:
        inputs: float (images, values), at least one value.
        weight: float (neurons, values).
        bias: float (neurons,).

    Returns:
        float (images, neurons).
    """
    on_cpu = inputs.device.type == "cpu" and inputs.dtype == torch.float32 and not torch.is_autocast_enabled("cpu")
    if on_cpu and torch.backends.mkldnn.is_available() and torch.backends.mkldnn.enabled:
        outputs: Tensor = torch.ops.mkldnn._linear_pointwise(inputs, weight, bias, "none", [], "")
        return outputs
    return inputs @ weight.T if bias is None else torch.addmm(bias, inputs, weight.T)


def linear(stacked: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """(T, inputs, images) to (T, neurons, images)."""
    return torch.bmm(weight, stacked) if bias is None else torch.baddbmm(bias.unsqueeze(2), weight, stacked)


def batch_norm(
    inputs: Tensor, name: str, trained: dict[str, Tensor], buffers: dict[str, Tensor], *, training: bool
) -> Tensor:
    """T batch norms at once over (any, T * channels, any); in training the running statistics move."""
    if training:
        buffers[f"{name}.num_batches_tracked"].add_(1)
    return functional.batch_norm(
        inputs,
        buffers[f"{name}.running_mean"].view(-1),
        buffers[f"{name}.running_var"].view(-1),
        trained[f"{name}.weight"].flatten(),
        trained[f"{name}.bias"].flatten(),
        training,
    )
