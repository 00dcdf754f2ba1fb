"""Faults that people really make, each in a set-up that is sound without it, and the words that name its family."""

import copy
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
from setups import CONVNET, MLP, TWO_LAYER, Make, normalized, on, setup
from torch import Tensor, nn
from torch.nn import functional
from zoo_data import Images, digits, split, statistics, stripes

from sanefit.components.sanity_checks.setup import Setup


@dataclass(frozen=True)
class Fault:
    """``family``: one of these must be said by a check that does not pass."""

    name: str
    make: Make
    family: tuple[str, ...]


FAULTS: list[Fault] = []


def fault(*family: str) -> Callable[[Make], Make]:
    """Register a set-up with a fault."""

    def register(make: Make) -> Make:
        FAULTS.append(Fault(make.__name__, make, family))
        return make

    return register


# Labels and splits


@fault("shuffled")
def labels_shuffled() -> Setup:
    images = digits()
    random = torch.Generator().manual_seed(1)
    train, validation = (
        labels[torch.randperm(len(labels), generator=random)]
        for labels in (images.train_labels, images.validation_labels)
    )
    return setup(replace(images, train_labels=train, validation_labels=validation), MLP)


@fault("belong to other images", "those of other images")
def labels_one_image_late() -> Setup:
    images = stripes()
    late = replace(images, train_labels=images.train_labels.roll(1), validation_labels=images.validation_labels.roll(1))
    return setup(late, CONVNET)


@fault("start at 1")
def labels_start_at_one() -> Setup:
    images = digits()
    return setup(
        replace(images, train_labels=images.train_labels + 1, validation_labels=images.validation_labels + 1), MLP
    )


@fault("labels from -1")
def labels_of_minus_one() -> Setup:
    images = digits()
    labels = images.train_labels.clone()
    labels[:5] = -1
    return setup(replace(images, train_labels=labels), MLP)


@fault("no validation image")
def class_missing_in_validation() -> Setup:
    images = digits()
    kept = images.validation_labels != 3
    return setup(
        replace(
            images,
            validation_pixels=images.validation_pixels[kept],
            validation_labels=images.validation_labels[kept],
        ),
        MLP,
    )


@fault("no training image")
def class_missing_in_training() -> Setup:
    images = digits()
    kept = images.train_labels != 3
    return setup(
        replace(images, train_pixels=images.train_pixels[kept], train_labels=images.train_labels[kept]), TWO_LAYER
    )


@fault("leaked")
def validation_images_in_training() -> Setup:
    images = digits()
    pixels = torch.cat([images.train_pixels, images.validation_pixels[:100]])
    labels = torch.cat([images.train_labels, images.validation_labels[:100]])
    return setup(replace(images, train_pixels=pixels, train_labels=labels), MLP)


@fault("channels swapped")
def channels_swapped_in_validation() -> Setup:
    images = stripes()
    return setup(replace(images, validation_pixels=images.validation_pixels.flip(-1)), CONVNET)


@fault("read differently")
def validation_on_another_scale() -> Setup:
    images = digits()
    return setup(replace(images, validation_pixels=images.validation_pixels // 255), CONVNET)


# Inputs


@fault("normalize the pixels")
def inputs_not_normalized() -> Setup:
    images = stripes()
    none = statistics(images).model_copy(update={"shift": [0.0] * 3, "scale": [1.0] * 3})
    return setup(images, CONVNET, stats=none)


@fault("normalizing twice")
def inputs_normalized_twice() -> Setup:
    images = stripes()
    stats = statistics(images)
    network = copy.deepcopy(setup(images, CONVNET).classifier)
    return on(images, nn.Sequential(_Again(stats.shift, stats.scale), network))


class _Again(nn.Module):
    """Normalizes, and gives the result as if it were pixels."""

    def __init__(self, shift: list[float], scale: list[float]) -> None:
        super().__init__()
        self.shift, self.scale = torch.tensor(shift), torch.tensor(scale)

    def forward(self, pixels: Tensor) -> Tensor:
        return (pixels - self.shift) / self.scale


@fault("dividing by 255 twice")
def inputs_divided_twice() -> Setup:
    images = digits()
    stats = statistics(images).model_copy(update={"shift": [0.0], "scale": [255.0**2]})
    return setup(images, MLP, stats=stats)


@fault("normalize the pixels", "hardly differ")
def images_all_black() -> Setup:
    images = digits()
    black = replace(
        images,
        train_pixels=torch.zeros_like(images.train_pixels),
        validation_pixels=torch.zeros_like(images.validation_pixels),
    )
    return setup(black, MLP, stats=statistics(images))


# Weights


@fault("identical neurons")
def weights_zero() -> Setup:
    return setup(digits(), {**CONVNET, "init": "zeros"})


@fault("collapsing")
def weights_tiny() -> Setup:
    return setup(digits(), {**MLP, "depth": 5, "init": "gaussian:1e-3", "activation": "tanh"})


@fault("saturating")
def weights_huge_with_tanh() -> Setup:
    return setup(digits(), {**MLP, "depth": 6, "init": "gaussian:1", "activation": "tanh"})


@fault("lower the initial weights")
def weights_huge_with_relu() -> Setup:
    return setup(digits(), {**TWO_LAYER, "init": "gaussian:1"})


@fault("vanishing", "collapsing")
def ten_layers_of_sigmoid() -> Setup:
    return setup(digits(), {**MLP, "depth": 10, "activation": "sigmoid"})


@fault("dying")
def relus_dead_from_negative_biases() -> Setup:
    dead = setup(digits(), MLP)
    for module in dead.classifier.modules():
        if isinstance(module, nn.Linear) and module.out_features == 64:
            nn.init.constant_(module.bias, -10.0)
    return dead


# The network


def _with_head(network: dict[str, Any], head: nn.Module, images: Images | None = None) -> Setup:
    images = images or digits()
    return on(images, nn.Sequential(setup(images, network).classifier, head))


@fault("softmax")
def softmax_before_the_cross_entropy() -> Setup:
    return _with_head(MLP, nn.Softmax(dim=1))


@fault("sigmoid")
def sigmoid_before_the_cross_entropy() -> Setup:
    return _with_head(CONVNET, nn.Sigmoid())


@fault("an activation stands after the output layer")
def relu_after_the_output_layer() -> Setup:
    return _with_head(MLP, nn.ReLU())


@fault("after the output layer")
def tanh_after_the_output_layer() -> Setup:
    return _with_head(MLP, nn.Tanh())


@fault("missing activation")
def no_activation_at_all() -> Setup:
    images = digits()
    return on(
        images, normalized(images, nn.Sequential(nn.Flatten(), nn.Linear(64, 50), nn.Linear(50, 50), nn.Linear(50, 10)))
    )


@fault("missing activation")
def one_activation_forgotten() -> Setup:
    images = digits()
    layers = [nn.Flatten(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 64), nn.Linear(64, 64), nn.ReLU()]
    return on(images, normalized(images, nn.Sequential(*layers, nn.Linear(64, 10))))


@fault("missing activation")
def activation_forgotten_behind_batch_norm() -> Setup:
    images = digits()
    layers = [nn.Conv2d(1, 8, 3, padding=1), nn.BatchNorm2d(8), nn.Conv2d(8, 8, 3, padding=1), nn.ReLU()]
    return on(images, normalized(images, nn.Sequential(*layers, nn.Flatten(), nn.Linear(512, 10))))


@fault("wrong number of classes")
def one_class_too_few() -> Setup:
    images = digits()
    return replace(setup(replace(images, classes=9), MLP), classes=10)


@fault("wrong number of classes")
def outputs_of_another_data_set() -> Setup:
    images = digits()
    return replace(setup(replace(images, classes=100), CONVNET), classes=10)


class _StaysInEvaluation(nn.Module):
    """Its batch norm never trains."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def train(self, mode: bool = True) -> "_StaysInEvaluation":
        del mode
        super().train(False)
        return self

    def forward(self, pixels: Tensor) -> Tensor:
        scores: Tensor = self.inner(pixels)
        return scores


@fault("stays in evaluation mode")
def batch_norm_left_in_evaluation() -> Setup:
    images = digits()
    return on(images, _StaysInEvaluation(setup(images, CONVNET).classifier).train())


def _each_norm(change: Callable[[nn.BatchNorm2d], None]) -> Setup:
    changed = setup(digits(), CONVNET)
    for module in changed.classifier.modules():
        if isinstance(module, nn.BatchNorm2d):
            change(module)
    return changed


@fault("momentum 0")
def batch_norm_with_momentum_zero() -> Setup:
    return _each_norm(lambda norm: setattr(norm, "momentum", 0.0))


@fault("depends on its batch")
def batch_norm_without_averages() -> Setup:
    def forget(norm: nn.BatchNorm2d) -> None:
        norm.track_running_stats = False
        norm.running_mean = norm.running_var = None

    return _each_norm(forget)


@fault("dropout")
def dropout_of_99_percent() -> Setup:
    return setup(digits(), {**CONVNET, "dropout": 0.99})


class _AlwaysDrops(nn.Module):
    def forward(self, scores: Tensor) -> Tensor:
        return functional.dropout(scores, 0.5, training=True)


@fault("evaluation is random")
def dropout_in_evaluation() -> Setup:
    images = digits()
    layers = [nn.Flatten(), nn.Linear(64, 64), nn.ReLU(), _AlwaysDrops(), nn.Linear(64, 10)]
    return on(images, normalized(images, nn.Sequential(*layers)))


class _CentersInTraining(nn.Module):
    def forward(self, values: Tensor) -> Tensor:
        return values - 1.0 if self.training else values


@fault("differently in training")
def shifts_its_input_in_training_alone() -> Setup:
    images = digits()
    layers = [_CentersInTraining(), nn.Flatten(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 10)]
    return on(images, normalized(images, nn.Sequential(*layers)))


# The training


@fault("wrong sign")
def loss_with_the_wrong_sign() -> Setup:
    return setup(digits(), MLP, loss=lambda scores, labels: -functional.cross_entropy(scores, labels))


@fault("zero_grad")
def gradients_not_cleared() -> Setup:
    def step(optimizer: torch.optim.Optimizer, loss: Tensor) -> None:
        loss.backward()
        optimizer.step()

    return setup(digits(), MLP, step=step)


@fault("detached")
def graph_detached() -> Setup:
    return setup(digits(), MLP, loss=lambda scores, labels: functional.cross_entropy(scores.detach(), labels))


class _Detach(nn.Module):
    def forward(self, values: Tensor) -> Tensor:
        return values.detach()


@fault("detach()")
def features_detached() -> Setup:
    images = digits()
    layers = [nn.Flatten(), nn.Linear(64, 64), nn.ReLU(), _Detach(), nn.Linear(64, 10)]
    return on(images, normalized(images, nn.Sequential(*layers)))


@fault("frozen")
def first_layers_frozen() -> Setup:
    frozen = setup(digits(), MLP)
    for parameter in list(frozen.classifier.parameters())[:4]:
        parameter.requires_grad_(False)
    return frozen


@fault("the loss is scaled")
def loss_summed_over_the_batch() -> Setup:
    return setup(digits(), MLP, loss=lambda scores, labels: functional.cross_entropy(scores, labels, reduction="sum"))


@fault("correct the loss", "cannot fit")
def loss_of_other_labels() -> Setup:
    return setup(digits(), MLP, loss=lambda scores, labels: functional.cross_entropy(scores, labels.flip(0)))


@fault("too high")
def rates_a_thousand_times_too_high() -> Setup:
    return setup(digits(), MLP, learning_rates=(1e1, 1e3))


@fault("too low")
def rates_a_thousand_times_too_low() -> Setup:
    return setup(digits(), MLP, learning_rates=(1e-7, 1e-5))


@fault("regularization is huge")
def regularization_huge() -> Setup:
    return setup(digits(), MLP, weight_decays=(1e2, 1e5))


@fault("fits, slowly", "not yet", "cannot fit", "collapsing", "hardly differ")
def inputs_nearly_constant() -> Setup:
    images = digits()
    faint = split(
        torch.cat([images.train_pixels, images.validation_pixels]) // 64 + 100,
        torch.cat([images.train_labels, images.validation_labels]),
        1400,
        10,
    )
    stats = statistics(images)
    return setup(faint, MLP, stats=stats)
