"""Set-ups that were written, by somebody who had not seen the checks, when these were held to be right."""

from typing import Any

from public_setup import PublicSetup

PIXELS = {  # planes, side, classes
    "stripes4": (3, 32, 4),
    "shapes6": (3, 32, 6),
    "digits10": (1, 24, 10),
    "spots4": (1, 28, 4),
    "grains5": (3, 32, 5),
    "pair_small": (3, 24, 2),
    "shapes_uneven": (3, 28, 3),
    "boards3": (1, 16, 3),
    "letters12": (1, 28, 12),
    "hues6": (3, 20, 6),
    "moods64": (3, 64, 3),
    "letters_pair40": (1, 40, 2),
    "shapes_permuted": (3, 32, 6),
}


def _module(network: str, images: str) -> dict[str, Any]:
    planes, side, labels = PIXELS[images]
    return {
        "kind": "module",
        "path": f"others_networks_9:{network}",
        "arguments": {"planes": planes, "side": side, "labels": labels},
    }


def _settings(kind: str, batch: int, rates: str, decay: str = "[1e-6,1e-2]") -> tuple[str, ...]:
    return (
        f"optimizer.kind={kind}",
        f"optimizer.batch_size={batch}",
        f"search.coarse.learning_rate={rates}",
        f"search.coarse.weight_decay={decay}",
    )


def _sound(network: str, images: str, settings: tuple[str, ...], why: str) -> PublicSetup:
    return PublicSetup(f"{network.replace('_', ' ')}, unseen", images, _module(network, images), settings, why=why)


def _faulty(
    network: str, images: str, settings: tuple[str, ...], families: tuple[str, ...], why: str, name: str = ""
) -> PublicSetup:
    return PublicSetup(
        f"{(name or network).replace('_', ' ')}, unseen", images, _module(network, images), settings, families, why=why
    )


SGD = _settings("sgd", 32, "[1e-3,1e-1]")
ADAM = _settings("adam", 32, "[1e-4,1e-2]")
ADAMW = _settings("adamw", 32, "[1e-4,3e-3]")

UNSEEN_HEALTHY: list[PublicSetup] = [
    _sound(
        "spatial_transformer", "digits10", _settings("sgd", 32, "[1e-3,5e-2]"), "STN tutorial, log_softmax at the end"
    ),
    _sound("siren", "digits10", _settings("adam", 32, "[1e-5,1e-3]"), "sine activations, SIREN's initialization"),
    _sound("perceiver", "hues6", ADAMW, "latents read pixels with Fourier places; weights shared over two rounds"),
    _sound("row_lstm", "letters12", ADAM, "two-layer bidirectional LSTM over rows"),
    _sound("weight_norm_net", "shapes_uneven", ADAM, "weight-normed convolutions, max pooled"),
    _sound("spectral_norm_net", "stripes4", ADAM, "spectral-normed discriminator body, plain head"),
    _sound("nfnet", "grains5", SGD, "scaled weight standardization, SkipInit from zero"),
    _sound(
        "rezero_transformer", "boards3", _settings("adam", 16, "[1e-4,5e-3]"), "no norms, residual weights from zero"
    ),
    _sound("gmlp", "stripes4", ADAMW, "timm's gMLP blocks: spatial gating"),
    _sound("unet_encoder", "moods64", ADAMW, "U-Net with one step up, GroupNorm, SiLU, pooled head"),
    _sound("se_resnet", "shapes6", SGD, "squeeze-excite residual net, stochastic depth by hand"),
    _sound("attention_mil", "hues6", ADAM, "gated attention pooling over places"),
    _sound("shufflenet", "shapes_uneven", ADAM, "torchvision ShuffleNet V2: channel shuffle, depthwise, batch norm"),
    _sound("densenet", "shapes6", SGD, "small torchvision DenseNet"),
    _sound("convnext_atto", "letters_pair40", ADAMW, "timm ConvNeXt: layer scale, stochastic depth"),
    _sound("swin", "grains5", ADAMW, "small torchvision Swin: shifted windows"),
    _sound(
        "capsnet", "digits10", _settings("adam", 32, "[1e-4,5e-3]"), "routed capsules, poses read by a linear layer"
    ),
    _sound("cosine_net", "letters12", SGD, "cosine head with a learnt scale from 6"),
    _sound("wavelet_net", "boards3", _settings("sgd", 16, "[1e-3,5e-2]"), "fixed Haar transform, InstanceNorm, ELU"),
    _sound("glu_convnet", "letters12", ADAMW, "gated depthwise convolutions, LayerNorm2d"),
    _sound("orthogonal_tanh", "digits10", SGD, "orthogonal initialization, tanh"),
    _sound("dropblock_net", "spots4", SGD, "DropBlock by hand, batch norm"),
    _sound("fnet", "stripes4", ADAMW, "Fourier token mixing, RMSNorm, SwiGLU"),
    _sound("multi_scale", "pair_small", _settings("sgd", 16, "[1e-3,1e-1]"), "inception blocks, head of zeros"),
]

UNSEEN_FAULTY: list[PublicSetup] = [
    _faulty(
        "numpy_whitening",
        "shapes6",
        ADAM,
        ("detached", "first layers get no gradient", "non-differentiable", "frozen"),
        "features go through numpy, so convolutions never learn",
    ),
    _faulty(
        "caps_lengths",
        "digits10",
        _settings("adam", 32, "[1e-4,5e-3]"),
        ("squashed scores",),
        "lengths of capsules, below 1, as scores of the cross-entropy",
    ),
    _faulty("cosine_no_scale", "letters12", SGD, ("squashed scores",), "cosines without a scale as scores"),
    _faulty(
        "bilinear_pool",
        "stripes4",
        ADAM,
        ("not finite", "exploding"),
        "signed roots by torch.where: finite scores, NaN gradients",
    ),
    _faulty(
        "scale_branches",
        "grains5",
        ADAM,
        ("not registered", "frozen", "first layers get no gradient"),
        "branches in a plain dict",
    ),
    _faulty("forgotten_activation", "shapes6", ADAM, ("missing activation",), "no activation is ever called"),
    _faulty(
        "plain_conv",
        "letters12",
        _settings("sgd", 32, "[1e-8,1e-6]"),
        ("rates too low",),
        "rates of SGD a hundred thousand times too low",
        name="rates_crawl",
    ),
    _faulty(
        "tiny_init",
        "letters12",
        _settings("sgd", 32, "[1e-3,1e-1]"),
        ("collapsing", "vanishing", "bad initial weights", "input ignored", "first layers get no gradient"),
        "initial weights of deviation 1e-4",
    ),
    _faulty("constant_init", "shapes_uneven", SGD, ("identical neurons",), "1 / fan-in everywhere"),
    _faulty("frozen_statistics", "spots4", SGD, ("batch norm", "training differs"), "batch norm with momentum 0"),
    _faulty(
        "dropout_always",
        "digits10",
        _settings("sgd", 32, "[1e-3,5e-2]"),
        ("random in evaluation",),
        "F.dropout without training=self.training",
    ),
    _faulty("keep_prob", "letters12", ADAM, ("too much dropout", "training differs"), "dropout of 0.97"),
    _faulty(
        "scaled_again",
        "shapes6",
        SGD,
        ("normalized twice", "inputs hardly differ", "input ignored", "collapsing"),
        "normalized pixels divided by 255 once more",
    ),
    _faulty("encoder_seq_first", "hues6", ADAMW, ("images mix",), "no batch_first: attention over the batch"),
    _faulty(
        "blind_class_token",
        "boards3",
        _settings("adamw", 16, "[1e-4,3e-3]"),
        ("input ignored", "first layers get no gradient", "detached"),
        "causal mask: the class token in front sees nothing of the picture",
    ),
    _faulty("one_unit", "letters12", ADAM, ("bottleneck",), "one number between encoder and head"),
    _faulty("saturated_tanh", "digits10", SGD, ("saturating", "bad initial weights"), "unit-deviation weights, tanh"),
    _faulty(
        "sparsity_bias",
        "spots4",
        SGD,
        ("dying", "collapsing", "vanishing", "input ignored", "first layers get no gradient"),
        "biases of -10 before rectifiers",
    ),
    _faulty(
        "deep_residual",
        "grains5",
        SGD,
        ("exploding", "not finite", "bad initial weights"),
        "40 residual branches without norm",
    ),
    _faulty(
        "deep_sigmoid",
        "digits10",
        SGD,
        ("vanishing", "saturating", "collapsing", "input ignored", "first layers get no gradient"),
        "12 sigmoid layers",
    ),
    _faulty("with_auxiliary", "shapes_uneven", SGD, ("wrong output",), "forward returns main and auxiliary scores"),
    _faulty(
        "plain_conv",
        "pair_small",
        _settings("sgd", 16, "[1e-3,5e-2]", "[1e2,1e4]"),
        ("regularization huge",),
        "weight decay of 100 to 10,000",
        name="decay_huge",
    ),
    _faulty(
        "binary_codes",
        "letters12",
        ADAM,
        ("non-differentiable", "first layers get no gradient", "detached", "frozen"),
        "torch.sign in the middle: no gradient",
    ),
    _faulty(
        "plain_conv",
        "shapes_permuted",
        _settings("sgd", 32, "[1e-3,5e-2]"),
        ("labels",),
        "sound network, permuted labels",
        name="labels_permuted",
    ),
]
