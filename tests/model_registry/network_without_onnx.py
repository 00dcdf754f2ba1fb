"""A network of a user's that PyTorch exports and ONNX has no operator for."""

import math

import torch
from torch import Tensor, nn


class Net(nn.Module):
    def __init__(self, image_shape: tuple[int, int, int], classes: int) -> None:
        super().__init__()
        self.scores = nn.Linear(math.prod(image_shape), classes)

    def forward(self, images: Tensor) -> Tensor:
        columns = images.flatten(1).unsqueeze(2)
        scores: Tensor = self.scores(torch.linalg.pinv(columns).flatten(1))
        return scores
