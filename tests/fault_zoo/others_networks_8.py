"""Networks with a fault: too much dropout, inputs spoiled or ignored, bottlenecks, steps without slope, no numbers."""

import timm
import torch
import torch.nn.functional as F
import torchvision
from torch import Tensor, nn

Shape = tuple[int, int, int]


class DrownedCnn(nn.Module):
    """Nineteen of twenty features are dropped, twice."""

    def __init__(self, image_shape: Shape, classes: int, p: float = 0.95) -> None:
        super().__init__()
        self.p = p
        self.conv1, self.conv2 = nn.Conv2d(image_shape[2], 16, 3, padding=1), nn.Conv2d(16, 32, 3, padding=1)
        self.fc1, self.fc2 = nn.Linear(32 * 16, 64), nn.Linear(64, classes)

    def forward(self, x: Tensor) -> Tensor:
        """Scores."""
        x = F.max_pool2d(F.relu(self.conv1(x)), 2)
        x = F.adaptive_max_pool2d(F.relu(self.conv2(x)), 4).flatten(1)
        x = F.dropout(x, self.p, self.training)
        return self.fc2(F.dropout(F.relu(self.fc1(x)), self.p, self.training))


def drowned_vit(image_shape: Shape, classes: int, rate: float = 0.95) -> nn.Module:
    """A transformer of timm with all its dropouts turned up."""
    return timm.models.VisionTransformer(
        img_size=image_shape[:2],
        patch_size=4,
        in_chans=image_shape[2],
        num_classes=classes,
        embed_dim=48,
        depth=2,
        num_heads=4,
        drop_rate=rate,
        pos_drop_rate=rate,
        proj_drop_rate=rate,
    )


class NormalizedAgain(nn.Module):
    """Treats its input as raw pixels though it was normalized already."""

    def __init__(self, image_shape: Shape, classes: int, way: str = "bytes") -> None:
        super().__init__()
        self.way = way
        self.conv1 = nn.Conv2d(image_shape[2], 16, 3, padding=1)
        self.conv2 = nn.Conv2d(16, 32, 3, stride=2, padding=1)
        self.fc1, self.fc2 = nn.Linear(32 * 16, 64), nn.Linear(64, classes)

    def forward(self, x: Tensor) -> Tensor:
        """Scores."""
        if self.way in ("bytes", "both"):
            x = x / 255.0
        if self.way in ("imagenet", "both"):
            x = (x - 0.449) / 0.226
        x = F.relu(self.conv2(F.relu(self.conv1(x))))
        return self.fc2(F.relu(self.fc1(F.adaptive_avg_pool2d(x, 4).flatten(1))))


class ImageNetResNet(torchvision.models.ResNet):
    """Torchvision's ResNet that divides by 255 and takes off the means of ImageNet first."""

    def __init__(self, image_shape: Shape, classes: int) -> None:
        super().__init__(torchvision.models.resnet.BasicBlock, [1, 1, 1, 1], num_classes=classes)
        self.conv1 = nn.Conv2d(image_shape[2], 64, 3, padding=1, bias=False)
        self.register_buffer("mean", torch.tensor([0.485, 0.456, 0.406]).view(1, 3, 1, 1))
        self.register_buffer("std", torch.tensor([0.229, 0.224, 0.225]).view(1, 3, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        """Scores."""
        return super().forward((x / 255 - self.mean) / self.std)


class BlindCnn(nn.Module):
    """A mistake on the way keeps the picture out of the scores."""

    def __init__(self, image_shape: Shape, classes: int, way: str = "zeros") -> None:
        super().__init__()
        self.way = way
        self.conv = nn.Conv2d(image_shape[2], 24, 3, padding=1)
        self.norm = nn.GroupNorm(4, 24)
        self.fc1, self.fc2 = nn.Linear(24, 32), nn.Linear(32, classes)
        self.gate = 0.0

    def forward(self, x: Tensor) -> Tensor:
        """Scores."""
        features = F.relu(self.norm(self.conv(x))).amax((2, 3))
        if self.way == "zeros":
            features = torch.zeros_like(features)
        elif self.way == "gate":
            features = self.gate * features
        elif self.way == "softmax_of_one":
            return self.fc2(F.relu(self.fc1(features.mean(1, keepdim=True).softmax(1).expand(-1, 24))))
        return self.fc2(F.relu(self.fc1(features)))


class UnaskedClassToken(nn.Module):
    """The head reads a class token that never looks at a patch: each step works on every token by itself."""

    def __init__(self, image_shape: Shape, classes: int, width: int = 48) -> None:
        super().__init__()
        self.embed = nn.Conv2d(image_shape[2], width, 4, stride=4)
        self.token = nn.Parameter(0.02 * torch.randn(1, 1, width))
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(2))
        self.ups = nn.ModuleList(nn.Linear(width, 2 * width) for _ in range(2))
        self.downs = nn.ModuleList(nn.Linear(2 * width, width) for _ in range(2))
        self.head = nn.Linear(width, classes)

    def forward(self, x: Tensor) -> Tensor:
        """Scores."""
        tokens = self.embed(x).flatten(2).mT
        tokens = torch.cat([self.token.expand(len(x), -1, -1), tokens], 1)
        for norm, up, down in zip(self.norms, self.ups, self.downs, strict=True):
            tokens = tokens + down(F.gelu(up(norm(tokens))))
        return self.head(tokens[:, 0])


class Narrow(nn.Module):
    """Everything the picture says is pressed into one number before the classes are told apart."""

    def __init__(self, image_shape: Shape, classes: int, way: str = "unit") -> None:
        super().__init__()
        self.way = way
        if way != "mean_pixel":
            self.conv1, self.conv2 = nn.Conv2d(image_shape[2], 24, 3, padding=1), nn.Conv2d(24, 48, 3, padding=1)
        if way == "unit":
            self.squeeze = nn.Linear(48 * 16, 1)
        self.head = nn.Linear(1, classes)

    def forward(self, x: Tensor) -> Tensor:
        """Scores."""
        if self.way == "mean_pixel":
            return self.head(x.mean((1, 2, 3))[:, None])
        x = F.max_pool2d(F.relu(self.conv1(x)), 2)
        x = F.relu(self.conv2(x))
        if self.way == "mean_feature":
            return self.head(x.mean((1, 2, 3)).unsqueeze(1))
        return self.head(self.squeeze(F.adaptive_max_pool2d(x, 4).flatten(1)).relu())


class Steps(nn.Module):
    """A step without slope lies between the first layers and the head."""

    def __init__(self, image_shape: Shape, classes: int, kind: str = "round") -> None:
        super().__init__()
        self.kind = kind
        self.conv1, self.conv2 = nn.Conv2d(image_shape[2], 24, 3, padding=1), nn.Conv2d(24, 32, 3, padding=1)
        self.norm1, self.norm2 = nn.GroupNorm(4, 24), nn.GroupNorm(4, 32)
        self.head = nn.Linear(32, classes)

    def step(self, x: Tensor) -> Tensor:
        """The step of that name."""
        if self.kind == "argmax":
            return F.one_hot(x.argmax(1), x.shape[1]).permute(0, 3, 1, 2).float()
        if self.kind == "mask":
            return (x > 0).float()
        return {"round": torch.round, "sign": torch.sign, "floor": torch.floor}[self.kind](x)

    def forward(self, x: Tensor) -> Tensor:
        """Scores."""
        x = self.step(F.max_pool2d(F.relu(self.norm1(self.conv1(x))), 2) if self.kind != "sign" else self.conv1(x))
        return self.head(F.relu(self.norm2(self.conv2(x))).mean((2, 3)))


class QuantizedTokens(nn.Module):
    """Patches are replaced by the nearest entry of a codebook, without letting gradients through."""

    def __init__(self, image_shape: Shape, classes: int, entries: int = 32) -> None:
        super().__init__()
        self.embed = nn.Conv2d(image_shape[2], 32, 4, stride=4)
        self.codebook = nn.Embedding(entries, 32)
        self.encoder = nn.TransformerEncoderLayer(32, 4, 64, batch_first=True, dropout=0.0)
        self.head = nn.Linear(32, classes)

    def forward(self, x: Tensor) -> Tensor:
        """Scores."""
        tokens = self.embed(x).flatten(2).mT
        nearest = torch.cdist(tokens, self.codebook.weight[None].expand(len(x), -1, -1)).argmin(-1)
        return self.head(self.encoder(self.codebook(nearest)).mean(1))


class NotANumber(nn.Module):
    """Steps that yield no finite number, going forward or back."""

    def __init__(self, image_shape: Shape, classes: int, kind: str = "log") -> None:
        super().__init__()
        self.kind = kind
        self.conv = nn.Conv2d(image_shape[2], 24, 3, padding=1)
        self.fc1, self.fc2 = nn.Linear(24, 48), nn.Linear(48, classes)

    def forward(self, x: Tensor) -> Tensor:
        """Scores."""
        if self.kind == "log":
            x = torch.log(x)
        x = self.conv(x)
        if self.kind == "exp":
            x = torch.exp(60 * x)
            x = x / x.sum(1, keepdim=True)
        x = F.relu(x).mean((2, 3))
        if self.kind == "root":
            x = torch.sqrt((x[:, :, None] - x[:, None, :]).square()).mean(2)
        if self.kind == "spread":
            x = x[:, :, None]
            x = ((x - x.mean(2, keepdim=True)) / x.std(2, keepdim=True)).squeeze(2)
        if self.kind == "zero_spread":
            x = (x - x.mean(1, keepdim=True)) * 0
            x = x / x.std(1, keepdim=True, unbiased=False)
        return self.fc2(F.relu(self.fc1(x)))
