"""Networks in the manner of notebooks, tutorials and research repositories: sound ones first, faulty ones after.

Entry points are the lower-case functions made by ``entry``: each takes sizes under any usual name, or those given as
``planes``, ``side`` and ``labels`` in the arguments of a set-up. Classes keep their names, so instances can be pickled.
"""

import inspect
import itertools
import math
from collections.abc import Callable
from functools import partial
from typing import Any

import timm
import torch
import torch.nn.functional as F
import torchvision
from timm.layers import GatedMlp
from timm.models.mlp_mixer import MlpMixer, SpatialGatingBlock
from torch import nn
from torch.nn.utils.parametrizations import spectral_norm, weight_norm

NAMES = {
    "planes": ("in_channels", "in_chans", "input_channels", "channels", "in_features", "planes"),
    "side": ("image_size", "img_size", "size", "input_size", "side"),
    "labels": ("classes", "num_classes", "n_classes", "num_labels", "labels"),
}


def entry(build: Callable[..., nn.Module]) -> Callable[..., nn.Module]:
    """``build(planes, side, labels, ...)`` behind whatever names its caller uses for the three sizes."""
    known = set(inspect.signature(build).parameters)

    def factory(*_: Any, **given: Any) -> nn.Module:
        sizes: dict[str, int] = {}
        for ours, names in NAMES.items():
            value = next((given[name] for name in names if given.get(name) is not None), None)
            if isinstance(value, (tuple, list)):
                value = value[0]
            if value is None:
                raise TypeError(f"{build.__name__}: no {ours} among {sorted(given)}")
            sizes[ours] = int(value)
        extra = {k: v for k, v in given.items() if k in known and k not in NAMES}
        return build(**sizes, **extra)

    factory.__name__ = factory.__qualname__ = build.__name__
    return factory


# ---------------------------------------------------------------------------------------------------- sound networks


class SpatialTransformerNet(nn.Module):
    """The tutorial's: a localization net, a sampler, two convolutions, log-probabilities."""

    def __init__(self, planes, side, labels):
        super().__init__()
        self.localization = nn.Sequential(
            nn.Conv2d(planes, 8, 7, padding=3),
            nn.MaxPool2d(2, 2),
            nn.ReLU(True),
            nn.Conv2d(8, 10, 5, padding=2),
            nn.MaxPool2d(2, 2),
            nn.ReLU(True),
        )
        self.loc_features = 10 * (side // 4) ** 2
        self.fc_loc = nn.Sequential(nn.Linear(self.loc_features, 32), nn.ReLU(True), nn.Linear(32, 6))
        self.fc_loc[2].weight.data.zero_()
        self.fc_loc[2].bias.data.copy_(torch.tensor([1, 0, 0, 0, 1, 0], dtype=torch.float))
        self.conv1 = nn.Conv2d(planes, 10, 5, padding=2)
        self.conv2 = nn.Conv2d(10, 20, 5, padding=2)
        self.conv2_drop = nn.Dropout2d(0.25)
        self.features = 20 * (side // 4) ** 2
        self.fc1 = nn.Linear(self.features, 50)
        self.fc2 = nn.Linear(50, labels)

    def stn(self, x):
        theta = self.fc_loc(self.localization(x).view(-1, self.loc_features)).view(-1, 2, 3)
        grid = F.affine_grid(theta, x.size(), align_corners=False)
        return F.grid_sample(x, grid, align_corners=False)

    def forward(self, x):
        x = self.stn(x)
        x = F.relu(F.max_pool2d(self.conv1(x), 2))
        x = F.relu(F.max_pool2d(self.conv2_drop(self.conv2(x)), 2))
        x = F.relu(self.fc1(x.view(-1, self.features)))
        x = F.dropout(x, p=0.25, training=self.training)
        return F.log_softmax(self.fc2(x), dim=1)


class SineLayer(nn.Module):
    def __init__(self, n_in, n_out, is_first=False, omega_0=30.0):
        super().__init__()
        self.omega_0, self.linear = omega_0, nn.Linear(n_in, n_out)
        with torch.no_grad():
            bound = 1 / n_in if is_first else math.sqrt(6 / n_in) / omega_0
            self.linear.weight.uniform_(-bound, bound)

    def forward(self, x):
        return torch.sin(self.omega_0 * self.linear(x))


class SirenClassifier(nn.Module):
    def __init__(self, planes, side, labels, hidden=96, omega_0=20.0):
        super().__init__()
        self.net = nn.Sequential(
            SineLayer(planes * side * side, hidden, True, omega_0),
            SineLayer(hidden, hidden, omega_0=omega_0),
            SineLayer(hidden, hidden, omega_0=omega_0),
            nn.Linear(hidden, labels),
        )

    def forward(self, img):
        return self.net(img.flatten(1))


def exists(value):
    return value is not None


def fourier_encode(side, bands):
    """lucidrains: positions and their sines and cosines at growing frequencies."""
    axis = torch.linspace(-1.0, 1.0, side)
    pos = torch.stack(torch.meshgrid(axis, axis, indexing="ij"), dim=-1).unsqueeze(-1)
    scales = torch.linspace(1.0, side / 2, bands)
    angles = pos * scales * math.pi
    return torch.cat([angles.sin(), angles.cos(), pos], dim=-1).flatten(0, 1).flatten(1)


class PreNorm(nn.Module):
    def __init__(self, dim, fn, context_dim=None):
        super().__init__()
        self.fn, self.norm = fn, nn.LayerNorm(dim)
        self.norm_context = nn.LayerNorm(context_dim) if exists(context_dim) else None

    def forward(self, x, **kwargs):
        if exists(self.norm_context):
            kwargs.update(context=self.norm_context(kwargs["context"]))
        return self.fn(self.norm(x), **kwargs)


class GEGLU(nn.Module):
    def forward(self, x):
        x, gates = x.chunk(2, dim=-1)
        return x * F.gelu(gates)


class FeedForward(nn.Module):
    def __init__(self, dim, mult=2):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(dim, dim * mult * 2), GEGLU(), nn.Linear(dim * mult, dim))

    def forward(self, x):
        return self.net(x)


class Attention(nn.Module):
    def __init__(self, query_dim, context_dim=None, heads=4, dim_head=16):
        super().__init__()
        inner = heads * dim_head
        context_dim = context_dim if exists(context_dim) else query_dim
        self.scale, self.heads = dim_head**-0.5, heads
        self.to_q = nn.Linear(query_dim, inner, bias=False)
        self.to_kv = nn.Linear(context_dim, inner * 2, bias=False)
        self.to_out = nn.Linear(inner, query_dim)

    def split(self, t):
        b, n, _ = t.shape
        return t.view(b, n, self.heads, -1).transpose(1, 2)

    def forward(self, x, context=None):
        q = self.to_q(x)
        k, v = self.to_kv(context if exists(context) else x).chunk(2, dim=-1)
        q, k, v = map(self.split, (q, k, v))
        attn = (q @ k.transpose(-1, -2) * self.scale).softmax(dim=-1)
        out = (attn @ v).transpose(1, 2).flatten(2)
        return self.to_out(out)


class Perceiver(nn.Module):
    """Latents that read every pixel, with Fourier features of its place; both rounds share their weights."""

    def __init__(self, planes, side, labels, num_latents=16, dim=64, bands=6, depth=2):
        super().__init__()
        self.register_buffer("enc", fourier_encode(side, bands), persistent=False)
        byte_dim = planes + self.enc.shape[1]
        self.latents = nn.Parameter(torch.randn(num_latents, dim) * 0.5)
        self.depth = depth
        self.cross = PreNorm(dim, Attention(dim, byte_dim, heads=2, dim_head=32), byte_dim)
        self.cross_ff = PreNorm(dim, FeedForward(dim))
        self.self_attn = PreNorm(dim, Attention(dim))
        self.self_ff = PreNorm(dim, FeedForward(dim))
        self.to_logits = nn.Sequential(nn.LayerNorm(dim), nn.Linear(dim, labels))

    def forward(self, img):
        b = img.shape[0]
        data = torch.cat([img.flatten(2).transpose(1, 2), self.enc.expand(b, -1, -1)], dim=-1)
        x = self.latents.expand(b, -1, -1)
        for _ in range(self.depth):
            x = self.cross(x, context=data) + x
            x = self.cross_ff(x) + x
            x = self.self_attn(x) + x
            x = self.self_ff(x) + x
        return self.to_logits(x.mean(dim=1))


class RowLSTM(nn.Module):
    """Rows as time steps, both ways; the forget bias starts at one."""

    def __init__(self, planes, side, labels, hidden=64):
        super().__init__()
        self.lstm = nn.LSTM(planes * side, hidden, num_layers=2, batch_first=True, bidirectional=True)
        for name, p in self.lstm.named_parameters():
            if "weight_hh" in name:
                nn.init.orthogonal_(p)
            elif "bias_ih" in name:
                p.data[hidden : 2 * hidden].fill_(1.0)
        self.fc = nn.Linear(4 * hidden, labels)

    def forward(self, x):
        rows = x.permute(0, 2, 1, 3).flatten(2)
        out, (h, _) = self.lstm(rows)
        return self.fc(torch.cat([out.mean(1), h[-2], h[-1]], dim=1))


class WeightNormNet(nn.Module):
    def __init__(self, planes, side, labels, c=24):
        super().__init__()
        self.c1 = weight_norm(nn.Conv2d(planes, c, 3, padding=1))
        self.c2 = weight_norm(nn.Conv2d(c, c, 3, padding=1, stride=2))
        self.c3 = weight_norm(nn.Conv2d(c, 2 * c, 3, padding=1))
        self.c4 = weight_norm(nn.Conv2d(2 * c, 2 * c, 3, padding=1, stride=2))
        self.fc = weight_norm(nn.Linear(2 * c, labels))
        for m in (self.c1, self.c2, self.c3, self.c4):
            w = m.parametrizations.weight
            gain = math.sqrt(2)
            w.original0.data.fill_(gain)  # each filter of norm sqrt 2: variance kept through leaky rectifiers
            nn.init.normal_(w.original1, std=0.05)
            nn.init.zeros_(m.bias)
        self.fc.parametrizations.weight.original0.data.fill_(0.2)

    def forward(self, x):
        for conv in (self.c1, self.c2, self.c3, self.c4):
            x = F.leaky_relu(conv(x), 0.1)
        return self.fc(x.amax(dim=(2, 3)))


class SNClassifier(nn.Module):
    """A discriminator's body with spectral norm, and a head without."""

    def __init__(self, planes, side, labels, ndf=24):
        super().__init__()
        self.main = nn.Sequential(
            spectral_norm(nn.Conv2d(planes, ndf, 4, 2, 1)),
            nn.LeakyReLU(0.2, inplace=True),
            spectral_norm(nn.Conv2d(ndf, ndf * 2, 4, 2, 1)),
            nn.LeakyReLU(0.2, inplace=True),
            spectral_norm(nn.Conv2d(ndf * 2, ndf * 2, 3, 1, 1)),
            nn.LeakyReLU(0.2, inplace=True),
        )
        self.head = nn.Linear(ndf * 2 * (side // 4) ** 2, labels)

    def forward(self, x):
        return self.head(self.main(x).flatten(1))


class ScaledStdConv(nn.Conv2d):
    """NFNets: standardized weights with a learnt gain."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.gain = nn.Parameter(torch.ones(self.out_channels, 1, 1, 1))
        nn.init.normal_(self.weight, std=0.1)
        nn.init.zeros_(self.bias)

    def forward(self, x):
        fan_in = self.weight[0].numel()
        mean = self.weight.mean(dim=(1, 2, 3), keepdim=True)
        var = self.weight.var(dim=(1, 2, 3), keepdim=True, unbiased=False)
        weight = (self.weight - mean) * torch.rsqrt(torch.clamp(var * fan_in, min=1e-4)) * self.gain
        return F.conv2d(x, weight, self.bias, self.stride, self.padding, self.dilation, self.groups)


def scaled_relu(x):
    return F.relu(x) * 1.7139588594436646


class NFBlock(nn.Module):
    def __init__(self, c_in, c_out, stride=1, alpha=0.2, beta=1.0):
        super().__init__()
        self.alpha, self.beta = alpha, beta
        self.conv1 = ScaledStdConv(c_in, c_out, 3, stride, 1)
        self.conv2 = ScaledStdConv(c_out, c_out, 3, 1, 1)
        self.short = ScaledStdConv(c_in, c_out, 1, stride) if (stride > 1 or c_in != c_out) else None
        self.skip_gain = nn.Parameter(torch.zeros(()))

    def forward(self, x):
        out = scaled_relu(x) * self.beta
        shortcut = self.short(out) if self.short is not None else x
        out = self.conv2(scaled_relu(self.conv1(out)))
        return shortcut + self.alpha * self.skip_gain * out


class NFNet(nn.Module):
    def __init__(self, planes, side, labels, c=16):
        super().__init__()
        self.stem = ScaledStdConv(planes, c, 3, 1, 1)
        expected, blocks = 1.0, []
        for c_in, c_out, stride in ((c, 2 * c, 2), (2 * c, 2 * c, 1), (2 * c, 4 * c, 2), (4 * c, 4 * c, 1)):
            blocks.append(NFBlock(c_in, c_out, stride, 0.2, expected**-0.5))
            expected = (1.0 if stride > 1 else expected) + 0.2**2
        self.blocks = nn.Sequential(*blocks)
        self.fc = nn.Linear(4 * c, labels)
        nn.init.normal_(self.fc.weight, std=0.01)

    def forward(self, x):
        x = scaled_relu(self.blocks(self.stem(x)))
        return self.fc(x.mean((-1, -2)))


class RZTXLayer(nn.Module):
    """ReZero: no norms, residual weights from zero."""

    def __init__(self, d_model, nhead, d_ff):
        super().__init__()
        self.self_attn = nn.MultiheadAttention(d_model, nhead, batch_first=True)
        self.linear1, self.linear2 = nn.Linear(d_model, d_ff), nn.Linear(d_ff, d_model)
        self.resweight = nn.Parameter(torch.zeros(1))

    def forward(self, src):
        src = src + self.resweight * self.self_attn(src, src, src, need_weights=False)[0]
        return src + self.resweight * self.linear2(F.relu(self.linear1(src)))


class RZTXClassifier(nn.Module):
    def __init__(self, planes, side, labels, patch=4, d_model=48, depth=4):
        super().__init__()
        self.patch = patch
        self.proj = nn.Linear(planes * patch * patch, d_model)
        self.pos = nn.Parameter(0.02 * torch.randn(1, (side // patch) ** 2, d_model))
        self.layers = nn.ModuleList([RZTXLayer(d_model, 4, 2 * d_model) for _ in range(depth)])
        self.out = nn.Linear(d_model, labels)

    def forward(self, x):
        x = F.unfold(x, self.patch, stride=self.patch).transpose(1, 2)
        x = self.proj(x) + self.pos
        for layer in self.layers:
            x = layer(x)
        return self.out(x.mean(1))


def DoubleConv(c_in, c_out):
    return nn.Sequential(
        nn.Conv2d(c_in, c_out, 3, padding=1, bias=False),
        nn.GroupNorm(4, c_out),
        nn.SiLU(),
        nn.Conv2d(c_out, c_out, 3, padding=1, bias=False),
        nn.GroupNorm(4, c_out),
        nn.SiLU(),
    )


class UNetEncoderClassifier(nn.Module):
    """A U-Net with one step up again and its skip, pooled into a classifier."""

    def __init__(self, planes, side, labels, base=8):
        super().__init__()
        self.inc = DoubleConv(planes, base)
        self.down1, self.down2, self.down3 = (DoubleConv(base * k, base * 2 * k) for k in (1, 2, 4))
        self.up = nn.ConvTranspose2d(base * 8, base * 4, 2, stride=2)
        self.fuse = DoubleConv(base * 8, base * 4)
        self.head = nn.Linear(base * 12, labels)

    def forward(self, x):
        x1 = self.inc(x)
        x2 = self.down1(F.max_pool2d(x1, 2))
        x3 = self.down2(F.max_pool2d(x2, 2))
        x4 = self.down3(F.max_pool2d(x3, 2))
        y = self.fuse(torch.cat([x3, self.up(x4)], dim=1))
        return self.head(torch.cat([F.adaptive_avg_pool2d(y, 1), F.adaptive_avg_pool2d(x4, 1)], 1).flatten(1))


class SELayer(nn.Module):
    def __init__(self, channel, reduction=4):
        super().__init__()
        self.fc = nn.Sequential(
            nn.Linear(channel, channel // reduction, bias=False),
            nn.ReLU(inplace=True),
            nn.Linear(channel // reduction, channel, bias=False),
            nn.Sigmoid(),
        )

    def forward(self, x):
        b, c, _, _ = x.size()
        return x * self.fc(x.mean((2, 3))).view(b, c, 1, 1).expand_as(x)


class SEBasicBlock(nn.Module):
    def __init__(self, c_in, c_out, stride, drop_prob):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(c_in, c_out, 3, stride, 1, bias=False), nn.BatchNorm2d(c_out)
        self.conv2, self.bn2 = nn.Conv2d(c_out, c_out, 3, 1, 1, bias=False), nn.BatchNorm2d(c_out)
        self.se, self.drop_prob = SELayer(c_out), drop_prob
        self.downsample = nn.Identity()
        if stride != 1 or c_in != c_out:
            self.downsample = nn.Sequential(nn.Conv2d(c_in, c_out, 1, stride, bias=False), nn.BatchNorm2d(c_out))

    def drop_path(self, x):
        if not self.training or self.drop_prob == 0:
            return x
        keep = 1 - self.drop_prob
        mask = torch.floor(keep + torch.rand((x.shape[0], 1, 1, 1), dtype=x.dtype, device=x.device))
        return x.div(keep) * mask

    def forward(self, x):
        out = F.relu(self.bn1(self.conv1(x)))
        out = self.se(self.bn2(self.conv2(out)))
        return F.relu(self.downsample(x) + self.drop_path(out))


class SEResNetDepth(nn.Module):
    def __init__(self, planes, side, labels, c=16):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(planes, c, 3, 1, 1, bias=False), nn.BatchNorm2d(c), nn.ReLU())
        plan = ((c, c, 1), (c, 2 * c, 2), (2 * c, 2 * c, 1), (2 * c, 4 * c, 2), (4 * c, 4 * c, 1))
        rates = torch.linspace(0, 0.1, len(plan)).tolist()
        self.layers = nn.Sequential(*[SEBasicBlock(*p, r) for p, r in zip(plan, rates, strict=True)])
        self.fc = nn.Linear(4 * c, labels)

    def forward(self, x):
        return self.fc(F.adaptive_avg_pool2d(self.layers(self.stem(x)), 1).squeeze(-1).squeeze(-1))


class GatedAttentionMIL(nn.Module):
    """Ilse et al.: places of a small convolutional map are a bag; gated attention weighs them."""

    def __init__(self, planes, side, labels, dim=48):
        super().__init__()
        self.f = nn.Sequential(
            nn.Conv2d(planes, 24, 3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(24, dim, 3, padding=1),
            nn.ReLU(),
        )
        self.attention_V, self.attention_U = nn.Linear(dim, 32), nn.Linear(dim, 32)
        self.attention_weights = nn.Linear(32, 1)
        self.classifier = nn.Linear(dim, labels)

    def forward(self, x):
        h = self.f(x).flatten(2).transpose(1, 2)
        a = self.attention_weights(torch.tanh(self.attention_V(h)) * torch.sigmoid(self.attention_U(h)))
        a = F.softmax(a, dim=1)
        m = torch.bmm(a.transpose(1, 2), h).squeeze(1)
        return self.classifier(m)


def _shufflenet(planes, side, labels):
    """torchvision's smallest ShuffleNet V2; a stem for small pictures, one stage fewer downsampled."""
    net = torchvision.models.ShuffleNetV2([2, 4, 2], [24, 32, 64, 128, 192], num_classes=labels)
    net.conv1[0] = nn.Conv2d(planes, 24, 3, stride=2, padding=1, bias=False)
    net.maxpool = nn.Identity()
    return net


def _densenet(planes, side, labels):
    net = torchvision.models.DenseNet(
        growth_rate=12, block_config=(4, 4, 4), num_init_features=24, bn_size=2, num_classes=labels
    )
    net.features.conv0 = nn.Conv2d(planes, 24, 3, padding=1, bias=False)
    net.features.pool0 = nn.MaxPool2d(2)
    return net


def _convnext_atto(planes, side, labels):
    return timm.create_model("convnext_atto", in_chans=planes, num_classes=labels, drop_path_rate=0.05)


def _swin(planes, side, labels):
    net = torchvision.models.SwinTransformer(
        patch_size=[2, 2],
        embed_dim=32,
        depths=[2, 2],
        num_heads=[2, 4],
        window_size=[4, 4],
        mlp_ratio=2.0,
        stochastic_depth_prob=0.05,
        num_classes=labels,
    )
    if planes != 3:
        net.features[0][0] = nn.Conv2d(planes, 32, 2, stride=2)
    return net


def squash(s, dim=-1):
    norm2 = (s * s).sum(dim, keepdim=True)
    return norm2 / (1 + norm2) * s / torch.sqrt(norm2 + 1e-8)


class CapsNet(nn.Module):
    """Primary capsules, agreement routing into a layer of capsules, and a linear reading of their poses."""

    lengths_are_scores = False

    def __init__(self, planes, side, labels, kinds=4, d_in=8, d_out=12, routings=3):
        super().__init__()
        self.conv1 = nn.Conv2d(planes, 32, 5, stride=2, padding=2)
        self.primary = nn.Conv2d(32, kinds * d_in, 5, stride=2, padding=2)
        places = ((side + 3) // 4) ** 2
        self.d_in, self.routings = d_in, routings
        self.W = nn.Parameter(0.3 * torch.randn(1, places * kinds, labels, d_out, d_in))
        self.readout = None if self.lengths_are_scores else nn.Linear(labels * d_out, labels)

    def forward(self, x):
        x = F.relu(self.conv1(x))
        u = self.primary(x)
        b = u.shape[0]
        u = squash(u.view(b, -1, self.d_in, u.shape[2] * u.shape[3]).transpose(2, 3).reshape(b, -1, self.d_in))
        u_hat = (self.W @ u[:, :, None, :, None]).squeeze(-1)
        logits = torch.zeros(u_hat.shape[:3], device=x.device, dtype=x.dtype)
        for i in range(self.routings):
            c = F.softmax(logits, dim=2)
            v = squash((c.unsqueeze(-1) * u_hat).sum(1))
            if i + 1 < self.routings:
                logits = logits + (u_hat * v.unsqueeze(1)).sum(-1)
        return v.norm(dim=-1) if self.readout is None else self.readout(v.flatten(1))


class CosineHead(nn.Module):
    def __init__(self, dim, labels, scale):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(labels, dim))
        self.scale = nn.Parameter(torch.tensor(float(scale))) if scale else None

    def forward(self, x):
        cosine = F.linear(F.normalize(x, dim=1), F.normalize(self.weight, dim=1))
        return cosine if self.scale is None else self.scale * cosine


class CosineNet(nn.Module):
    def __init__(self, planes, side, labels, scale=6.0, dim=96):
        super().__init__()
        self.conv1 = nn.Conv2d(planes, 16, 3, padding=1)
        self.conv2 = nn.Conv2d(16, 32, 3, padding=1)
        self.conv3 = nn.Conv2d(32, 32, 3, padding=1)
        self.bn1, self.bn2, self.bn3 = nn.BatchNorm2d(16), nn.BatchNorm2d(32), nn.BatchNorm2d(32)
        self.embed = nn.Linear(32 * (side // 4) ** 2, dim)
        self.head = CosineHead(dim, labels, scale)

    def forward(self, x):
        x = F.max_pool2d(F.gelu(self.bn1(self.conv1(x))), 2)
        x = F.max_pool2d(F.gelu(self.bn2(self.conv2(x))), 2)
        x = F.gelu(self.bn3(self.conv3(x)))
        return self.head(self.embed(x.flatten(1)))


class HaarDWT(nn.Module):
    """A fixed two-dimensional Haar transform: four bands at half the size."""

    def __init__(self):
        super().__init__()
        h = torch.tensor([[1.0, 1.0], [1.0, -1.0]]) / math.sqrt(2)
        bank = torch.stack([torch.outer(h[i], h[j]) for i in range(2) for j in range(2)])
        self.register_buffer("bank", bank[:, None])

    def forward(self, x):
        c = x.shape[1]
        return F.conv2d(x, self.bank.repeat(c, 1, 1, 1), stride=2, groups=c)


class WaveletNet(nn.Module):
    def __init__(self, planes, side, labels, c=24):
        super().__init__()
        self.dwt = HaarDWT()
        self.conv1 = nn.Conv2d(planes * 4, c, 3, padding=1)
        self.in1 = nn.InstanceNorm2d(c, affine=True)
        self.conv2 = nn.Conv2d(c * 4, c * 2, 3, padding=1)
        self.in2 = nn.InstanceNorm2d(c * 2, affine=True)
        self.fc1, self.fc2 = nn.Linear(c * 2 * (side // 4) ** 2, 48), nn.Linear(48, labels)

    def forward(self, x):
        x = F.elu(self.in1(self.conv1(self.dwt(x))))
        x = F.elu(self.in2(self.conv2(self.dwt(x))))
        return self.fc2(F.elu(self.fc1(torch.flatten(x, 1))))


class LayerNorm2d(nn.LayerNorm):
    def forward(self, x):
        return super().forward(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


class GLUConvNet(nn.Module):
    """Gated convolutions with channel norm, depthwise mixing and residuals."""

    def __init__(self, planes, side, labels, c=32):
        super().__init__()
        self.stem = nn.Conv2d(planes, c, 3, stride=2, padding=1)
        self.norms = nn.ModuleList([LayerNorm2d(c) for _ in range(3)])
        self.gates = nn.ModuleList([nn.Conv2d(c, 2 * c, 1) for _ in range(3)])
        self.dws = nn.ModuleList([nn.Conv2d(2 * c, 2 * c, 5, padding=2, groups=2 * c) for _ in range(3)])
        self.outs = nn.ModuleList([nn.Conv2d(c, c, 1) for _ in range(3)])
        self.norm, self.head = nn.LayerNorm(c), nn.Linear(c, labels)

    def forward(self, x):
        x = self.stem(x)
        for i, (norm, gate, dw, out) in enumerate(zip(self.norms, self.gates, self.dws, self.outs, strict=True)):
            x = x + out(F.glu(dw(gate(norm(x))), dim=1))
            x = F.avg_pool2d(x, 2) if i == 0 else x
        return self.head(self.norm(x.amax((2, 3))))


class OrthogonalTanhNet(nn.Module):
    def __init__(self, planes, side, labels, hidden=100, depth=4):
        super().__init__()
        sizes = [planes * side * side] + [hidden] * depth
        self.hidden = nn.ModuleList([nn.Linear(a, b) for a, b in itertools.pairwise(sizes)])
        self.out = nn.Linear(hidden, labels)
        for i, layer in enumerate(self.hidden):
            nn.init.orthogonal_(layer.weight, gain=1.0 if i == 0 else nn.init.calculate_gain("tanh") * 0.8)
            nn.init.zeros_(layer.bias)
        nn.init.orthogonal_(self.out.weight, gain=0.5)

    def forward(self, x):
        x = x.reshape(x.size(0), -1)
        for layer in self.hidden:
            x = torch.tanh(layer(x))
        return self.out(x)


class DropBlock2D(nn.Module):
    def __init__(self, drop_prob, block_size):
        super().__init__()
        self.drop_prob, self.block_size = drop_prob, block_size

    def forward(self, x):
        if not self.training or self.drop_prob == 0.0:
            return x
        gamma = self.drop_prob / self.block_size**2
        mask = (torch.rand(x.shape[0], 1, *x.shape[2:], device=x.device) < gamma).to(x.dtype)
        mask = 1 - F.max_pool2d(mask, self.block_size, stride=1, padding=self.block_size // 2)
        return x * mask * mask.numel() / mask.sum().clamp(min=1)


class DropBlockNet(nn.Module):
    def __init__(self, planes, side, labels, c=24):
        super().__init__()
        self.conv1 = nn.Conv2d(planes, c, 3, padding=1)
        self.conv2 = nn.Conv2d(c, 2 * c, 3, padding=1)
        self.conv3 = nn.Conv2d(2 * c, 2 * c, 3, padding=1)
        self.bn1, self.bn2, self.bn3 = nn.BatchNorm2d(c), nn.BatchNorm2d(2 * c), nn.BatchNorm2d(2 * c)
        self.drop = DropBlock2D(0.1, 3)
        self.fc = nn.Linear(2 * c, labels)

    def forward(self, x):
        x = F.max_pool2d(F.relu(self.bn1(self.conv1(x))), 2)
        x = self.drop(F.relu(self.bn2(self.conv2(x))))
        x = F.max_pool2d(F.relu(self.bn3(self.conv3(x))), 2)
        return self.fc(x.mean(3).mean(2))


class RMSNorm(nn.Module):
    def __init__(self, dim, eps=1e-6):
        super().__init__()
        self.eps, self.g = eps, nn.Parameter(torch.ones(dim))

    def forward(self, x):
        return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + self.eps) * self.g


class SwiGLU(nn.Module):
    def __init__(self, dim, hidden):
        super().__init__()
        self.w1, self.w3 = nn.Linear(dim, hidden, bias=False), nn.Linear(dim, hidden, bias=False)
        self.w2 = nn.Linear(hidden, dim, bias=False)

    def forward(self, x):
        return self.w2(F.silu(self.w1(x)) * self.w3(x))


class FNet(nn.Module):
    """Tokens mixed by a Fourier transform without weights."""

    def __init__(self, planes, side, labels, patch=4, dim=64, depth=3):
        super().__init__()
        self.embed = nn.Conv2d(planes, dim, patch, patch)
        self.pos = nn.Parameter(0.02 * torch.randn(1, (side // patch) ** 2, dim))
        self.n1 = nn.ModuleList([RMSNorm(dim) for _ in range(depth)])
        self.n2 = nn.ModuleList([RMSNorm(dim) for _ in range(depth)])
        self.ff = nn.ModuleList([SwiGLU(dim, 2 * dim) for _ in range(depth)])
        self.norm, self.head = RMSNorm(dim), nn.Linear(dim, labels)

    def forward(self, x):
        x = self.embed(x).flatten(2).transpose(1, 2) + self.pos
        for n1, n2, ff in zip(self.n1, self.n2, self.ff, strict=True):
            x = x + torch.fft.fft2(n1(x), norm="ortho").real
            x = x + ff(n2(x))
        return self.head(self.norm(x).mean(1))


def _gmlp(planes, side, labels):
    return MlpMixer(
        num_classes=labels,
        img_size=side,
        in_chans=planes,
        patch_size=4,
        num_blocks=4,
        embed_dim=64,
        mlp_ratio=3,
        block_layer=SpatialGatingBlock,
        mlp_layer=GatedMlp,
    )


class Inception(nn.Module):
    """Kernels of three sizes beside each other."""

    def __init__(self, c_in, c_each):
        super().__init__()
        self.branches = nn.ModuleList([nn.Conv2d(c_in, c_each, k, padding=k // 2, bias=False) for k in (1, 3, 5)])
        self.bn = nn.BatchNorm2d(3 * c_each)

    def forward(self, x):
        return F.relu(self.bn(torch.cat([branch(x) for branch in self.branches], 1)), inplace=True)


class MultiScaleZeroHead(nn.Module):
    """The head starts at zero, weights and biases: all classes alike at first."""

    def __init__(self, planes, side, labels):
        super().__init__()
        self.a, self.b, self.c = Inception(planes, 8), Inception(24, 12), Inception(36, 12)
        self.head = nn.Linear(36, labels)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)

    def forward(self, x):
        x = F.max_pool2d(self.a(x), 2)
        x = F.max_pool2d(self.b(x), 2)
        return self.head(F.adaptive_avg_pool2d(self.c(x), 1)[:, :, 0, 0])


spatial_transformer = entry(SpatialTransformerNet)
siren = entry(SirenClassifier)
perceiver = entry(Perceiver)
row_lstm = entry(RowLSTM)
weight_norm_net = entry(WeightNormNet)
spectral_norm_net = entry(SNClassifier)
nfnet = entry(NFNet)
rezero_transformer = entry(RZTXClassifier)
gmlp = entry(_gmlp)
unet_encoder = entry(UNetEncoderClassifier)
se_resnet = entry(SEResNetDepth)
attention_mil = entry(GatedAttentionMIL)
shufflenet = entry(_shufflenet)
densenet = entry(_densenet)
convnext_atto = entry(_convnext_atto)
swin = entry(_swin)
capsnet = entry(CapsNet)
cosine_net = entry(CosineNet)
wavelet_net = entry(WaveletNet)
glu_convnet = entry(GLUConvNet)
orthogonal_tanh = entry(OrthogonalTanhNet)
dropblock_net = entry(DropBlockNet)
fnet = entry(FNet)
multi_scale = entry(MultiScaleZeroHead)


# --------------------------------------------------------------------------------------------------- faulty networks


class NumpyWhitening(nn.Module):
    """Features are standardized per image in numpy on the way to the head."""

    def __init__(self, planes, side, labels, c=24):
        super().__init__()
        self.conv1 = nn.Conv2d(planes, c, 3, padding=1)
        self.conv2 = nn.Conv2d(c, 2 * c, 3, padding=1)
        self.conv3 = nn.Conv2d(2 * c, 2 * c, 3, padding=1)
        self.fc = nn.Linear(2 * c, labels)

    def forward(self, x):
        x = F.max_pool2d(F.relu(self.conv1(x)), 2)
        x = F.max_pool2d(F.relu(self.conv2(x)), 2)
        x = F.relu(self.conv3(x)).amax((2, 3))
        feats = x.detach().cpu().numpy()
        feats = (feats - feats.mean(1, keepdims=True)) / (feats.std(1, keepdims=True) + 1e-5)
        return self.fc(torch.from_numpy(feats).to(x.device))


class CapsLengths(CapsNet):
    """The original's class scores, lengths of capsules, which want a margin loss."""

    lengths_are_scores = True


class CosineNoScale(CosineNet):
    """Scores are cosines themselves, between -1 and 1."""

    def __init__(self, planes, side, labels):
        super().__init__(planes, side, labels, scale=0.0)


class BilinearPool(nn.Module):
    """Bilinear pooling with signed roots by torch.where: scores are finite, gradients of the branch not taken NaN."""

    def __init__(self, planes, side, labels, c=12):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(planes, 2 * c, 3, padding=1), nn.BatchNorm2d(2 * c)
        self.conv2, self.bn2 = nn.Conv2d(2 * c, c, 3, padding=1), nn.BatchNorm2d(c)
        self.head = nn.Linear(c * c, labels)

    def forward(self, x):
        x = F.max_pool2d(F.relu(self.bn1(self.conv1(x))), 2)
        x = self.bn2(self.conv2(x)).flatten(2)
        gram = torch.bmm(x, x.transpose(1, 2)).flatten(1) / x.shape[-1]
        root = torch.where(gram > 0, torch.sqrt(gram), -torch.sqrt(-gram))
        return self.head(root)


class ScaleBranches(nn.Module):
    """Branches per scale, kept in a dict."""

    def __init__(self, planes, side, labels, c=16):
        super().__init__()
        self.scales = (1, 2, 4)
        self.branches = {
            s: nn.Sequential(nn.Conv2d(planes, c, 3, padding=1), nn.ReLU(), nn.Conv2d(c, c, 3, padding=1), nn.ReLU())
            for s in self.scales
        }
        self.classifier = nn.Linear(3 * c, labels)

    def forward(self, x):
        pyramid = [self.branches[s](F.avg_pool2d(x, s)) for s in self.scales]
        return self.classifier(torch.cat([p.mean((2, 3)) for p in pyramid], dim=1))


class ForgottenActivation(nn.Module):
    """An activation is built and never called; pooling takes averages only."""

    def __init__(self, planes, side, labels, c=24):
        super().__init__()
        self.conv1 = nn.Conv2d(planes, c, 3, padding=1)
        self.conv2 = nn.Conv2d(c, 2 * c, 3, padding=1)
        self.conv3 = nn.Conv2d(2 * c, 2 * c, 3, padding=1)
        self.activation = nn.GELU()
        self.pool = nn.AvgPool2d(2)
        self.fc1, self.fc2 = nn.Linear(2 * c * (side // 8) ** 2, 64), nn.Linear(64, labels)

    def forward(self, x):
        x = self.pool(self.conv1(x))
        x = self.pool(self.conv2(x))
        x = self.pool(self.conv3(x))
        return self.fc2(self.fc1(x.flatten(1)))


class PlainConv(nn.Module):
    """A sound convolutional network without norms; faults of settings, data and initial weights stand on it."""

    def __init__(self, planes, side, labels, c=24):
        super().__init__()
        self.conv1 = nn.Conv2d(planes, c, 3, padding=1)
        self.conv2 = nn.Conv2d(c, 2 * c, 3, padding=1)
        self.conv3 = nn.Conv2d(2 * c, 2 * c, 3, padding=1)
        self.fc1 = nn.Linear(2 * c * (side // 8) ** 2, 64)
        self.fc2 = nn.Linear(64, labels)
        for m in self.modules():
            if isinstance(m, (nn.Conv2d, nn.Linear)):
                nn.init.kaiming_normal_(m.weight, nonlinearity="linear" if m is self.fc2 else "relu")
                nn.init.zeros_(m.bias)
        with torch.no_grad():
            self.fc2.weight.mul_(0.3)

    def preprocess(self, x):
        return x

    def forward(self, x):
        x = self.preprocess(x)
        x = F.max_pool2d(F.relu(self.conv1(x)), 2)
        x = F.max_pool2d(F.relu(self.conv2(x)), 2)
        x = F.max_pool2d(F.relu(self.conv3(x)), 2)
        return self.fc2(F.relu(self.fc1(x.flatten(1))))


class TinyInit(PlainConv):
    """GAN-like initialization with a typing error: 1e-4 for 1e-2 and more."""

    def __init__(self, planes, side, labels):
        super().__init__(planes, side, labels)
        self.apply(self.weights_init)

    @staticmethod
    def weights_init(m):
        if type(m).__name__.startswith(("Conv", "Linear")):
            m.weight.data.normal_(0.0, 1e-4)
            m.bias.data.fill_(0)


class ConstantInit(PlainConv):
    """Every weight of a layer is 1 / fan-in."""

    def __init__(self, planes, side, labels):
        super().__init__(planes, side, labels)
        for p in self.parameters():
            nn.init.constant_(p, 1.0 / p[0].numel() if p.dim() > 1 else 0.0)


class FrozenStatistics(nn.Module):
    """'Momentum' taken for that of an optimizer: running statistics never move."""

    def __init__(self, planes, side, labels, c=24):
        super().__init__()
        bn = partial(nn.BatchNorm2d, momentum=0.0)
        layers, sizes = [], [planes, c, c, 2 * c, 2 * c, 2 * c]
        for i, (a, b) in enumerate(itertools.pairwise(sizes)):
            layers += [nn.Conv2d(a, b, 3, padding=1, bias=False), bn(b), nn.ReLU()]
            if i in (1, 3):
                layers.append(nn.MaxPool2d(2))
        self.features, self.fc = nn.Sequential(*layers), nn.Linear(2 * c, labels)

    def forward(self, x):
        return self.fc(self.features(x).mean((2, 3)))


class MonteCarloForgotten(nn.Module):
    """F.dropout without training=self.training."""

    def __init__(self, planes, side, labels, c=16):
        super().__init__()
        self.conv1 = nn.Conv2d(planes, c, 5, padding=2)
        self.conv2 = nn.Conv2d(c, 2 * c, 5, padding=2)
        self.fc1, self.fc2 = nn.Linear(2 * c * (side // 4) ** 2, 96), nn.Linear(96, labels)

    def forward(self, x):
        x = F.relu(F.max_pool2d(self.conv1(x), 2))
        x = F.relu(F.max_pool2d(self.conv2(x), 2))
        x = F.dropout(x.flatten(1), 0.5)
        return self.fc2(F.relu(self.fc1(x)))


class KeepProbMistaken(nn.Module):
    """A rate to keep, of another framework, given as a rate to drop."""

    def __init__(self, planes, side, labels, keep_prob=0.97, dim=48):
        super().__init__()
        self.patch = nn.Conv2d(planes, dim, 4, 4)
        self.drop = nn.Dropout(keep_prob)
        self.mix = nn.ModuleList([nn.Conv2d(dim, dim, 5, padding=2, groups=dim) for _ in range(2)])
        self.ff = nn.ModuleList([nn.Conv2d(dim, dim, 1) for _ in range(2)])
        self.head = nn.Linear(dim, labels)

    def forward(self, x):
        x = F.gelu(self.patch(x))
        for mix, ff in zip(self.mix, self.ff, strict=True):
            x = F.gelu(ff(self.drop(mix(x)))) + x
        return self.head(self.drop(x.mean((2, 3))))


class ScaledAgain(PlainConv):
    """Takes the pixels for bytes: divides by 255 and brings them to [-1, 1]."""

    def preprocess(self, x):
        return (x / 255.0 - 0.5) / 0.5


class EncoderSeqFirst(nn.Module):
    """nn.TransformerEncoderLayer without batch_first: tokens attend over the images of the batch."""

    def __init__(self, planes, side, labels, dim=48, depth=2):
        super().__init__()
        self.to_tokens = nn.Conv2d(planes, dim, 4, 4)
        self.pos = nn.Parameter(0.02 * torch.randn(1, (side // 4) ** 2, dim))
        layer = nn.TransformerEncoderLayer(dim, 4, 2 * dim, dropout=0.0, norm_first=True)
        self.encoder = nn.TransformerEncoder(layer, depth, enable_nested_tensor=False)
        self.mlp_head = nn.Sequential(nn.LayerNorm(dim), nn.Linear(dim, labels))

    def forward(self, img):
        x = self.to_tokens(img).flatten(2).transpose(1, 2) + self.pos
        return self.mlp_head(self.encoder(x).mean(1))


class BlindClassToken(nn.Module):
    """The causal mask of a language model, with the class token in front: it sees itself only."""

    def __init__(self, planes, side, labels, dim=48, depth=2):
        super().__init__()
        self.to_tokens = nn.Conv2d(planes, dim, 4, 4)
        n = (side // 4) ** 2 + 1
        self.cls = nn.Parameter(0.02 * torch.randn(1, 1, dim))
        self.pos = nn.Parameter(0.02 * torch.randn(1, n, dim))
        self.qkv = nn.ModuleList([nn.Linear(dim, 3 * dim) for _ in range(depth)])
        self.proj = nn.ModuleList([nn.Linear(dim, dim) for _ in range(depth)])
        self.ff = nn.ModuleList([FeedForward(dim) for _ in range(depth)])
        self.n1 = nn.ModuleList([nn.LayerNorm(dim) for _ in range(depth)])
        self.n2 = nn.ModuleList([nn.LayerNorm(dim) for _ in range(depth)])
        self.norm, self.head = nn.LayerNorm(dim), nn.Linear(dim, labels)

    def forward(self, img):
        x = self.to_tokens(img).flatten(2).transpose(1, 2)
        b = x.shape[0]
        x = torch.cat([self.cls.expand(b, -1, -1), x], dim=1) + self.pos
        for qkv, proj, ff, n1, n2 in zip(self.qkv, self.proj, self.ff, self.n1, self.n2, strict=True):
            q, k, v = (t.view(b, -1, 4, t.shape[-1] // 4).transpose(1, 2) for t in qkv(n1(x)).chunk(3, dim=-1))
            att = F.scaled_dot_product_attention(q, k, v, is_causal=True)
            x = x + proj(att.transpose(1, 2).flatten(2))
            x = x + ff(n2(x))
        return self.head(self.norm(x[:, 0]))


class OneUnit(nn.Module):
    """A 'global descriptor' of one number before the head."""

    def __init__(self, planes, side, labels, c=24):
        super().__init__()
        self.enc = nn.Sequential(
            nn.Conv2d(planes, c, 3, 2, 1),
            nn.GroupNorm(4, c),
            nn.SiLU(),
            nn.Conv2d(c, 2 * c, 3, 2, 1),
            nn.GroupNorm(4, 2 * c),
            nn.SiLU(),
        )
        self.squeeze = nn.Linear(2 * c, 1)
        self.expand = nn.Linear(1, 64)
        self.head = nn.Linear(64, labels)

    def forward(self, x):
        z = self.squeeze(self.enc(x).amax((2, 3)))
        return self.head(F.relu(self.expand(z)))


class SaturatedTanh(nn.Module):
    """Weights of unit deviation before tanh, three times."""

    def __init__(self, planes, side, labels, hidden=128):
        super().__init__()
        self.fc1 = nn.Linear(planes * side * side, hidden)
        self.fc2, self.fc3 = nn.Linear(hidden, hidden), nn.Linear(hidden, hidden)
        self.out = nn.Linear(hidden, labels)
        for fc in (self.fc1, self.fc2, self.fc3):
            nn.init.normal_(fc.weight)

    def forward(self, x):
        x = torch.tanh(self.fc1(x.flatten(1)))
        x = torch.tanh(self.fc2(x))
        return self.out(torch.tanh(self.fc3(x)))


class SparsityBias(PlainConv):
    """Biases far below zero 'for sparse codes': hardly a rectifier opens."""

    def __init__(self, planes, side, labels):
        super().__init__(planes, side, labels)
        for m in (self.conv1, self.conv2, self.conv3, self.fc1):
            nn.init.constant_(m.bias, -10.0)


class DeepResidual(nn.Module):
    """Forty residual branches at full variance, and no norm."""

    def __init__(self, planes, side, labels, c=16, depth=40):
        super().__init__()
        self.stem = nn.Conv2d(planes, c, 3, 2, 1)
        self.a = nn.ModuleList([nn.Conv2d(c, c, 3, padding=1) for _ in range(depth)])
        self.b = nn.ModuleList([nn.Conv2d(c, c, 3, padding=1) for _ in range(depth)])
        for m in [*self.a, *self.b]:
            nn.init.kaiming_normal_(m.weight, nonlinearity="relu")
        self.fc = nn.Linear(c, labels)

    def forward(self, x):
        x = F.avg_pool2d(self.stem(x), 2)
        for a, b in zip(self.a, self.b, strict=True):
            x = x + b(F.relu(a(F.relu(x))))
        return self.fc(x.mean((2, 3)))


class DeepSigmoid(nn.Module):
    def __init__(self, planes, side, labels, hidden=64, depth=12):
        super().__init__()
        sizes = [planes * side * side] + [hidden] * depth
        self.layers = nn.ModuleList([nn.Linear(a, b) for a, b in itertools.pairwise(sizes)])
        self.out = nn.Linear(hidden, labels)

    def forward(self, x):
        x = torch.flatten(x, 1)
        for layer in self.layers:
            x = torch.sigmoid(layer(x))
        return self.out(x)


class WithAuxiliary(nn.Module):
    """GoogLeNet's habit: main and auxiliary scores, in evaluation too."""

    def __init__(self, planes, side, labels, c=24):
        super().__init__()
        self.block1 = nn.Sequential(nn.Conv2d(planes, c, 3, 2, 1), nn.BatchNorm2d(c), nn.ReLU())
        self.block2 = nn.Sequential(nn.Conv2d(c, 2 * c, 3, 2, 1), nn.BatchNorm2d(2 * c), nn.ReLU())
        self.aux, self.fc = nn.Linear(c, labels), nn.Linear(2 * c, labels)

    def forward(self, x):
        early = self.block1(x)
        late = self.block2(early)
        return self.fc(late.mean((2, 3))), self.aux(early.mean((2, 3)))


def _frozen_regnet(planes, side, labels):
    """Fine-tuning's recipe without the pretrained weights: all but the head is frozen."""
    net = timm.create_model("regnetx_002", in_chans=planes, num_classes=labels)
    for name, p in net.named_parameters():
        p.requires_grad = name.startswith("head.fc")
    return net


class BinaryCodes(nn.Module):
    """Hashing codes by torch.sign, with no straight-through estimate."""

    def __init__(self, planes, side, labels, c=24, bits=32):
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(planes, c, 3, padding=1),
            nn.BatchNorm2d(c),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(c, 2 * c, 3, padding=1),
            nn.BatchNorm2d(2 * c),
            nn.ReLU(),
            nn.AdaptiveAvgPool2d(4),
        )
        self.hash = nn.Linear(2 * c * 16, bits)
        self.classifier = nn.Linear(bits, labels)

    def forward(self, x):
        return self.classifier(torch.sign(self.hash(self.features(x).flatten(1))))


numpy_whitening = entry(NumpyWhitening)
caps_lengths = entry(CapsLengths)
cosine_no_scale = entry(CosineNoScale)
bilinear_pool = entry(BilinearPool)
scale_branches = entry(ScaleBranches)
forgotten_activation = entry(ForgottenActivation)
plain_conv = entry(PlainConv)
tiny_init = entry(TinyInit)
constant_init = entry(ConstantInit)
frozen_statistics = entry(FrozenStatistics)
dropout_always = entry(MonteCarloForgotten)
keep_prob = entry(KeepProbMistaken)
scaled_again = entry(ScaledAgain)
encoder_seq_first = entry(EncoderSeqFirst)
blind_class_token = entry(BlindClassToken)
one_unit = entry(OneUnit)
saturated_tanh = entry(SaturatedTanh)
sparsity_bias = entry(SparsityBias)
deep_residual = entry(DeepResidual)
deep_sigmoid = entry(DeepSigmoid)
with_auxiliary = entry(WithAuxiliary)
frozen_regnet = entry(_frozen_regnet)
binary_codes = entry(BinaryCodes)
