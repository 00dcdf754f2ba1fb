"""Networks with a fault: scores that are squashed or wrongly shaped, activations missing, saturated or dead."""

import timm
import torch
import torch.nn.functional as F
import torchvision
from torch import Tensor, nn

Shape = tuple[int, int, int]


class SquashedCnn(nn.Module):
    """A functional network that squashes its scores by a function chosen by name."""

    def __init__(self, image_shape: Shape, classes: int, last: str = "softmax") -> None:
        super().__init__()
        self.last = last
        self.conv1, self.conv2 = nn.Conv2d(image_shape[2], 16, 3, padding=1), nn.Conv2d(16, 32, 3, padding=1)
        self.bn1, self.bn2 = nn.BatchNorm2d(16), nn.BatchNorm2d(32)
        self.fc = nn.Linear(32 * 4, classes)

    def forward(self, x: Tensor) -> Tensor:
        """Scores, squashed."""
        x = F.max_pool2d(F.relu(self.bn1(self.conv1(x))), 2)
        x = F.adaptive_max_pool2d(F.relu(self.bn2(self.conv2(x))), 2)
        x = self.fc(x.flatten(1))
        if self.last == "softmax":
            return F.softmax(x, dim=-1)
        if self.last == "normalize":
            return F.normalize(x, dim=1)
        functions = {
            "sigmoid": torch.sigmoid,
            "tanh": torch.tanh,
            "relu6": F.relu6,
            "logsigmoid": F.logsigmoid,
            "softsign": F.softsign,
            "hardtanh": F.hardtanh,
            "hardsigmoid": F.hardsigmoid,
        }
        return functions[self.last](x)


class CosineWithoutScale(nn.Module):
    """A cosine head whose scale was forgotten, so that scores lie between -1 and 1."""

    def __init__(self, image_shape: Shape, classes: int) -> None:
        super().__init__()
        self.body = timm.create_model("resnet10t", num_classes=0, in_chans=image_shape[2])
        self.vectors = nn.Parameter(torch.randn(classes, self.body.num_features))

    def forward(self, x: Tensor) -> Tensor:
        """Cosines."""
        return F.linear(F.normalize(self.body(x), dim=1), F.normalize(self.vectors, dim=1))


class ResNetWithReluScores(torchvision.models.ResNet):
    """Torchvision's ResNet, subclassed, with a relu after the last layer."""

    def __init__(self, image_shape: Shape, classes: int) -> None:
        super().__init__(torchvision.models.resnet.BasicBlock, [1, 1, 1, 1], num_classes=classes)
        self.conv1 = nn.Conv2d(image_shape[2], 64, 3, padding=1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Scores without those below 0."""
        return super().forward(x).relu()


class VitWithProbabilities(nn.Module):
    """A transformer of timm whose scores are made probabilities before the loss does so again."""

    def __init__(self, image_shape: Shape, classes: int) -> None:
        super().__init__()
        self.vit = timm.models.VisionTransformer(
            img_size=image_shape[:2],
            patch_size=4,
            in_chans=image_shape[2],
            num_classes=classes,
            embed_dim=48,
            depth=2,
            num_heads=4,
        )

    def forward(self, x: Tensor) -> Tensor:
        """Probabilities."""
        return self.vit(x).softmax(dim=1)


class ForgottenActivations(nn.Module):
    """Convolutions and linear layers without anything nonlinear between them."""

    def __init__(self, image_shape: Shape, classes: int) -> None:
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(image_shape[2], 16, 3, padding=1), nn.Conv2d(16, 32, 3, padding=1)
        self.conv3 = nn.Conv2d(32, 32, 3, padding=1)
        self.fc = nn.Linear(32, classes)

    def forward(self, x: Tensor) -> Tensor:
        """Scores that are linear in the pixels."""
        x = F.avg_pool2d(self.conv1(x), 2)
        x = F.avg_pool2d(self.conv2(x), 2)
        return self.fc(self.conv3(x).mean((2, 3)))


class DiscardedActivations(nn.Module):
    """Calls F.relu but does not keep what it returns."""

    def __init__(self, image_shape: Shape, classes: int, width: int = 96) -> None:
        super().__init__()
        self.fc1 = nn.Linear(image_shape[0] * image_shape[1] * image_shape[2], width)
        self.fc2, self.fc3 = nn.Linear(width, width), nn.Linear(width, classes)

    def forward(self, x: Tensor) -> Tensor:
        """Scores that are linear in the pixels."""
        x = self.fc1(x.flatten(1))
        F.relu(x)
        x = self.fc2(x)
        torch.relu(x)
        return self.fc3(x)


class OneForgottenActivation(nn.Module):
    """Three hidden layers of one width; the activation between the second and the third is missing."""

    def __init__(self, image_shape: Shape, classes: int, width: int = 128) -> None:
        super().__init__()
        self.conv = nn.Conv2d(image_shape[2], 16, 3, stride=2, padding=1)
        self.fc1, self.fc2 = nn.LazyLinear(width), nn.Linear(width, width)
        self.fc3 = nn.Linear(width, classes)
        with torch.no_grad():
            self(torch.zeros(1, image_shape[2], *image_shape[:2]))

    def forward(self, x: Tensor) -> Tensor:
        """Scores."""
        x = F.relu(self.conv(x)).flatten(1)
        x = self.fc2(self.fc1(x))
        return self.fc3(F.relu(x))


class LinearTransformerMlp(nn.Module):
    """Residual perceptrons over patches whose gelu was forgotten; nothing else bends the map."""

    def __init__(self, image_shape: Shape, classes: int, width: int = 48) -> None:
        super().__init__()
        self.embed = nn.Conv2d(image_shape[2], width, 4, stride=4)
        self.ups = nn.ModuleList(nn.Linear(width, 2 * width) for _ in range(3))
        self.downs = nn.ModuleList(nn.Linear(2 * width, width) for _ in range(3))
        self.head = nn.Linear(width, classes)

    def forward(self, x: Tensor) -> Tensor:
        """Scores."""
        x = self.embed(x).flatten(2).mT
        for up, down in zip(self.ups, self.downs, strict=True):
            x = x + down(up(x))
        return self.head(x.mean(1))


class SteepCnn(nn.Module):
    """tanh or sigmoid behind a huge gain, so that hardly any unit is off its flat ends."""

    def __init__(self, image_shape: Shape, classes: int, kind: str = "tanh", gain: float = 100.0) -> None:
        super().__init__()
        self.act = {"tanh": torch.tanh, "sigmoid": torch.sigmoid}[kind]
        self.gain = gain
        self.conv1, self.conv2 = nn.Conv2d(image_shape[2], 16, 3, padding=1), nn.Conv2d(16, 32, 3, padding=1)
        self.fc1, self.fc2 = nn.Linear(32 * 16, 64), nn.Linear(64, classes)

    def forward(self, x: Tensor) -> Tensor:
        """Scores."""
        x = self.act(self.gain * self.conv1(x))
        x = F.avg_pool2d(self.act(self.gain * self.conv2(x)), 2)
        x = F.adaptive_avg_pool2d(x, 4).flatten(1)
        return self.fc2(self.act(self.gain * self.fc1(x)))


class WideStartMlp(nn.Module):
    """A tanh perceptron whose hidden weights start with a spread of 1, far into the flat ends."""

    def __init__(self, image_shape: Shape, classes: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(image_shape[0] * image_shape[1] * image_shape[2], 128)
        self.fc2, self.fc3 = nn.Linear(128, 128), nn.Linear(128, classes)
        for layer in (self.fc1, self.fc2):
            nn.init.normal_(layer.weight, std=3.0)

    def forward(self, x: Tensor) -> Tensor:
        """Scores."""
        return self.fc3(torch.tanh(self.fc2(torch.tanh(self.fc1(x.flatten(1))))))


class DeadCnn(nn.Module):
    """Biases start so low that F.relu lets next to nothing through."""

    def __init__(self, image_shape: Shape, classes: int, bias: float = -4.0) -> None:
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(image_shape[2], 16, 3, padding=1), nn.Conv2d(16, 32, 3, padding=1)
        self.fc1, self.fc2 = nn.Linear(32 * 16, 64), nn.Linear(64, classes)
        for layer in (self.conv1, self.conv2, self.fc1):
            nn.init.constant_(layer.bias, bias)

    def forward(self, x: Tensor) -> Tensor:
        """Scores."""
        x = F.max_pool2d(F.relu(self.conv1(x)), 2)
        x = F.adaptive_max_pool2d(F.relu(self.conv2(x)), 4).flatten(1)
        return self.fc2(F.relu(self.fc1(x)))


class ThresholdedMlp(nn.Module):
    """x - 6 before every clamp at 0: a threshold hardly any unit reaches."""

    def __init__(self, image_shape: Shape, classes: int, threshold: float = 6.0) -> None:
        super().__init__()
        self.threshold = threshold
        self.fc1 = nn.Linear(image_shape[0] * image_shape[1] * image_shape[2], 128)
        self.norm = nn.LayerNorm(128)
        self.fc2 = nn.Linear(128, classes)

    def forward(self, x: Tensor) -> Tensor:
        """Scores."""
        return self.fc2((self.norm(self.fc1(x.flatten(1))) - self.threshold).clamp(min=0))


class OddOutputs(nn.Module):
    """A sound network that hands its scores over in a form cross-entropy does not expect."""

    def __init__(self, image_shape: Shape, classes: int, form: str = "tuple", width: int = 32) -> None:
        super().__init__()
        self.form = form
        count = {"thousand": 1000, "one_less": classes - 1, "one": 1}.get(form, classes)
        self.features = nn.Sequential(
            nn.Conv2d(image_shape[2], width, 3, padding=1),
            nn.BatchNorm2d(width),
            nn.ReLU(),
            nn.AdaptiveMaxPool2d(4),
        )
        self.head = nn.Conv2d(width, count, 4)

    def forward(self, x: Tensor) -> object:
        """Scores in that form."""
        features = self.features(x)
        scores = self.head(features)
        if self.form == "map":
            return scores
        scores = scores.flatten(1)
        forms = {"tuple": (scores, features), "dict": {"logits": scores}, "transposed": scores.t(), "list": [scores]}
        return forms.get(self.form, scores)
