"""Transformers and mixers written by hand, and other attention."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

Shape = tuple[int, int, int]


class Attention(nn.Module):
    """Self-attention of several heads by F.scaled_dot_product_attention."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        """Tokens, each having looked at the others of its image."""
        batch, tokens, width = x.shape
        q, k, v = self.qkv(x).reshape(batch, tokens, 3, self.heads, width // self.heads).permute(2, 0, 3, 1, 4)
        mixed = F.scaled_dot_product_attention(q, k, v)
        return self.proj(mixed.transpose(1, 2).reshape(batch, tokens, width))


class EncoderStep(nn.Module):
    """Pre-norm attention and a gelu or gated perceptron; branches may be scaled (LayerScale) or gated (ReZero)."""

    def __init__(self, width: int, heads: int, *, scale: float | None, gated: bool, dropout: float) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attention = Attention(width, heads)
        self.gated = gated
        self.up = nn.Linear(width, (4 if gated else 2) * width)
        self.down = nn.Linear(2 * width, width)
        self.dropout = dropout
        self.scale1 = nn.Parameter(torch.full((width,), scale)) if scale is not None else 1.0
        self.scale2 = nn.Parameter(torch.full((width,), scale)) if scale is not None else 1.0

    def forward(self, x: Tensor) -> Tensor:
        """Tokens."""
        x = x + self.scale1 * F.dropout(self.attention(self.norm1(x)), self.dropout, self.training)
        hidden = self.up(self.norm2(x))
        hidden = F.glu(hidden) if self.gated else F.gelu(hidden)
        return x + self.scale2 * F.dropout(self.down(hidden), self.dropout, self.training)


class HandWrittenVit(nn.Module):
    """Patches, a class token or the mean, learned positions, a stack of steps; the head may start at 0."""

    def __init__(
        self,
        image_shape: Shape,
        classes: int,
        *,
        patch: int = 4,
        width: int = 48,
        depth: int = 3,
        heads: int = 4,
        token: bool = True,
        scale: float | None = None,
        gated: bool = False,
        dropout: float = 0.0,
        zero_head: bool = False,
    ) -> None:
        super().__init__()
        height, wide, channels = image_shape
        self.embed = nn.Conv2d(channels, width, patch, stride=patch)
        count = (height // patch) * (wide // patch) + int(token)
        self.cls = nn.Parameter(torch.zeros(1, 1, width)) if token else None
        self.positions = nn.Parameter(0.02 * torch.randn(1, count, width))
        options = {"scale": scale, "gated": gated, "dropout": dropout}
        self.steps = nn.ModuleList(EncoderStep(width, heads, **options) for _ in range(depth))
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, classes)
        if zero_head:
            nn.init.zeros_(self.head.weight)
            nn.init.zeros_(self.head.bias)

    def forward(self, x: Tensor) -> Tensor:
        """Scores."""
        x = self.embed(x).flatten(2).transpose(1, 2)
        if self.cls is not None:
            x = torch.cat([self.cls.expand(len(x), -1, -1), x], dim=1)
        x = x + self.positions
        for step in self.steps:
            x = step(x)
        x = self.norm(x)
        return self.head(x[:, 0] if self.cls is not None else x.mean(1))


class TorchEncoderVit(nn.Module):
    """Patches by unfolding, then torch's own encoder (post-norm unless told)."""

    def __init__(self, image_shape: Shape, classes: int, patch: int = 4, norm_first: bool = False) -> None:
        super().__init__()
        height, wide, channels = image_shape
        self.patch = patch
        self.embed = nn.Linear(channels * patch * patch, 48)
        self.positions = nn.Parameter(0.02 * torch.randn((height // patch) * (wide // patch), 48))
        layer = nn.TransformerEncoderLayer(48, 4, 96, dropout=0.1, batch_first=True, norm_first=norm_first)
        self.encoder = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.head = nn.Linear(48, classes)

    def forward(self, x: Tensor) -> Tensor:
        """Scores."""
        patches = F.unfold(x, self.patch, stride=self.patch).transpose(1, 2)
        return self.head(self.encoder(self.embed(patches) + self.positions).mean(1))


class MixerByHand(nn.Module):
    """Tokens mixed by one perceptron, channels by another."""

    def __init__(self, image_shape: Shape, classes: int, patch: int = 4, width: int = 48, depth: int = 3) -> None:
        super().__init__()
        height, wide, channels = image_shape
        tokens = (height // patch) * (wide // patch)
        self.embed = nn.Conv2d(channels, width, patch, patch)
        self.token_norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(depth))
        self.channel_norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(depth))
        self.token_mixes = nn.ModuleList(self.perceptron(tokens) for _ in range(depth))
        self.channel_mixes = nn.ModuleList(self.perceptron(width) for _ in range(depth))
        self.head = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, classes))

    @staticmethod
    def perceptron(width: int) -> nn.Sequential:
        """Up, gelu, down."""
        return nn.Sequential(nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width))

    def forward(self, x: Tensor) -> Tensor:
        """Scores."""
        x = self.embed(x).flatten(2).mT
        parts = zip(self.token_norms, self.token_mixes, self.channel_norms, self.channel_mixes, strict=True)
        for token_norm, token_mix, channel_norm, channel_mix in parts:
            x = x + token_mix(token_norm(x).mT).mT
            x = x + channel_mix(channel_norm(x))
        return self.head(x.mean(1))


class AttentionPoolCnn(nn.Module):
    """Convolutions whose maps are pooled by a learned query."""

    def __init__(self, image_shape: Shape, classes: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(image_shape[2], 24, 3, padding=1)
        self.conv2 = nn.Conv2d(24, 48, 3, stride=2, padding=1)
        self.norm1, self.norm2 = nn.GroupNorm(4, 24), nn.GroupNorm(4, 48)
        self.query = nn.Parameter(0.1 * torch.randn(48))
        self.value = nn.Linear(48, 48)
        self.head = nn.Linear(48, classes)

    def forward(self, x: Tensor) -> Tensor:
        """Scores."""
        x = F.silu(self.norm1(self.conv1(x)))
        x = F.max_pool2d(F.silu(self.norm2(self.conv2(x))), 2)
        tokens = x.flatten(2).transpose(1, 2)
        weights = torch.softmax(tokens @ self.query, dim=1)
        pooled = torch.einsum("bt,btc->bc", weights, self.value(tokens))
        return self.head(F.relu(pooled))


class PerceiverLite(nn.Module):
    """A few learned latents that read the pixels twice by the same cross-attention (shared weights)."""

    def __init__(self, image_shape: Shape, classes: int, latents: int = 8, width: int = 48) -> None:
        super().__init__()
        height, wide, channels = image_shape
        self.stem = nn.Conv2d(channels, width, 3, stride=2, padding=1)
        self.places = nn.Parameter(0.1 * torch.randn(((height + 1) // 2) * ((wide + 1) // 2), width))
        self.latents = nn.Parameter(0.1 * torch.randn(latents, width))
        self.read = nn.MultiheadAttention(width, 4, batch_first=True)
        self.think = EncoderStep(width, 4, scale=None, gated=False, dropout=0.0)
        self.norm_pixels, self.norm_latents = nn.LayerNorm(width), nn.LayerNorm(width)
        self.head = nn.Linear(width * latents, classes)

    def forward(self, x: Tensor) -> Tensor:
        """Scores."""
        pixels = F.gelu(self.stem(x)).flatten(2).mT + self.places
        pixels = self.norm_pixels(pixels)
        latents = self.latents.expand(len(x), -1, -1)
        for _ in range(2):
            latents = latents + self.read(self.norm_latents(latents), pixels, pixels, need_weights=False)[0]
            latents = self.think(latents)
        return self.head(latents.flatten(1))


class ConvNextByHand(nn.Module):
    """Channels-last blocks: depthwise 7x7, LayerNorm, gelu, LayerScale 1e-4."""

    def __init__(self, image_shape: Shape, classes: int, width: int = 40, depth: int = 3) -> None:
        super().__init__()
        self.stem = nn.Conv2d(image_shape[2], width, 2, stride=2)
        self.depthwise = nn.ModuleList(nn.Conv2d(width, width, 7, padding=3, groups=width) for _ in range(depth))
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(depth))
        self.ups = nn.ModuleList(nn.Linear(width, 2 * width) for _ in range(depth))
        self.downs = nn.ModuleList(nn.Linear(2 * width, width) for _ in range(depth))
        self.scales = nn.ParameterList(torch.full((width,), 1e-4) for _ in range(depth))
        self.norm, self.head = nn.LayerNorm(width), nn.Linear(width, classes)

    def forward(self, x: Tensor) -> Tensor:
        """Scores."""
        x = self.stem(x)
        for spatial, norm, up, down, scale in zip(
            self.depthwise, self.norms, self.ups, self.downs, self.scales, strict=True
        ):
            y = spatial(x).permute(0, 2, 3, 1)
            y = scale * down(F.gelu(up(norm(y))))
            x = x + y.permute(0, 3, 1, 2)
        return self.head(self.norm(x.permute(0, 2, 3, 1).mean((1, 2))))
