"""Convolutional networks in the manner of many authors: functional activations, own blocks, own norms."""

from collections import OrderedDict
from itertools import pairwise

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm, weight_norm

Shape = tuple[int, int, int]


class FunctionalCnn(nn.Module):
    """The tutorial network: convolutions, F.relu, F.max_pool2d, two linear layers."""

    def __init__(self, image_shape: Shape, classes: int, dropout: float = 0.25) -> None:
        super().__init__()
        height, width, channels = image_shape
        self.dropout = dropout
        self.conv1 = nn.Conv2d(channels, 16, 3, padding=1)
        self.conv2 = nn.Conv2d(16, 32, 3, padding=1)
        self.fc1 = nn.Linear(32 * (height // 4) * (width // 4), 64)
        self.fc2 = nn.Linear(64, classes)

    def forward(self, x: Tensor) -> Tensor:
        """Scores."""
        x = F.max_pool2d(F.relu(self.conv1(x)), 2)
        x = F.max_pool2d(F.relu(self.conv2(x)), 2)
        x = F.relu(self.fc1(torch.flatten(x, 1)))
        x = F.dropout(x, self.dropout, training=self.training)
        return self.fc2(x)


class LogSoftmaxCnn(FunctionalCnn):
    """The same, ending in log-probabilities, which cross-entropy leaves as they are."""

    def forward(self, x: Tensor) -> Tensor:
        """Log-probabilities."""
        return F.log_softmax(super().forward(x), dim=1)


class InPlaceCnn(nn.Module):
    """Batch norm with in-place torch.relu_, global mean, GroupNorm in the second half."""

    def __init__(self, image_shape: Shape, classes: int, width: int = 24) -> None:
        super().__init__()
        self.a = nn.Conv2d(image_shape[2], width, 3, padding=1, bias=False)
        self.na = nn.BatchNorm2d(width)
        self.b = nn.Conv2d(width, 2 * width, 3, stride=2, padding=1, bias=False)
        self.nb = nn.GroupNorm(4, 2 * width)
        self.c = nn.Conv2d(2 * width, 2 * width, 3, stride=2, padding=1, bias=False)
        self.nc = nn.InstanceNorm2d(2 * width, affine=True)
        self.out = nn.Linear(2 * width, classes)
        nn.init.normal_(self.out.weight, std=0.01)

    def forward(self, x: Tensor) -> Tensor:
        """Scores."""
        x = torch.relu_(self.na(self.a(x)))
        x = self.nb(self.b(x)).relu()
        x = self.nc(self.c(x)).clamp(min=0)
        return self.out(x.amax((2, 3)))


class PlainActivationCnn(nn.Module):
    """Three convolutions with batch norm around an activation chosen by name."""

    def __init__(self, image_shape: Shape, classes: int, activation: str = "gelu") -> None:
        super().__init__()
        self.activation = activation
        self.slope = nn.Parameter(torch.full((1,), 0.25)) if activation == "prelu" else None
        sizes = (image_shape[2], 16, 32, 48)
        self.convs = nn.ModuleList(nn.Conv2d(i, o, 3, padding=1) for i, o in pairwise(sizes))
        self.norms = nn.ModuleList(nn.BatchNorm2d(o) for o in sizes[1:])
        self.head = nn.Linear(48, classes)

    def act(self, x: Tensor) -> Tensor:
        """The activation of that name."""
        if self.activation == "squared_relu":
            return x.relu() ** 2
        if self.slope is not None:
            return F.prelu(x, self.slope)
        if self.activation == "sine":
            return torch.sin(x)
        return {
            "gelu": F.gelu,
            "tanh": torch.tanh,
            "mish": F.mish,
            "elu": F.elu,
            "swish": lambda v: v * v.sigmoid(),
            "hardswish": F.hardswish,
            "relu6": F.relu6,
            "softplus": F.softplus,
            "leaky": F.leaky_relu,
        }[self.activation](x)

    def forward(self, x: Tensor) -> Tensor:
        """Scores."""
        for conv, norm in zip(self.convs, self.norms, strict=True):
            x = F.avg_pool2d(self.act(norm(conv(x))), 2)
        return self.head(x.mean((-2, -1)))


class SqueezeExcite(nn.Module):
    """Channels weighted by a gate computed from their means."""

    def __init__(self, width: int, squeeze: int = 4) -> None:
        super().__init__()
        self.down = nn.Linear(width, width // squeeze)
        self.up = nn.Linear(width // squeeze, width)

    def forward(self, x: Tensor) -> Tensor:
        """The weighted maps."""
        gate = torch.sigmoid(self.up(F.relu(self.down(x.mean((2, 3))))))
        return x * gate[:, :, None, None]


class ResidualStep(nn.Module):
    """Two convolutions beside a shortcut; the last batch norm may start at gamma 0; the branch may be left out."""

    def __init__(self, width: int, *, zero_gamma: bool, drop: float, squeeze: bool) -> None:
        super().__init__()
        self.drop = drop
        self.conv1 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.se = SqueezeExcite(width) if squeeze else nn.Identity()
        if zero_gamma:
            nn.init.zeros_(self.bn2.weight)

    def forward(self, x: Tensor) -> Tensor:
        """Maps of the same size."""
        branch = self.se(self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x))))))
        if self.training and self.drop > 0:
            keep = torch.rand(x.shape[0], 1, 1, 1, device=x.device) >= self.drop
            branch = branch * keep / (1 - self.drop)
        return F.relu(x + branch)


def small_resnet(
    image_shape: Shape,
    classes: int,
    *,
    zero_gamma: bool = True,
    zero_head: bool = False,
    drop: float = 0.0,
    squeeze: bool = False,
    depth: int = 2,
) -> nn.Module:
    """A residual network with the options people add: zero gamma, zero head, stochastic depth, squeeze-excite."""
    layers: list[tuple[str, nn.Module]] = [("stem", nn.Conv2d(image_shape[2], 16, 3, padding=1))]
    width = 16
    for stage in range(2):
        for step in range(depth):
            options = {"zero_gamma": zero_gamma, "drop": drop * (stage + 1) / 2, "squeeze": squeeze}
            layers.append((f"stage{stage}_step{step}", ResidualStep(width, **options)))
        layers.append((f"down{stage}", nn.Conv2d(width, 2 * width, 2, stride=2)))
        width *= 2
    head = nn.Linear(width, classes)
    if zero_head:
        nn.init.zeros_(head.weight)
        nn.init.zeros_(head.bias)
    layers += [("pool", nn.AdaptiveAvgPool2d(1)), ("flat", nn.Flatten()), ("head", head)]
    return nn.Sequential(OrderedDict(layers))


class MobileLike(nn.Module):
    """Inverted bottlenecks: 1x1 up, depthwise, and a 1x1 down that has no activation on purpose (MobileNetV2)."""

    def __init__(self, image_shape: Shape, classes: int) -> None:
        super().__init__()
        self.stem = nn.Conv2d(image_shape[2], 16, 3, padding=1)
        self.blocks = nn.ModuleList(self.block(16, stride) for stride in (1, 2, 2))
        self.head = nn.Conv2d(16, classes, 1)

    @staticmethod
    def block(width: int, stride: int) -> nn.ModuleDict:
        """The parts of one inverted bottleneck."""
        inner = 4 * width
        return nn.ModuleDict(
            {
                "up": nn.Conv2d(width, inner, 1, bias=False),
                "up_norm": nn.BatchNorm2d(inner),
                "depth": nn.Conv2d(inner, inner, 3, stride, 1, groups=inner, bias=False),
                "depth_norm": nn.BatchNorm2d(inner),
                "down": nn.Conv2d(inner, width, 1, bias=False),
                "down_norm": nn.BatchNorm2d(width),
            }
        )

    def forward(self, x: Tensor) -> Tensor:
        """Scores."""
        x = self.stem(x)
        for part in self.blocks:
            y = F.relu6(part["up_norm"](part["up"](x)))
            y = F.relu6(part["depth_norm"](part["depth"](y)))
            y = part["down_norm"](part["down"](y))
            x = x + y if x.shape == y.shape else y
        return self.head(x).mean((2, 3))


class InceptionLike(nn.Module):
    """Branches of different reach, joined along the channels."""

    def __init__(self, image_shape: Shape, classes: int) -> None:
        super().__init__()
        channels = image_shape[2]
        self.branches1 = self.branches(channels)
        self.branches2 = self.branches(48)
        self.norm1, self.norm2 = nn.BatchNorm2d(48), nn.BatchNorm2d(48)
        self.classifier = nn.Linear(48, classes)

    @staticmethod
    def branches(channels: int) -> nn.ModuleDict:
        """Three convolutions of size 1, 3 and 5."""
        return nn.ModuleDict({f"conv{k}": nn.Conv2d(channels, 16, k, padding=k // 2) for k in (1, 3, 5)})

    def forward(self, x: Tensor) -> Tensor:
        """Scores."""
        for branches, norm in ((self.branches1, self.norm1), (self.branches2, self.norm2)):
            x = norm(torch.cat([branch(x) for branch in branches.values()], dim=1)).relu()
            x = F.max_pool2d(x, 2)
        return self.classifier(x.flatten(2).mean(-1))


def normed_weights_cnn(image_shape: Shape, classes: int, kind: str = "weight") -> nn.Module:
    """A network without norm layers whose weights are normed instead (weight norm or spectral norm)."""
    wrap = weight_norm if kind == "weight" else spectral_norm
    return nn.Sequential(
        wrap(nn.Conv2d(image_shape[2], 24, 3, padding=1)),
        nn.LeakyReLU(0.1),
        nn.MaxPool2d(2),
        wrap(nn.Conv2d(24, 48, 3, padding=1)),
        nn.LeakyReLU(0.1),
        nn.AdaptiveMaxPool2d(4),
        nn.Flatten(),
        wrap(nn.Linear(48 * 16, 64)),
        nn.LeakyReLU(0.1),
        nn.Linear(64, classes),
    )
