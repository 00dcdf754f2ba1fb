"""One step down the gradient, and the loss that it follows."""

from collections.abc import Callable

import torch
from torch import Tensor

Loss = Callable[[Tensor, Tensor], Tensor]  # of scores (images, classes) and labels (images,), a scalar
Step = Callable[[torch.optim.Optimizer, Tensor], None]


def gradient_step(optimizer: torch.optim.Optimizer, loss: Tensor) -> None:
    """Change the optimizer's weights once, by the gradient of a scalar loss."""
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
