"""Networks of which a part starts at zero, so that it does nothing at first: heads, branches (Goyal et al. 2017)."""

import torch
from torch import Tensor, nn

WOKEN = 0.1  # std of the values that come in the place of zeros


def zero_parts(network: nn.Module) -> list[Tensor]:
    """Matrices and filters that are 0, and norms that scale by 0; none where every matrix is: that is no start."""
    matrices = [parameter for parameter in network.parameters() if parameter.ndim > 1]
    if not any(bool(matrix.any()) for matrix in matrices):
        return []
    scales = [
        weight
        for module in network.modules()
        if "Norm" in type(module).__name__ and isinstance(weight := getattr(module, "weight", None), Tensor)
    ]
    return [weight for weight in (*matrices, *scales) if not bool(weight.any())]


@torch.no_grad()
def wake(network: nn.Module, seed: int) -> None:
    """Give these parts small values, in place, for checks of what goes through them.

    Args:
        network: changed in place.
        seed: of the values.
    """
    generator = torch.Generator().manual_seed(seed)
    for part in zero_parts(network):
        part.copy_(WOKEN * torch.randn(part.shape, generator=generator))
