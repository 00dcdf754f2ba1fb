"""Networks that are changed from outside, whoever wrote them."""

import copy
from collections.abc import Callable
from dataclasses import replace

from torch import Tensor, nn

from sanefit.components.foundation.classifiers.initialization import weight_layers
from sanefit.components.sanity_checks.passing_through import PassingThrough
from sanefit.components.sanity_checks.setup import Setup


class WithoutOperations(nn.Module):
    """A classifier of which the operations of some names give what they take."""

    def __init__(self, classifier: nn.Module, names: frozenset[str]) -> None:
        super().__init__()
        self.classifier, self.names = classifier, names

    def forward(self, pixels: Tensor) -> Tensor:
        """As the classifier."""
        with PassingThrough(self.names):
            scores: Tensor = self.classifier(pixels)
        return scores


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
