"""Networks that are changed from outside, whoever wrote them."""

import copy
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from sanefit.components.foundation.classifiers.initialization import weight_layers
from sanefit.components.sanity_checks.setup import Setup

Rewrite = Callable[[str, tuple[Any, ...]], Any]


class RewrittenOperations(nn.Module):
    """A classifier of which some operations do something else: modules' and functions' alike.

    ``rewrite``: gets an operation's name and its arguments; gives what comes in its place, None to leave it.
    """

    def __init__(self, classifier: nn.Module, rewrite: Rewrite) -> None:
        super().__init__()
        self.classifier, self.rewrite = classifier, rewrite

    def forward(self, pixels: Tensor) -> Tensor:
        """As the classifier."""
        with _Rewriting(self.rewrite):
            scores: Tensor = self.classifier(pixels)
        return scores


class _Rewriting(TorchFunctionMode):
    def __init__(self, rewrite: Rewrite) -> None:
        super().__init__()
        self.rewrite = rewrite

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: object,
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        del types
        instead = self.rewrite(getattr(func, "__name__", "").rstrip("_"), args)
        return func(*args, **(kwargs or {})) if instead is None else instead


def with_head(setup: Setup, head: nn.Module) -> Setup:
    """The same with something behind its scores."""
    return replace(setup, classifier=nn.Sequential(copy.deepcopy(setup.classifier), head))


def with_layers(setup: Setup, change: Callable[[nn.Module], bool]) -> Setup | None:
    """The same with its modules changed in place; None where none was."""
    classifier = copy.deepcopy(setup.classifier)
    changed = [change(module) for module in list(classifier.modules())]
    return replace(setup, classifier=classifier) if any(changed) else None


def before_the_output_layer(setup: Setup, change: Callable[[Tensor, nn.Module], Tensor]) -> Setup | None:
    """The same with what the output layer gets changed; None where it is the only layer.

    Args:
        setup: a sound one.
        change: gets it, and the layer.
    """
    classifier = copy.deepcopy(setup.classifier)
    layers = weight_layers(classifier)
    if len(layers) < 2:
        return None
    layers[-1][1].register_forward_pre_hook(lambda layer, given: (change(given[0], layer), *given[1:]))
    return replace(setup, classifier=classifier)
