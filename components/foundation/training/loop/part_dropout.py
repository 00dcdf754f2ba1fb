"""Dropout of several processes that share a batch: each drops what one process would of its images."""

import torch
from torch import Tensor, nn

from sanefit.components.foundation.classifiers.keyed_dropout import KeyedDropout, step_key
from sanefit.components.foundation.image_dataset.batches import BatchPart
from sanefit.components.foundation.randomness import derive_seed, keyed_uniform


class PartDropout(nn.Module):
    """A keyed dropout layer whose inputs are a part of the batch; ``layer`` still holds its key, share and step."""

    def __init__(self, layer: KeyedDropout, part: BatchPart) -> None:
        super().__init__()
        self.layer, self.part = layer, part

    def forward(self, inputs: Tensor) -> Tensor:
        """Float (images of the part, ...) to the same shape."""
        if not self.training:
            return inputs
        key = step_key(self.layer.key, self.layer.step)
        kept = keyed_uniform(key, tuple(inputs.shape), self.part.rank, self.part.ranks) >= self.layer.share
        return torch.where(kept, inputs / (1 - self.layer.share), 0.0)


def convert_part_dropout(network: nn.Module, part: BatchPart) -> None:
    """Put a ``PartDropout`` around every keyed dropout layer, in place. The names of weights stay as they are."""
    for name, child in network.named_children():
        if isinstance(child, KeyedDropout):
            setattr(network, name, PartDropout(child, part))
        else:
            convert_part_dropout(child, part)


def seed_other_noise(seed: int, epoch: int, number: int, part: BatchPart, device: torch.device) -> None:
    """For dropout that is not ours, batch by batch, so that it goes on in mid-epoch; each process has its own.

    Args:
        seed: of the training's noise.
        epoch, number: of the batch.
        part: of this process.
        device: that the noise is drawn on.
    """
    rank = [part.rank] if part.ranks > 1 else []
    own = derive_seed(seed, "batch", epoch, number, *rank)
    torch.default_generator.manual_seed(own)  # torch.manual_seed takes a millisecond where there is no GPU
    if device.type == "cuda":
        torch.cuda.manual_seed(own)
