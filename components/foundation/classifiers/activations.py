"""The lecture's six activation functions (ledger row A1)."""

from torch import Tensor, nn

from sanefit.components.foundation.schemas.network_kind import Activation

MAXOUT_PIECES = 2


class Maxout(nn.Module):
    """The larger of each pair of channels (Goodfellow et al. 2013): half as many come out as go in."""

    def forward(self, inputs: Tensor) -> Tensor:
        """Float (images, 2 * channels, ...) to float (images, channels, ...)."""
        largest: Tensor = inputs.unflatten(1, (-1, MAXOUT_PIECES)).amax(dim=2)
        return largest


def activation(name: Activation) -> nn.Module:
    """A new module of that name."""
    match name:
        case "sigmoid":
            return nn.Sigmoid()
        case "tanh":
            return nn.Tanh()
        case "relu":
            return nn.ReLU()
        case "leaky_relu":
            return nn.LeakyReLU()
        case "elu":
            return nn.ELU()
        case "maxout":
            return Maxout()


def width_before(name: Activation, width: int) -> int:
    """How many values must enter an activation for ``width`` to come out."""
    return width * MAXOUT_PIECES if name == "maxout" else width
