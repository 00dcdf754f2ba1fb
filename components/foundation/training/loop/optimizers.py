"""The optimizers of a recipe, by torch."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from sanefit.components.foundation.errors import SettingsError
from sanefit.components.foundation.schemas.training import OptimizerKind
from sanefit.components.foundation.training.loop.loss import decayed_weights
from sanefit.components.foundation.training.loop.recipe import Recipe

RATE_FACTOR = "rate_factor"  # of a group's learning rate
SECOND_MOMENT_DECAY = 0.999  # Adam's beta 2 (Kingma & Ba 2015)
Parameters = list[nn.Parameter] | list[dict[str, Any]]  # torch's: alone, or in groups with options of their own


@dataclass(frozen=True)
class Optimizer:
    """A kind of optimizer. ``make``: for some parameters, without weight decay, which is a penalty in the loss.

    ``decays_beside_the_loss``: shrinks the weights by itself instead (Loshchilov & Hutter 2019); ``make`` is then given
    two groups, of which the second is not to shrink.
    """

    make: Callable[[Parameters, Recipe], torch.optim.Optimizer]
    decays_beside_the_loss: bool = False


def _betas(recipe: Recipe) -> tuple[float, float]:
    return recipe.momentum, SECOND_MOMENT_DECAY


def _sgd(given: Parameters, recipe: Recipe) -> torch.optim.Optimizer:
    return torch.optim.SGD(given, recipe.learning_rate, recipe.momentum, nesterov=recipe.nesterov)


def _lamb(given: Parameters, recipe: Recipe) -> torch.optim.Optimizer:
    """You et al. 2020; it clips nothing by itself. Layers that decay are adapted by their norm, without decay, too."""
    try:
        from timm.optim.lamb import Lamb
    except ImportError:
        raise SettingsError(
            "optimizer.kind='lamb': timm is not installed, whose LAMB it is; expected the package timm; install it "
            "(pip install 'sanefit[timm]'), or choose another optimizer"
        ) from None
    optimizer: torch.optim.Optimizer = Lamb(given, recipe.learning_rate, betas=_betas(recipe), max_grad_norm=None)
    return optimizer


OPTIMIZERS: dict[OptimizerKind, Optimizer] = {
    "sgd": Optimizer(_sgd),
    "adam": Optimizer(lambda given, recipe: torch.optim.Adam(given, recipe.learning_rate, _betas(recipe))),
    "adamw": Optimizer(
        lambda given, recipe: torch.optim.AdamW(given, recipe.learning_rate, _betas(recipe)),
        decays_beside_the_loss=True,
    ),
    "lamb": Optimizer(_lamb, decays_beside_the_loss=True),
}


def make_optimizer(
    network: nn.Module, recipe: Recipe, pretrained: Collection[str] = (), trained: Collection[str] | None = None
) -> torch.optim.Optimizer:
    """The recipe's optimizer over the network's parameters.

    Weight decay is left to the loss, but for an optimizer that shrinks what ``decayed_weights`` names by itself. Before
    each step the gradient of all of them together is cut to the recipe's ``gradient_clip``.

    Args:
        network: whose parameters.
        recipe: how.
        pretrained: names of those that learn at the recipe's ``backbone_rate``.
        trained: names of those that are trained; None: all.

    Raises:
        SettingsError: when the optimizer's package is not installed.
    """
    optimizer = _made(network, recipe, pretrained, trained)
    if recipe.gradient_clip:
        optimizer.register_step_pre_hook(lambda stepping, *_: _clip(stepping, recipe.gradient_clip))
    return optimizer


def _clip(optimizer: torch.optim.Optimizer, longest: float) -> None:
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    nn.utils.clip_grad_norm_(parameters, longest)


def _made(
    network: nn.Module, recipe: Recipe, pretrained: Collection[str], trained: Collection[str] | None
) -> torch.optim.Optimizer:
    kind = OPTIMIZERS[recipe.optimizer]
    parameters = [(name, value) for name, value in network.named_parameters() if trained is None or name in trained]
    slow = set(pretrained) if recipe.backbone_rate != 1 else set()
    if not kind.decays_beside_the_loss and not slow:
        return kind.make([value for _, value in parameters], recipe)
    decayed = {id(weight) for weight in decayed_weights(network)} if kind.decays_beside_the_loss else set()
    groups: list[dict[str, Any]] = [
        {
            "params": [
                value for name, value in parameters if (id(value) in decayed, name in slow) == (decays, is_slow)
            ],
            "weight_decay": recipe.weight_decay if decays else 0.0,
            RATE_FACTOR: recipe.backbone_rate if is_slow else 1.0,
            "always_adapt": decays,  # LAMB's; others do not look
        }
        for is_slow in (False, True)
        for decays in (True, False)
    ]
    return kind.make([group for group in groups if group["params"]], recipe)


def penalized(recipe: Recipe) -> float:
    """Lambda of the penalty in the loss: 0 where the optimizer decays the weights beside it."""
    return 0.0 if OPTIMIZERS[recipe.optimizer].decays_beside_the_loss else recipe.weight_decay


def set_learning_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    """The rate of the next step, in every group, each by its factor."""
    for group in optimizer.param_groups:
        group["lr"] = rate * group.get(RATE_FACTOR, 1.0)


def optimizer_slots(optimizer: torch.optim.Optimizer, network: nn.Module) -> dict[str, dict[str, Tensor]]:
    """What the optimizer remembers, as copies: by slot (``momentum_buffer``, ``exp_avg``, ...), by parameter's name."""
    slots: dict[str, dict[str, Tensor]] = {}
    for name, parameter in network.named_parameters():
        for slot, value in optimizer.state.get(parameter, {}).items():
            if slot != "step" and value is not None:
                slots.setdefault(slot, {})[name] = value.detach().clone()
    return slots


def steps_taken(optimizer: torch.optim.Optimizer) -> int | None:
    """How many steps the optimizer counts behind it; None where it counts none."""
    counts = [state["step"] for state in optimizer.state.values() if "step" in state]
    counts += [group["step"] for group in optimizer.param_groups if "step" in group]
    return int(max(counts)) if counts else None


def restore_slots(
    optimizer: torch.optim.Optimizer, network: nn.Module, slots: Mapping[str, Mapping[str, Tensor]], steps: int
) -> None:
    """Let the optimizer go on after ``steps`` steps with what ``optimizer_slots`` gave."""
    for name, parameter in network.named_parameters():
        state = {slot: values[name].to(parameter).clone() for slot, values in slots.items() if name in values}
        if state:
            # Those that count their steps correct their averages by it; SGD reads no count.
            optimizer.state[parameter] = {**state, "step": torch.tensor(float(steps))}
    if slots:
        for group in optimizer.param_groups:  # where LAMB counts
            group["step"] = torch.tensor(float(steps))
