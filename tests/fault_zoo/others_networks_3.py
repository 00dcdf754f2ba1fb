"""Unusual but sound networks: gates, recurrences, kernels, capsules, generated and shared weights."""

import math
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

Shape = tuple[int, int, int]


def pixels_of(image_shape: Shape) -> int:
    """How many numbers an image holds."""
    return math.prod(image_shape)


class SoftmaxRegression(nn.Module):
    """Scores straight from the pixels."""

    def __init__(self, image_shape: Shape, classes: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(classes, pixels_of(image_shape)))
        self.bias = nn.Parameter(torch.zeros(classes))

    def forward(self, x: Tensor) -> Tensor:
        """Scores."""
        return F.linear(x.flatten(1), self.weight, self.bias)


class SelfNormalisingMlp(nn.Module):
    """SELU with LeCun-normal weights."""

    def __init__(self, image_shape: Shape, classes: int, width: int = 96, depth: int = 4) -> None:
        super().__init__()
        sizes = [pixels_of(image_shape)] + [width] * depth
        self.body = nn.ModuleList(nn.Linear(i, o) for i, o in pairwise(sizes))
        self.out = nn.Linear(width, classes)
        for layer in self.body:
            nn.init.kaiming_normal_(layer.weight, nonlinearity="linear")
            nn.init.zeros_(layer.bias)

    def forward(self, x: Tensor) -> Tensor:
        """Scores."""
        x = x.flatten(1)
        for layer in self.body:
            x = F.selu(layer(x))
        return self.out(F.alpha_dropout(x, 0.05, self.training))


class SineMlp(nn.Module):
    """Sine layers with the frequencies and the starting weights of SIREN, kept moderate."""

    def __init__(self, image_shape: Shape, classes: int, omega: float = 3.0, width: int = 96) -> None:
        super().__init__()
        self.omega = omega
        inputs = pixels_of(image_shape)
        self.first, self.second = nn.Linear(inputs, width), nn.Linear(width, width)
        self.out = nn.Linear(width, classes)
        nn.init.uniform_(self.first.weight, -1 / math.sqrt(inputs), 1 / math.sqrt(inputs))
        bound = math.sqrt(6 / width) / omega
        nn.init.uniform_(self.second.weight, -bound, bound)

    def forward(self, x: Tensor) -> Tensor:
        """Scores."""
        x = torch.sin(self.first(x.flatten(1)))
        return self.out(torch.sin(self.omega * self.second(x)))


class LowRankMlp(nn.Module):
    """Wide layers held as products of two thin ones, with no activation between the factors on purpose."""

    def __init__(self, image_shape: Shape, classes: int, rank: int = 24, width: int = 128) -> None:
        super().__init__()
        self.a1 = nn.Linear(pixels_of(image_shape), rank, bias=False)
        self.b1 = nn.Linear(rank, width)
        self.a2 = nn.Linear(width, rank, bias=False)
        self.b2 = nn.Linear(rank, width)
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.out = nn.Linear(width, classes)

    def forward(self, x: Tensor) -> Tensor:
        """Scores."""
        x = F.relu(self.norm1(self.b1(self.a1(x.flatten(1)))))
        return self.out(F.relu(self.norm2(self.b2(self.a2(x)))))


class LoraLinear(nn.Module):
    """A linear layer plus a low-rank correction that starts at 0."""

    def __init__(self, inputs: int, outputs: int, rank: int = 4) -> None:
        super().__init__()
        self.base = nn.Linear(inputs, outputs)
        self.down = nn.Linear(inputs, rank, bias=False)
        self.up = nn.Linear(rank, outputs, bias=False)
        nn.init.zeros_(self.up.weight)

    def forward(self, x: Tensor) -> Tensor:
        """The sum of both ways."""
        return self.base(x) + self.up(self.down(x))


def lora_mlp(image_shape: Shape, classes: int) -> nn.Module:
    """A perceptron of such layers, all of them trained."""
    return nn.Sequential(
        nn.Flatten(),
        LoraLinear(pixels_of(image_shape), 96),
        nn.GELU(),
        LoraLinear(96, 96),
        nn.GELU(),
        LoraLinear(96, classes),
    )


class HighwayMlp(nn.Module):
    """Layers that carry or transform, by a gate biased to carry."""

    def __init__(self, image_shape: Shape, classes: int, width: int = 64, depth: int = 6) -> None:
        super().__init__()
        self.enter = nn.Linear(pixels_of(image_shape), width)
        self.transforms = nn.ModuleList(nn.Linear(width, width) for _ in range(depth))
        self.gates = nn.ModuleList(nn.Linear(width, width) for _ in range(depth))
        for gate in self.gates:
            nn.init.constant_(gate.bias, -1.0)
        self.out = nn.Linear(width, classes)

    def forward(self, x: Tensor) -> Tensor:
        """Scores."""
        x = torch.tanh(self.enter(x.flatten(1)))
        for transform, gate in zip(self.transforms, self.gates, strict=True):
            share = torch.sigmoid(gate(x))
            x = share * F.relu(transform(x)) + (1 - share) * x
        return self.out(x)


class MaxoutCnn(nn.Module):
    """Maxout by hand: the greatest of two maps for every channel."""

    def __init__(self, image_shape: Shape, classes: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(image_shape[2], 32, 5, padding=2)
        self.conv2 = nn.Conv2d(16, 64, 3, padding=1)
        self.norm1, self.norm2 = nn.BatchNorm2d(32), nn.BatchNorm2d(64)
        self.out = nn.Linear(32, classes)

    def forward(self, x: Tensor) -> Tensor:
        """Scores."""
        for conv, norm in ((self.conv1, self.norm1), (self.conv2, self.norm2)):
            x = F.max_pool2d(norm(conv(x)).unflatten(1, (-1, 2)).amax(2), 2)
        return self.out(x.mean((2, 3)))


class RowReader(nn.Module):
    """A recurrent layer that reads the rows of the image from top to bottom."""

    def __init__(self, image_shape: Shape, classes: int, kind: str = "gru", width: int = 64) -> None:
        super().__init__()
        _, wide, channels = image_shape
        cell = {"gru": nn.GRU, "lstm": nn.LSTM}[kind]
        self.rnn = cell(wide * channels, width, batch_first=True, bidirectional=True)
        self.out = nn.Linear(2 * width, classes)

    def forward(self, x: Tensor) -> Tensor:
        """Scores."""
        rows = x.permute(0, 2, 1, 3).flatten(2)
        return self.out(self.rnn(rows)[0].amax(1))


class RadialBasis(nn.Module):
    """Convolutional features, then closeness to learned centres, as scores in log space."""

    def __init__(self, image_shape: Shape, classes: int, centres: int = 4) -> None:
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(image_shape[2], 16, 3, padding=1), nn.Conv2d(16, 32, 3, padding=1)
        self.norm1, self.norm2 = nn.BatchNorm2d(16), nn.BatchNorm2d(32)
        self.centres = nn.Parameter(0.3 * torch.randn(classes, centres, 32))
        self.sharpness = nn.Parameter(torch.tensor(-2.0))

    def forward(self, x: Tensor) -> Tensor:
        """Scores: the soft maximum of minus the squared distances."""
        x = F.max_pool2d(F.relu(self.norm1(self.conv1(x))), 2)
        x = F.relu(self.norm2(self.conv2(x))).mean((2, 3))
        distance = (x[:, None, None, :] - self.centres).square().sum(-1)
        return torch.logsumexp(-self.sharpness.exp() * distance, dim=2)


class CosineHeadCnn(nn.Module):
    """Scores are cosines between feature and class vector, times a learned scale."""

    def __init__(self, image_shape: Shape, classes: int, scale: float = 10.0) -> None:
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(image_shape[2], 24, 3, padding=1), nn.Conv2d(24, 48, 3, padding=1)
        self.norm1, self.norm2 = nn.BatchNorm2d(24), nn.BatchNorm2d(48)
        self.vectors = nn.Parameter(torch.randn(classes, 48))
        self.log_scale = nn.Parameter(torch.tensor(math.log(scale)))

    def forward(self, x: Tensor) -> Tensor:
        """Scores."""
        x = F.max_pool2d(F.relu(self.norm1(self.conv1(x))), 2)
        x = self.norm2(self.conv2(x)).relu().mean((2, 3)) - 0.4
        return self.log_scale.exp() * F.normalize(x, dim=1) @ F.normalize(self.vectors, dim=1).t()


class BilinearPoolCnn(nn.Module):
    """Products of all pairs of maps, signed square root, normalized and scaled."""

    def __init__(self, image_shape: Shape, classes: int, width: int = 16) -> None:
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(image_shape[2], width, 3, padding=1), nn.Conv2d(width, width, 3, padding=1)
        self.norm1, self.norm2 = nn.BatchNorm2d(width), nn.BatchNorm2d(width)
        self.out = nn.Linear(width * width, classes)
        self.width = width

    def forward(self, x: Tensor) -> Tensor:
        """Scores."""
        x = F.max_pool2d(F.relu(self.norm1(self.conv1(x))), 2)
        x = F.relu(self.norm2(self.conv2(x))).flatten(2)
        pairs = (x @ x.mT / x.shape[-1]).flatten(1)
        pairs = torch.sqrt(pairs + 1e-5)
        return self.out(F.normalize(pairs, dim=1) * self.width)
