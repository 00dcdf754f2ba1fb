"""Networks with a fault: starting weights, depth, registration, frozen or cut-off parts."""

import timm
import torch
import torch.nn.functional as F
import torchvision
from torch import Tensor, nn

Shape = tuple[int, int, int]


def pixels_of(image_shape: Shape) -> int:
    """How many numbers an image holds."""
    return image_shape[0] * image_shape[1] * image_shape[2]


class DeepMlp(nn.Module):
    """Many equal layers without norm or shortcut, with the activation and the starting spread given."""

    def __init__(
        self,
        image_shape: Shape,
        classes: int,
        depth: int = 12,
        width: int = 64,
        act: str = "sigmoid",
        gain: float | None = None,
    ) -> None:
        super().__init__()
        self.act = {"sigmoid": torch.sigmoid, "relu": torch.relu, "tanh": torch.tanh}[act]
        self.first = nn.Linear(pixels_of(image_shape), width)
        self.hidden = nn.ModuleList(nn.Linear(width, width) for _ in range(depth))
        self.last = nn.Linear(width, classes)
        for layer in self.hidden if gain is not None else ():
            nn.init.normal_(layer.weight, std=gain / width**0.5)
            nn.init.zeros_(layer.bias)

    def forward(self, x: Tensor) -> Tensor:
        """Scores."""
        x = self.act(self.first(x.flatten(1)))
        for layer in self.hidden:
            x = self.act(layer(x))
        return self.last(x)


class SwellingResidual(nn.Module):
    """Residual steps without norm whose branches are doubled: the signal grows with every step."""

    def __init__(self, image_shape: Shape, classes: int, depth: int = 16) -> None:
        super().__init__()
        self.stem = nn.Conv2d(image_shape[2], 24, 3, stride=2, padding=1)
        self.convs = nn.ModuleList(nn.Conv2d(24, 24, 3, padding=1) for _ in range(depth))
        for conv in self.convs:
            nn.init.kaiming_normal_(conv.weight)
        self.out = nn.Linear(24, classes)

    def forward(self, x: Tensor) -> Tensor:
        """Scores."""
        x = F.relu(self.stem(x))
        for conv in self.convs:
            x = x + 2 * F.relu(conv(x))
        return self.out(x.mean((2, 3)))


class AveragingTransformer(nn.Module):
    """Attention without shortcuts: layer by layer all tokens, then all images, become alike."""

    def __init__(self, image_shape: Shape, classes: int, depth: int = 8, width: int = 48) -> None:
        super().__init__()
        self.embed = nn.Conv2d(image_shape[2], width, 4, stride=4)
        self.layers = nn.ModuleList(nn.MultiheadAttention(width, 4, batch_first=True) for _ in range(depth))
        self.head = nn.Linear(width, classes)

    def forward(self, x: Tensor) -> Tensor:
        """Scores."""
        x = self.embed(x).flatten(2).transpose(1, 2)
        for layer in self.layers:
            x = layer(x, x, x, need_weights=False)[0]
        return self.head(x.mean(1))


def loud_network(image_shape: Shape, classes: int, kind: str = "head") -> nn.Module:
    """A network of torchvision or timm whose weights were drawn far too wide, in the head or throughout."""
    if kind == "head":
        net = torchvision.models.resnet18(num_classes=classes)
        net.conv1 = nn.Conv2d(image_shape[2], 64, 3, padding=1, bias=False)
        nn.init.normal_(net.fc.weight, std=5.0)
        return net
    net = timm.models.VisionTransformer(
        img_size=image_shape[:2],
        patch_size=4,
        in_chans=image_shape[2],
        num_classes=classes,
        embed_dim=48,
        depth=2,
        num_heads=4,
    )
    for module in net.modules():
        if isinstance(module, nn.Linear):
            nn.init.normal_(module.weight, std=1.0)
    return net


class AllAlike(nn.Module):
    """Every weight of the body starts at one and the same value; at 0 the head does too."""

    def __init__(self, image_shape: Shape, classes: int, value: float = 0.01) -> None:
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(image_shape[2], 16, 3, padding=1), nn.Conv2d(16, 32, 3, padding=1)
        self.fc1, self.fc2 = nn.Linear(32 * 16, 64), nn.Linear(64, classes)
        for layer in (self.conv1, self.conv2, self.fc1, *([self.fc2] if value == 0 else [])):
            nn.init.constant_(layer.weight, value)
            nn.init.zeros_(layer.bias)

    def forward(self, x: Tensor) -> Tensor:
        """Scores."""
        x = F.max_pool2d(F.relu(self.conv1(x)), 2)
        x = F.adaptive_avg_pool2d(F.relu(self.conv2(x)), 4).flatten(1)
        return self.fc2(F.relu(self.fc1(x)))


class ListOfBlocks(nn.Module):
    """Hidden layers kept in a plain list, so the optimizer never sees them."""

    def __init__(self, image_shape: Shape, classes: int, depth: int = 3) -> None:
        super().__init__()
        channels = [image_shape[2]] + [24] * depth
        self.convs = [nn.Conv2d(channels[i], channels[i + 1], 3, padding=1) for i in range(depth)]
        self.norms = {i: nn.GroupNorm(4, 24) for i in range(depth)}
        self.head = nn.Linear(24, classes)

    def forward(self, x: Tensor) -> Tensor:
        """Scores."""
        for i, conv in enumerate(self.convs):
            x = F.relu(self.norms[i](conv(x)))
        return self.head(x.mean((2, 3)))


class LooseTensors(nn.Module):
    """Weights are tensors that ask for gradients but are no Parameters."""

    def __init__(self, image_shape: Shape, classes: int, width: int = 96) -> None:
        super().__init__()
        inputs = pixels_of(image_shape)
        self.w1 = (torch.randn(inputs, width) / inputs**0.5).requires_grad_()
        self.b1 = torch.zeros(width, requires_grad=True)
        self.head = nn.Linear(width, classes)

    def forward(self, x: Tensor) -> Tensor:
        """Scores."""
        return self.head(F.relu(x.flatten(1) @ self.w1 + self.b1))


class AnewEveryTime(nn.Module):
    """Makes its middle layer anew at every call, so that it never learns."""

    def __init__(self, image_shape: Shape, classes: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(image_shape[2], 16, 3, padding=1)
        self.head = nn.Linear(64, classes)

    def forward(self, x: Tensor) -> Tensor:
        """Scores."""
        x = F.adaptive_avg_pool2d(F.relu(self.conv(x)), 4).flatten(1)
        x = F.relu(nn.Linear(x.shape[1], 64).to(x.device)(x))
        return self.head(x)


def frozen_body(image_shape: Shape, classes: int, source: str = "timm") -> nn.Module:
    """A recipe for fine-tuning, applied to a body that holds nothing but random weights."""
    if source == "timm":
        net = timm.create_model("resnet10t", num_classes=classes, in_chans=image_shape[2], pretrained=False)
        for name, parameter in net.named_parameters():
            parameter.requires_grad = name.startswith("fc")
        return net
    net = torchvision.models.mobilenet_v3_small(weights=None, num_classes=classes)
    net.features[0][0] = nn.Conv2d(image_shape[2], 16, 3, stride=2, padding=1, bias=False)
    net.features.requires_grad_(False)
    return net


class FrozenTransformer(nn.Module):
    """A hand-written encoder that is frozen though it was never trained."""

    def __init__(self, image_shape: Shape, classes: int) -> None:
        super().__init__()
        self.embed = nn.Conv2d(image_shape[2], 48, 4, stride=4)
        self.encoder = nn.TransformerEncoderLayer(48, 4, 96, batch_first=True, dropout=0.0)
        self.head = nn.Linear(48, classes)
        for part in (self.embed, self.encoder):
            part.requires_grad_(False)

    def forward(self, x: Tensor) -> Tensor:
        """Scores."""
        return self.head(self.encoder(self.embed(x).flatten(2).mT).mean(1))


class CutOff(nn.Module):
    """The features reach the head by a way that gradients cannot take back."""

    def __init__(self, image_shape: Shape, classes: int, way: str = "detach") -> None:
        super().__init__()
        self.way = way
        self.conv1, self.conv2 = nn.Conv2d(image_shape[2], 24, 3, padding=1), nn.Conv2d(24, 48, 3, padding=1)
        self.bn1, self.bn2 = nn.BatchNorm2d(24), nn.BatchNorm2d(48)
        self.hidden, self.head = nn.Linear(48, 48), nn.Linear(48, classes)

    def features(self, x: Tensor) -> Tensor:
        """Means of the maps."""
        x = F.max_pool2d(F.relu(self.bn1(self.conv1(x))), 2)
        return F.relu(self.bn2(self.conv2(x))).mean((2, 3))

    def forward(self, x: Tensor) -> Tensor:
        """Scores."""
        if self.way == "no_grad":
            with torch.no_grad():
                x = self.features(x)
        else:
            x = self.features(x)
        if self.way == "detach":
            x = x.detach()
        elif self.way == "data":
            x = x.data
        elif self.way == "numpy":
            x = torch.from_numpy(x.detach().cpu().numpy()).to(x.device)
        elif self.way == "tensor":
            x = torch.tensor(x.tolist(), device=x.device)
        return self.head(F.relu(self.hidden(x)))
