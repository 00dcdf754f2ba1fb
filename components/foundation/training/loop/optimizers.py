"""The optimizers of a recipe, by torch."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from sanefit.components.foundation.training.loop.loss import decayed_weights
from sanefit.components.foundation.training.loop.recipe import Recipe

SECOND_MOMENT_DECAY = 0.999  # Adam's beta 2 (Kingma & Ba 2015)
SLOTS = {"sgd": ("momentum_buffer",), "adam": ("exp_avg", "exp_avg_sq"), "adamw": ("exp_avg", "exp_avg_sq")}


def make_optimizer(network: nn.Module, recipe: Recipe) -> torch.optim.Optimizer:
    """The recipe's optimizer over the network's parameters.

    Weight decay is left to the loss, but for AdamW, which shrinks what ``decayed_weights`` names.
    """
    parameters = list(network.parameters())
    if recipe.optimizer == "sgd":
        return torch.optim.SGD(parameters, lr=recipe.learning_rate, momentum=recipe.momentum)
    betas = (recipe.momentum, SECOND_MOMENT_DECAY)
    if recipe.optimizer == "adam":
        return torch.optim.Adam(parameters, lr=recipe.learning_rate, betas=betas)
    decayed = {id(weight) for weight in decayed_weights(network)}
    groups = [
        {"params": [p for p in parameters if id(p) in decayed], "weight_decay": recipe.weight_decay},
        {"params": [p for p in parameters if id(p) not in decayed], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW([group for group in groups if group["params"]], lr=recipe.learning_rate, betas=betas)


def set_learning_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    """The rate of the next step, in every group."""
    for group in optimizer.param_groups:
        group["lr"] = rate


def optimizer_slots(optimizer: torch.optim.Optimizer, network: nn.Module) -> dict[str, dict[str, Tensor]]:
    """What the optimizer remembers, as copies: by slot (``momentum_buffer``, ``exp_avg``, ...), by parameter's name."""
    slots: dict[str, dict[str, Tensor]] = {}
    for name, parameter in network.named_parameters():
        for slot, value in optimizer.state.get(parameter, {}).items():
            if slot != "step" and value is not None:
                slots.setdefault(slot, {})[name] = value.detach().clone()
    return slots


def restore_slots(
    optimizer: torch.optim.Optimizer, network: nn.Module, slots: Mapping[str, Mapping[str, Tensor]], steps: int
) -> None:
    """Let the optimizer go on after ``steps`` steps with what ``optimizer_slots`` gave."""
    for name, parameter in network.named_parameters():
        state = {slot: values[name].to(parameter).clone() for slot, values in slots.items() if name in values}
        if state:
            if "exp_avg" in state:
                state["step"] = torch.tensor(float(steps))
            optimizer.state[parameter] = state
