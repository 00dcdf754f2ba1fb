"""Networks with a fault: images that mix, batch norm misused, chance in evaluation, training unlike evaluation."""

import timm
import torch
import torch.nn.functional as F
import torchvision
from torch import Tensor, nn

Shape = tuple[int, int, int]


class SoftmaxOverImages(nn.Module):
    """Attention pooling whose softmax runs over the images of the batch instead of the places."""

    def __init__(self, image_shape: Shape, classes: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(image_shape[2], 32, 4, stride=4)
        self.norm = nn.LayerNorm(32)
        self.query = nn.Linear(32, 1)
        self.head = nn.Linear(32, classes)

    def forward(self, x: Tensor) -> Tensor:
        """Scores."""
        tokens = F.gelu(self.norm(self.conv(x).flatten(2).mT))
        weights = torch.softmax(self.query(tokens), dim=0)
        return self.head((weights * tokens).sum(1))


class CentredByHand(nn.Module):
    """Features are centred (and scaled) by the statistics of whatever batch they come in."""

    def __init__(self, image_shape: Shape, classes: int, scaled: bool = False) -> None:
        super().__init__()
        self.scaled = scaled
        self.conv1, self.conv2 = nn.Conv2d(image_shape[2], 16, 3, padding=1), nn.Conv2d(16, 32, 3, padding=1)
        self.head = nn.Linear(32, classes)

    def forward(self, x: Tensor) -> Tensor:
        """Scores."""
        x = F.max_pool2d(F.relu(self.conv1(x)), 2)
        x = F.relu(self.conv2(x)).mean((2, 3))
        x = x - x.mean(0)
        if self.scaled:
            x = x / (x.pow(2).mean(0) + 1e-5).sqrt()
        return self.head(x)


class AttentionAcrossImages(nn.Module):
    """Tokens come as (images, tokens, width) into an attention that takes the first axis for the sequence."""

    def __init__(self, image_shape: Shape, classes: int, kind: str = "attention") -> None:
        super().__init__()
        self.embed = nn.Conv2d(image_shape[2], 48, 4, stride=4)
        self.kind = kind
        if kind == "encoder":
            self.layer: nn.Module = nn.TransformerEncoderLayer(48, 4, 96, dropout=0.0)
        else:
            self.layer = nn.MultiheadAttention(48, 4)
        self.norm = nn.LayerNorm(48)
        self.head = nn.Linear(48, classes)

    def forward(self, x: Tensor) -> Tensor:
        """Scores."""
        tokens = F.gelu(self.embed(x)).flatten(2).transpose(1, 2)
        if self.kind == "encoder":
            tokens = self.layer(tokens)
        else:
            tokens = tokens + self.layer(tokens, tokens, tokens, need_weights=False)[0]
        return self.head(self.norm(tokens.mean(1)))


class RowsAcrossImages(nn.Module):
    """A GRU without batch_first: it walks from image to image."""

    def __init__(self, image_shape: Shape, classes: int) -> None:
        super().__init__()
        self.rnn = nn.GRU(image_shape[1] * image_shape[2], 64)
        self.head = nn.Linear(64, classes)

    def forward(self, x: Tensor) -> Tensor:
        """Scores."""
        rows = x.permute(0, 2, 3, 1).flatten(2)
        return self.head(self.rnn(rows)[0].mean(1))


class WrongView(nn.Module):
    """Channels are moved first, then the batch is restored by a reshape that shuffles images into each other."""

    def __init__(self, image_shape: Shape, classes: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(image_shape[2], 16, 3, padding=1)
        self.norm = nn.GroupNorm(4, 16)
        self.fc1, self.fc2 = nn.Linear(16 * 16, 64), nn.Linear(64, classes)

    def forward(self, x: Tensor) -> Tensor:
        """Scores."""
        x = F.adaptive_max_pool2d(F.relu(self.norm(self.conv(x))), 4)
        x = x.permute(1, 0, 2, 3).reshape(len(x), -1)
        return self.fc2(F.relu(self.fc1(x)))


def batch_normed(image_shape: Shape, classes: int, momentum: float = 0.1, track: bool = True) -> nn.Module:
    """A ResNet of torchvision whose batch norms were given options that break evaluation."""

    def norm(width: int) -> nn.Module:
        return nn.BatchNorm2d(width, momentum=momentum, track_running_stats=track)

    net = torchvision.models.ResNet(
        torchvision.models.resnet.BasicBlock, [1, 1, 1, 1], num_classes=classes, norm_layer=norm
    )
    net.conv1 = nn.Conv2d(image_shape[2], 64, 3, padding=1, bias=False)
    return net


class NormsForcedToEvaluate(nn.Module):
    """Batch norms are kept in evaluation mode in training too, though their statistics were never learned."""

    def __init__(self, image_shape: Shape, classes: int) -> None:
        super().__init__()
        self.net = timm.create_model("resnet10t", num_classes=classes, in_chans=image_shape[2])

    def train(self, mode: bool = True) -> "NormsForcedToEvaluate":
        """Switches all parts but the norms."""
        super().train(mode)
        for module in self.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.eval()
        return self

    def forward(self, x: Tensor) -> Tensor:
        """Scores."""
        return self.net(x)


class FunctionalBatchStatistics(nn.Module):
    """F.batch_norm with training=True at all times: evaluation depends on the batch."""

    def __init__(self, image_shape: Shape, classes: int) -> None:
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(image_shape[2], 24, 3, padding=1), nn.Conv2d(24, 48, 3, padding=1)
        self.scale1, self.scale2 = nn.Parameter(torch.ones(24)), nn.Parameter(torch.ones(48))
        self.head = nn.Linear(48, classes)

    def forward(self, x: Tensor) -> Tensor:
        """Scores."""
        x = F.relu(F.batch_norm(self.conv1(x), None, None, self.scale1, training=True))
        x = F.relu(F.batch_norm(self.conv2(F.max_pool2d(x, 2)), None, None, self.scale2, training=True))
        return self.head(x.mean((2, 3)))


class ChanceInEvaluation(nn.Module):
    """Dropout, noise or shifts that do not stop when training does."""

    def __init__(self, image_shape: Shape, classes: int, kind: str = "dropout") -> None:
        super().__init__()
        self.kind = kind
        self.conv1, self.conv2 = nn.Conv2d(image_shape[2], 24, 3, padding=1), nn.Conv2d(24, 48, 3, padding=1)
        self.norm1, self.norm2 = nn.GroupNorm(4, 24), nn.GroupNorm(4, 48)
        self.head = nn.Linear(48, classes)
        nn.init.normal_(self.head.weight, std=0.02)

    def forward(self, x: Tensor) -> Tensor:
        """Scores."""
        if self.kind == "shift":
            shift = [int(v) for v in torch.randint(-4, 5, (2,))]
            x = torch.roll(x, shift, dims=(2, 3))
        x = F.max_pool2d(F.relu(self.norm1(self.conv1(x))), 2)
        x = F.relu(self.norm2(self.conv2(x))).amax((2, 3))
        if self.kind == "dropout":
            x = F.dropout(x, p=0.5)
        elif self.kind == "noise":
            x = x + 0.5 * torch.randn_like(x)
        return self.head(x)


class VitThatAlwaysDrops(nn.Module):
    """Tokens are dropped by chance at every call, in evaluation as well."""

    def __init__(self, image_shape: Shape, classes: int, kept: float = 0.5) -> None:
        super().__init__()
        self.kept = kept
        self.embed = nn.Conv2d(image_shape[2], 48, 4, stride=4)
        count = (image_shape[0] // 4) * (image_shape[1] // 4)
        self.positions = nn.Parameter(0.02 * torch.randn(1, count, 48))
        self.encoder = nn.TransformerEncoderLayer(48, 4, 96, batch_first=True, dropout=0.0)
        self.head = nn.Linear(48, classes)

    def forward(self, x: Tensor) -> Tensor:
        """Scores."""
        tokens = self.embed(x).flatten(2).mT + self.positions
        order = torch.randperm(tokens.shape[1], device=x.device)[: int(self.kept * tokens.shape[1])]
        return self.head(self.encoder(tokens[:, order]).mean(1))


class TrainingUnlikeEvaluation(nn.Module):
    """What the network sees or does in training is not what it sees or does in evaluation."""

    def __init__(self, image_shape: Shape, classes: int, kind: str = "dropout") -> None:
        super().__init__()
        self.kind = kind
        self.conv1, self.conv2 = nn.Conv2d(image_shape[2], 24, 3, padding=1), nn.Conv2d(24, 48, 3, padding=1)
        self.fc1, self.fc2 = nn.Linear(48 * 16, 64), nn.Linear(64, classes)

    def forward(self, x: Tensor) -> Tensor:
        """Scores."""
        if self.kind == "scale" and self.training:
            x = x / 4 + 1
        if self.kind == "negative" and not self.training:
            x = -x
        if self.kind == "turned" and not self.training:
            x = x.transpose(2, 3)
        x = F.max_pool2d(F.relu(self.conv1(x)), 2)
        x = F.adaptive_avg_pool2d(F.relu(self.conv2(x)), 4).flatten(1)
        if self.kind == "dropout" and self.training:
            x = x * (torch.rand_like(x) < 0.3)
        x = F.relu(self.fc1(x))
        if self.kind == "dropout" and self.training:
            x = x * (torch.rand_like(x) < 0.3)
        return self.fc2(x)
