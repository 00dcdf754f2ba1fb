"""Sound set-ups as other people write them: a check that finds fault with one of these is wrong."""

from typing import Any

from others_unseen import UNSEEN_HEALTHY
from public_setup import PublicSetup


def module(function: str, part: int = 1, /, **arguments: Any) -> dict[str, Any]:
    """A network of ``others_networks.py`` (1) or of a later file."""
    file = "others_networks" if part == 1 else f"others_networks_{part}"
    return {"kind": "module", "path": f"{file}:{function}", "arguments": arguments}


def own(name: str) -> dict[str, Any]:
    """A network built by torchvision itself."""
    return {"kind": "torchvision", "name": name}


def model_of_timm(name: str, **arguments: Any) -> dict[str, Any]:
    """A model of timm."""
    return module("timm_model", 4, name=name, **arguments)


def model_of_torchvision(name: str, factor: int = 1) -> dict[str, Any]:
    """A model of torchvision in a factory."""
    return module("torchvision_model", 4, name=name, factor=factor)


ADAM = "optimizer.kind=adam"
ADAMW = "optimizer.kind=adamw"
ADAM_RATES = "search.coarse.learning_rate=[1e-4,3e-2]"
SGD_RATES = "search.coarse.learning_rate=[1e-3,3e-1]"
DECAYS = "search.coarse.weight_decay=[1e-6,1e-2]"

HEALTHY: list[PublicSetup] = [
    PublicSetup("functional cnn on shapes", "shapes6", module("FunctionalCnn")),
    PublicSetup("functional cnn, no dropout, digits", "digits10", module("FunctionalCnn", dropout=0.0)),
    PublicSetup(
        "functional cnn, half dropped, letters, adam",
        "letters12",
        module("FunctionalCnn", dropout=0.5),
        (ADAM, ADAM_RATES),
    ),
    PublicSetup("functional cnn on two classes", "letters_pair40", module("FunctionalCnn"), (ADAM, ADAM_RATES)),
    PublicSetup(
        "log softmax at the end",
        "digits10",
        module("LogSoftmaxCnn"),
        why="log-probabilities pass through cross-entropy unchanged",
    ),
    PublicSetup("in-place activations, three norms", "stripes4", module("InPlaceCnn")),
    PublicSetup(
        "in-place activations, 150 images", "pair_small", module("InPlaceCnn", width=16), ("optimizer.batch_size=32",)
    ),
    PublicSetup("gelu", "grains5", module("PlainActivationCnn", activation="gelu")),
    PublicSetup("tanh", "stripes4", module("PlainActivationCnn", activation="tanh"), (SGD_RATES,)),
    PublicSetup("mish", "letters12", module("PlainActivationCnn", activation="mish"), (ADAMW, ADAM_RATES)),
    PublicSetup("elu", "boards3", module("PlainActivationCnn", activation="elu"), ("optimizer.batch_size=32",)),
    PublicSetup("swish by hand", "hues6", module("PlainActivationCnn", activation="swish")),
    PublicSetup(
        "hardswish",
        "shapes6",
        module("PlainActivationCnn", activation="hardswish"),
        ("optimizer.augmentation=flip_crop",),
    ),
    PublicSetup("relu6", "digits10", module("PlainActivationCnn", activation="relu6")),
    PublicSetup("softplus", "grains5", module("PlainActivationCnn", activation="softplus")),
    PublicSetup(
        "leaky relu, noisy labels",
        "stripes_noisy_labels",
        module("PlainActivationCnn", activation="leaky"),
        why="one label in ten is wrong, which a network lives with",
    ),
    PublicSetup("squared relu", "letters12", module("PlainActivationCnn", activation="squared_relu")),
    PublicSetup(
        "prelu with one shared slope",
        "shapes_uneven",
        module("PlainActivationCnn", activation="prelu"),
        why="classes of 1000, 300 and 100 images",
    ),
    PublicSetup("sine after batch norm", "stripes4", module("PlainActivationCnn", activation="sine")),
    PublicSetup("resnet, zero gamma", "shapes6", module("small_resnet")),
    PublicSetup("resnet, zero gamma and zero head", "digits10", module("small_resnet", zero_head=True)),
    PublicSetup("resnet, stochastic depth", "stripes4", module("small_resnet", drop=0.2)),
    PublicSetup(
        "resnet, squeeze-excite",
        "grains5",
        module("small_resnet", squeeze=True, zero_gamma=False),
        ("optimizer.augmentation=flip_crop",),
    ),
    PublicSetup("resnet without momentum", "stripes4", module("small_resnet"), ("optimizer.momentum=0.0", SGD_RATES)),
    PublicSetup("resnet with decays given", "shapes_uneven", module("small_resnet", squeeze=True), (DECAYS,)),
    PublicSetup(
        "inverted bottlenecks",
        "letters12",
        module("MobileLike"),
        why="the projection of a MobileNetV2 block has no activation on purpose",
    ),
    PublicSetup("inception branches", "shapes6", module("InceptionLike")),
    PublicSetup("weight norm", "digits10", module("normed_weights_cnn", kind="weight")),
    PublicSetup("spectral norm", "digits10", module("normed_weights_cnn", kind="spectral"), (ADAM, ADAM_RATES)),
    PublicSetup("vit by hand", "stripes4", module("HandWrittenVit", 2), (ADAM, ADAM_RATES)),
    PublicSetup(
        "vit by hand, mean token, zero head",
        "digits10",
        module("HandWrittenVit", 2, token=False, zero_head=True),
        (ADAMW, ADAM_RATES),
    ),
    PublicSetup(
        "vit by hand, layer scale 1e-4",
        "digits10",
        module("HandWrittenVit", 2, scale=1e-4, token=False),
        (ADAMW, ADAM_RATES),
    ),
    PublicSetup(
        "vit by hand, rezero and glu",
        "letters12",
        module("HandWrittenVit", 2, scale=0.0, gated=True, token=False),
        (ADAMW, ADAM_RATES),
    ),
    PublicSetup("vit by hand, dropout, sgd", "digits10", module("HandWrittenVit", 2, dropout=0.1)),
    PublicSetup("torch encoder, post-norm", "digits10", module("TorchEncoderVit", 2), (ADAM, ADAM_RATES)),
    PublicSetup(
        "torch encoder, pre-norm",
        "letters12",
        module("TorchEncoderVit", 2, norm_first=True),
        (ADAMW, ADAM_RATES, DECAYS),
    ),
    PublicSetup("mixer by hand", "digits10", module("MixerByHand", 2), (ADAM, ADAM_RATES)),
    PublicSetup("attention pooling", "hues6", module("AttentionPoolCnn", 2)),
    PublicSetup(
        "perceiver in small",
        "digits10",
        module("PerceiverLite", 2),
        (ADAM, ADAM_RATES),
        why="the same cross-attention is used twice",
    ),
    PublicSetup("convnext by hand", "grains5", module("ConvNextByHand", 2), (ADAMW, ADAM_RATES)),
    PublicSetup(
        "softmax regression from zero",
        "digits10",
        module("SoftmaxRegression", 3),
        why="a linear model is a choice, not a missing activation",
    ),
    PublicSetup("softmax regression, adam", "letters12", module("SoftmaxRegression", 3), (ADAM, ADAM_RATES)),
    PublicSetup("self-normalising perceptron", "digits10", module("SelfNormalisingMlp", 3)),
    PublicSetup("sine perceptron", "digits10", module("SineMlp", 3), (ADAM, ADAM_RATES)),
    PublicSetup(
        "low-rank perceptron",
        "digits10",
        module("LowRankMlp", 3),
        why="two linear layers in a row are a factorised layer, on purpose",
    ),
    PublicSetup(
        "lora perceptron",
        "digits10",
        module("lora_mlp", 3),
        (ADAM, ADAM_RATES),
        why="two linear layers in a row are a low-rank correction that starts at 0, on purpose",
    ),
    PublicSetup("highway perceptron", "digits10", module("HighwayMlp", 3)),
    PublicSetup("maxout", "shapes6", module("MaxoutCnn", 3)),
    PublicSetup("gru over rows", "digits10", module("RowReader", 3), (ADAM, ADAM_RATES)),
    PublicSetup(
        "lstm over rows",
        "letters_pair40",
        module("RowReader", 3, kind="lstm"),
        (ADAM, ADAM_RATES, "optimizer.batch_size=32"),
    ),
    PublicSetup("radial basis scores", "grains5", module("RadialBasis", 3)),
    PublicSetup("cosine head", "hues6", module("CosineHeadCnn", 3)),
    PublicSetup("bilinear pooling", "grains5", module("BilinearPoolCnn", 3)),
    PublicSetup("spatial transformer", "letters12", module("SpatialTransformerCnn", 4)),
    PublicSetup("capsule squash", "digits10", module("CapsuleLike", 4)),
    PublicSetup("generated filters", "stripes4", module("HyperCnn", 4)),
    PublicSetup("tied convolution", "shapes6", module("TiedCnn", 4)),
    PublicSetup("lazy layers", "letters12", module("lazy_cnn", 4)),
    PublicSetup("lazy layers on 64 pixels", "moods64", module("lazy_cnn", 4), (ADAM, ADAM_RATES)),
    PublicSetup("noise in training", "spots4", module("NoisyCnn", 4), ("optimizer.augmentation=flip_crop",)),
    PublicSetup("rezero convolutions", "shapes6", module("ReZeroCnn", 4), (ADAM, ADAM_RATES)),
    PublicSetup("gated convolutions", "digits10", module("GatedCnn", 4), (ADAM, ADAM_RATES)),
    PublicSetup("timm resnet10t", "shapes6", model_of_timm("resnet10t")),
    PublicSetup(
        "timm vit tiny, patch 4",
        "stripes4",
        model_of_timm("vit_tiny_patch16_224", patch_size=4, depth=3, sized=True, drop_path_rate=0.1),
        (ADAMW, "search.coarse.learning_rate=[1e-5,1e-2]"),
    ),
    PublicSetup("timm mobilenetv3 small", "stripes4", model_of_timm("mobilenetv3_small_050", factor=2)),
    PublicSetup(
        "timm convnext atto", "stripes4", model_of_timm("convnext_atto", drop_path_rate=0.1), (ADAMW, ADAM_RATES)
    ),
    PublicSetup("timm efficientnet lite", "hues6", model_of_timm("efficientnet_lite0", factor=2)),
    PublicSetup("timm mixer", "digits10", module("timm_mixer", 4), (ADAM, ADAM_RATES)),
    PublicSetup("timm ghostnet", "grains5", model_of_timm("ghostnet_050", factor=2)),
    PublicSetup("timm regnet on grey", "digits10", model_of_timm("regnetx_002", factor=2)),
    PublicSetup("timm edgenext", "moods64", model_of_timm("edgenext_xx_small"), (ADAMW, ADAM_RATES)),
    PublicSetup("torchvision swin", "stripes4", own("swin_t"), (ADAMW, "search.coarse.learning_rate=[1e-5,1e-2]")),
    PublicSetup("torchvision efficientnet", "grains5", own("efficientnet_b0"), (ADAM, ADAM_RATES)),
    PublicSetup(
        "torchvision squeezenet",
        "moods64",
        own("squeezenet1_1"),
        (ADAM, "search.coarse.learning_rate=[1e-5,1e-2]"),
        why="its scores pass a relu before they are averaged, as published",
    ),
    PublicSetup("torchvision densenet", "stripes4", own("densenet121")),
    PublicSetup("torchvision shufflenet", "shapes6", own("shufflenet_v2_x0_5")),
    PublicSetup("torchvision resnet18", "stripes_noisy_labels", own("resnet18")),
    PublicSetup("torchvision mobilenet v2 on enlarged images", "grains5", model_of_torchvision("mobilenet_v2", 2)),
    PublicSetup("torchvision regnet", "shapes6", own("regnet_y_400mf")),
    PublicSetup("torchvision googlenet without side heads", "stripes4", model_of_torchvision("googlenet")),
    PublicSetup("torchvision resnet18 with a small stem, grey", "boards3", module("cifar_resnet18", 4)),
    PublicSetup("torchvision vit, small", "stripes4", module("torchvision_vit", 4), (ADAM, ADAM_RATES)),
    *UNSEEN_HEALTHY,
]

# Published models that fit their training images at once, yet are at or near chance in evaluation for many steps:
# two since the running statistics of their batch norms move very slowly, one since it learns its few images by heart.
UNSURE: list[PublicSetup] = [
    PublicSetup(
        "torchvision mobilenet v3",
        "hues6",
        own("mobilenet_v3_small"),
        (ADAM, ADAM_RATES),
        families=("batch norm", "training differs"),
        why="momentum 0.01 in all batch norms, as published",
    ),
    PublicSetup(
        "torchvision mnasnet on enlarged images",
        "grains5",
        model_of_torchvision("mnasnet0_5", 2),
        families=("batch norm", "training differs", "bad initial weights"),
        why="momentum 0.0003 in all batch norms and a first loss of 12, as published",
    ),
    PublicSetup(
        "torchvision convnext",
        "grains5",
        own("convnext_tiny"),
        (ADAMW, "search.coarse.learning_rate=[1e-5,1e-2]"),
        why="held-out accuracy 0.31 after 60 steps",
    ),
]
