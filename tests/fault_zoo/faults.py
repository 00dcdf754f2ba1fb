"""Faults that people really make, each in a set-up that is sound without it, and the words that name its family.

Most are those that ``sanefit check --mutate`` plants into a user's own set-up.
"""

from collections.abc import Callable
from dataclasses import dataclass

from setups import CONVNET, MLP, TWO_LAYER, Make, normalized, on, setup
from torch import Tensor, nn
from zoo_data import digits, stripes

from sanefit.components.sanity_checks.mutation.mutation_score import FAULTS as PLANTED
from sanefit.components.sanity_checks.mutation.planted_fault import PlantedFault
from sanefit.components.sanity_checks.setup import Setup


@dataclass(frozen=True)
class Fault:
    """``family``: one of these must be said by a check that does not pass."""

    name: str
    make: Make
    family: tuple[str, ...]


FAULTS: list[Fault] = []
IN_A_CONVNET = ("batch norm", "channels")  # what a perceptron on gray images cannot have


def _planted(fault: PlantedFault) -> Fault:
    def make() -> Setup:
        convnet = any(word in fault.name for word in IN_A_CONVNET)
        planted = fault.plant(setup(stripes(), CONVNET) if convnet else setup(digits(), MLP))
        assert planted is not None
        return planted

    return Fault(fault.name, make, fault.says)


FAULTS += [_planted(fault) for fault in PLANTED]


def fault(*family: str) -> Callable[[Make], Make]:
    """Register a set-up with a fault."""

    def register(make: Make) -> Make:
        FAULTS.append(Fault(make.__name__, make, family))
        return make

    return register


@fault("collapsing")
def weights_tiny_with_tanh() -> Setup:
    return setup(digits(), {**MLP, "depth": 5, "init": "gaussian:1e-3", "activation": "tanh"})


@fault("saturating")
def weights_huge_with_tanh() -> Setup:
    return setup(digits(), {**MLP, "depth": 6, "init": "gaussian:1", "activation": "tanh"})


@fault("lower the initial weights")
def weights_huge_in_two_layers() -> Setup:
    return setup(digits(), {**TWO_LAYER, "init": "gaussian:1"})


@fault("vanishing", "collapsing")
def ten_layers_of_sigmoid() -> Setup:
    return setup(digits(), {**MLP, "depth": 10, "activation": "sigmoid"})


@fault("identical neurons")
def convnet_of_zeros() -> Setup:
    return setup(digits(), {**CONVNET, "init": "zeros"})


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


@fault("dropout")
def dropout_of_99_percent() -> Setup:
    return setup(digits(), {**CONVNET, "dropout": 0.99})


class _CentersInTraining(nn.Module):
    def forward(self, values: Tensor) -> Tensor:
        return values - 1.0 if self.training else values


@fault("training and evaluation scores differ")
def shifts_its_input_in_training_alone() -> Setup:
    images = digits()
    layers = [_CentersInTraining(), nn.Flatten(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 10)]
    return on(images, normalized(images, nn.Sequential(*layers)))
