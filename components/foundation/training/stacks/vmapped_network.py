"""Any network in a stack, by torch.func: what no stack of our own is written for."""

import warnings
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn
from torch.func import functional_call, grad, vmap
from torch.nn.modules.batchnorm import _BatchNorm

from sanefit.components.foundation.classifiers.keyed_dropout import KeyedDropout, key_dropout
from sanefit.components.foundation.training.stacks.stacked_network import (
    Gradient,
    Scales,
    StackedDropout,
    losses_and_right,
)

# torch says so of some operations whenever they are used; whether vmap pays is measured.
warnings.filterwarnings("ignore", message="There is a performance drop because", category=UserWarning)


@dataclass
class VmappedNetwork:
    """T networks that are copies of ``template`` but for their weights; its dropout, if any, is keyed."""

    weights: dict[str, Tensor]
    template: nn.Module

    def __post_init__(self) -> None:
        key_dropout(self.template, 0)  # each call brings the keys of its network
        for module in self.template.modules():
            if isinstance(module, _BatchNorm):
                module.forward = partial(_mapped_batch_norm, module)  # type: ignore[method-assign]
        self.trained = [name for name, _ in self.template.named_parameters()]
        self.dropouts = [name for name, module in self.template.named_modules() if isinstance(module, KeyedDropout)]

    def losses_and_gradients(
        self, inputs: Tensor, labels: Tensor, dropout: StackedDropout, _scales: Scales
    ) -> tuple[Tensor, Tensor, dict[str, Gradient]]:
        """As ``StackedNetwork``."""
        self.template.train()
        parameters = {name: self.weights[name] for name in self.trained}
        buffers = {name: value for name, value in self.weights.items() if name not in parameters}

        def loss(
            parameters: dict[str, Tensor], buffers: dict[str, Tensor], share: Tensor, keys: Tensor
        ) -> tuple[Tensor, tuple[Tensor, Tensor, dict[str, Tensor]]]:
            called = {**parameters, **buffers, **self._dropout_buffers(share, keys, dropout.step)}
            scores = functional_call(self.template, called, (inputs,))
            losses, right = losses_and_right(scores.T.unsqueeze(0), labels)
            moved = {name: called[name] for name in buffers}
            return losses[0], (losses[0].detach(), right[0], moved)

        gradients, (losses, right, moved) = vmap(grad(loss, has_aux=True))(
            parameters, buffers, dropout.shares, dropout.keys
        )
        for name, value in moved.items():
            self.weights[name].copy_(value)
        return losses, right, dict(gradients)

    @torch.no_grad()
    def scores(self, inputs: Tensor) -> Tensor:
        """As ``StackedNetwork``."""
        self.template.eval()
        scores: Tensor = vmap(lambda weights: functional_call(self.template, weights, (inputs,)))(self.weights)
        return scores.transpose(1, 2)

    def _dropout_buffers(self, share: Tensor, keys: Tensor, step: Tensor) -> dict[str, Tensor]:
        found: dict[str, Tensor] = {}
        for layer, name in enumerate(self.dropouts):
            found |= {f"{name}.share": share, f"{name}.key": keys[layer], f"{name}.step": step}
        return found


def _mapped_batch_norm(module: _BatchNorm, activations: Tensor) -> Tensor:
    """Batch norm as torch can map it: not by cuDNN, and in float32, for bfloat16 beside float32 weights has no rule."""
    wide = activations.float() if activations.dtype == torch.bfloat16 else activations
    with torch.backends.cudnn.flags(enabled=False):
        normalized: Tensor = type(module).forward(module, wide)
    return normalized
