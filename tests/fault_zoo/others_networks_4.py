"""More unusual but sound networks, and library models that people wrap."""

import timm
import torch
import torch.nn.functional as F
import torchvision
from torch import Tensor, nn
from torchvision.ops import StochasticDepth

Shape = tuple[int, int, int]


class SpatialTransformerCnn(nn.Module):
    """A small network looks where to look (starting at the identity), then another classifies what it sees."""

    def __init__(self, image_shape: Shape, classes: int) -> None:
        super().__init__()
        channels = image_shape[2]
        self.locate = nn.Sequential(
            nn.Conv2d(channels, 8, 5, stride=2),
            nn.ReLU(),
            nn.AdaptiveAvgPool2d(4),
            nn.Flatten(),
            nn.Linear(128, 16),
            nn.ReLU(),
            nn.Linear(16, 6),
        )
        nn.init.zeros_(self.locate[-1].weight)
        self.locate[-1].bias.data.copy_(torch.tensor([1.0, 0, 0, 0, 1, 0]))
        self.conv1, self.conv2 = nn.Conv2d(channels, 16, 3, padding=1), nn.Conv2d(16, 32, 3, padding=1)
        self.norm1, self.norm2 = nn.BatchNorm2d(16), nn.BatchNorm2d(32)
        self.out = nn.Linear(32 * 16, classes)

    def forward(self, x: Tensor) -> Tensor:
        """Scores."""
        grid = F.affine_grid(self.locate(x).view(-1, 2, 3), list(x.shape), align_corners=False)
        x = F.grid_sample(x, grid, align_corners=False)
        x = F.max_pool2d(F.relu(self.norm1(self.conv1(x))), 2)
        x = F.adaptive_max_pool2d(F.relu(self.norm2(self.conv2(x))), 4)
        return self.out(x.flatten(1))


class CapsuleLike(nn.Module):
    """Small vectors squashed to lengths under 1, then linear votes."""

    def __init__(self, image_shape: Shape, classes: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(image_shape[2], 32, 5, stride=2, padding=2)
        self.capsules = nn.Conv2d(32, 32, 5, stride=2, padding=2)
        with torch.no_grad():
            size = self.capsules(self.conv(torch.zeros(1, image_shape[2], *image_shape[:2]))).numel()
        self.votes = nn.Linear(size, classes)

    @staticmethod
    def squash(x: Tensor) -> Tensor:
        """Keeps directions, presses lengths below 1."""
        square = x.square().sum(-1, keepdim=True)
        return square / (1 + square) * x / torch.sqrt(square + 1e-6)

    def forward(self, x: Tensor) -> Tensor:
        """Scores."""
        x = self.capsules(F.relu(self.conv(x))).flatten(1).unflatten(1, (-1, 8))
        return self.votes(2 * self.squash(x).flatten(1))


class HyperCnn(nn.Module):
    """The filters of the second layer are generated from a learned code."""

    def __init__(self, image_shape: Shape, classes: int, width: int = 16, code: int = 8) -> None:
        super().__init__()
        self.width = width
        self.conv = nn.Conv2d(image_shape[2], width, 3, padding=1)
        self.code = nn.Parameter(torch.randn(code) / code**0.5)
        self.generate = nn.Linear(code, 2 * width * width * 9)
        nn.init.normal_(self.generate.weight, std=(2 / (width * 9)) ** 0.5)
        nn.init.zeros_(self.generate.bias)
        self.norm1, self.norm2 = nn.BatchNorm2d(width), nn.BatchNorm2d(2 * width)
        self.out = nn.Linear(2 * width, classes)

    def forward(self, x: Tensor) -> Tensor:
        """Scores."""
        x = F.max_pool2d(F.relu(self.norm1(self.conv(x))), 2)
        filters = self.generate(self.code).view(2 * self.width, self.width, 3, 3)
        x = F.relu(self.norm2(F.conv2d(x, filters, padding=1)))
        return self.out(x.mean((2, 3)))


class TiedCnn(nn.Module):
    """One and the same convolution is used three times, with a norm of its own each time."""

    def __init__(self, image_shape: Shape, classes: int, width: int = 32) -> None:
        super().__init__()
        self.stem = nn.Conv2d(image_shape[2], width, 3, padding=1)
        self.shared = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.norms = nn.ModuleList(nn.BatchNorm2d(width) for _ in range(3))
        self.out = nn.Linear(width, classes)
        nn.init.normal_(self.out.weight, std=0.01)

    def forward(self, x: Tensor) -> Tensor:
        """Scores."""
        x = F.avg_pool2d(F.relu(self.stem(x)), 2)
        for norm in self.norms:
            x = x + F.relu(norm(self.shared(x)))
        return self.out(F.adaptive_max_pool2d(x, 1).flatten(1))


def lazy_cnn(image_shape: Shape, classes: int) -> nn.Module:
    """Lazy layers, given their sizes by a dry run."""
    net = nn.Sequential(
        nn.LazyConv2d(16, 3, padding=1),
        nn.LazyBatchNorm2d(),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.LazyConv2d(32, 3, padding=1),
        nn.LazyBatchNorm2d(),
        nn.ReLU(),
        nn.AdaptiveMaxPool2d(3),
        nn.Flatten(),
        nn.LazyLinear(64),
        nn.ReLU(),
        nn.LazyLinear(classes),
    )
    net.eval()
    with torch.no_grad():
        net(torch.zeros(2, image_shape[2], image_shape[0], image_shape[1]))
    return net.train()


class NoisyCnn(nn.Module):
    """Adds a little noise to the features, in training only."""

    def __init__(self, image_shape: Shape, classes: int, noise: float = 0.1) -> None:
        super().__init__()
        self.noise = noise
        self.conv1, self.conv2 = nn.Conv2d(image_shape[2], 24, 3, padding=1), nn.Conv2d(24, 48, 3, padding=1)
        self.norm1, self.norm2 = nn.BatchNorm2d(24), nn.BatchNorm2d(48)
        self.out = nn.Linear(48, classes)
        nn.init.normal_(self.out.weight, std=0.02)
        nn.init.zeros_(self.out.bias)

    def forward(self, x: Tensor) -> Tensor:
        """Scores."""
        if self.training:
            x = x + self.noise * torch.randn_like(x)
        x = F.max_pool2d(F.relu(self.norm1(self.conv1(x))), 2)
        if self.training:
            x = x + self.noise * torch.randn_like(x)
        return self.out(F.relu(self.norm2(self.conv2(x))).amax((2, 3)))


class ReZeroCnn(nn.Module):
    """Residual branches scaled by a number that starts at 0, with torchvision's stochastic depth."""

    def __init__(self, image_shape: Shape, classes: int, depth: int = 4, width: int = 32) -> None:
        super().__init__()
        self.stem = nn.Conv2d(image_shape[2], width, 3, stride=2, padding=1)
        self.convs = nn.ModuleList(nn.Conv2d(width, width, 3, padding=1) for _ in range(depth))
        self.alphas = nn.Parameter(torch.zeros(depth))
        self.depth = StochasticDepth(0.1, "row")
        self.out = nn.Linear(width * 4, classes)

    def forward(self, x: Tensor) -> Tensor:
        """Scores."""
        x = F.relu(self.stem(x))
        for alpha, conv in zip(self.alphas, self.convs, strict=True):
            x = x + self.depth(alpha * F.relu(conv(x)))
        return self.out(F.adaptive_max_pool2d(x, 2).flatten(1))


class GatedCnn(nn.Module):
    """Gated linear units over channels, LayerNorm over the whole maps, no pooling but strides."""

    def __init__(self, image_shape: Shape, classes: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(image_shape[2], 48, 4, stride=2, padding=1)
        self.conv2 = nn.Conv2d(24, 64, 4, stride=2, padding=1)
        self.norm1, self.norm2 = nn.GroupNorm(1, 24), nn.GroupNorm(1, 32)
        self.out = nn.LazyLinear(classes)
        self(torch.zeros(1, image_shape[2], *image_shape[:2]))

    def forward(self, x: Tensor) -> Tensor:
        """Scores."""
        x = self.norm1(F.glu(self.conv1(x), dim=1))
        x = self.norm2(F.glu(self.conv2(x), dim=1))
        return self.out(x.flatten(1))


def enlarged(net: nn.Module, factor: int) -> nn.Module:
    """The network fed with enlarged images, as people do with networks made for large ones."""
    return nn.Sequential(nn.Upsample(scale_factor=factor, mode="bilinear", align_corners=False), net)


def timm_model(
    image_shape: Shape,
    classes: int,
    name: str = "resnet10t",
    factor: int = 1,
    sized: bool = False,
    **arguments: object,
) -> nn.Module:
    """A model of timm for this many classes and channels; ``sized``: told the size of the images too."""
    if sized:
        arguments["img_size"] = (image_shape[0] * factor, image_shape[1] * factor)
    net = timm.create_model(name, pretrained=False, num_classes=classes, in_chans=image_shape[2], **arguments)
    return enlarged(net, factor) if factor > 1 else net


def timm_mixer(image_shape: Shape, classes: int) -> nn.Module:
    """A small mixer from the class of timm."""
    return timm.models.MlpMixer(
        num_classes=classes,
        img_size=image_shape[0],
        in_chans=image_shape[2],
        patch_size=4,
        num_blocks=3,
        embed_dim=64,
    )


def torchvision_model(image_shape: Shape, classes: int, name: str = "resnet18", factor: int = 1) -> nn.Module:
    """A model of torchvision; the first convolution is replaced where the images are grey."""
    extra = {"aux_logits": False, "init_weights": True} if name == "googlenet" else {}
    net = torchvision.models.get_model(name, weights=None, num_classes=classes, **extra)
    if image_shape[2] != 3:
        parent_name, module = next((n, m) for n, m in net.named_modules() if isinstance(m, nn.Conv2d))
        parent = net.get_submodule(parent_name.rpartition(".")[0])
        first = nn.Conv2d(image_shape[2], module.out_channels, module.kernel_size, module.stride, module.padding)
        setattr(parent, parent_name.rpartition(".")[2], first)
    return enlarged(net, factor) if factor > 1 else net


def cifar_resnet18(image_shape: Shape, classes: int) -> nn.Module:
    """Torchvision's resnet18 with the small stem people give it for small images."""
    net = torchvision.models.resnet18(num_classes=classes, zero_init_residual=True)
    net.conv1 = nn.Conv2d(image_shape[2], 64, 3, padding=1, bias=False)
    net.maxpool = nn.Identity()
    return net


def torchvision_vit(image_shape: Shape, classes: int) -> nn.Module:
    """Torchvision's VisionTransformer in small (its head starts at 0)."""
    return torchvision.models.VisionTransformer(
        image_size=image_shape[0],
        patch_size=4,
        num_layers=3,
        num_heads=4,
        hidden_dim=64,
        mlp_dim=128,
        num_classes=classes,
    )
