"""A pretrained network in the epochs in which only its new part is trained: what is new, and what comes before it."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from sanefit.components.foundation.classifiers.classifier import Classifier
from sanefit.components.foundation.errors import SettingsError
from sanefit.components.foundation.image_dataset.batch_size import images_at_once
from sanefit.components.foundation.training.loop.training_images import Images

AT_ONCE = 100  # images


@dataclass(frozen=True)
class NewPart:
    """``names``: of the network's parameters that did not come from ``network.weights``.

    ``head``: the module that holds them all, and nothing else, and gives the scores; empty where there is none.
    """

    names: frozenset[str]
    head: str


EVERYTHING = NewPart(frozenset(), "")  # of a training in which nothing is ever frozen


def new_part(classifier: Classifier, pixels: Images) -> NewPart:
    """What is trained while the rest is frozen; of a network whose every weight was given, its output layer.

    Args:
        classifier: with pretrained weights.
        pixels: uint8 (images, height, width, channels), to run it on two of them.

    Raises:
        SettingsError: when every weight was given and no layer gives the scores.
    """
    network = classifier.network
    gives_scores = _modules_that_give_scores(classifier, pixels)
    parameters = frozenset(name for name, _ in network.named_parameters())
    names = parameters - classifier.pretrained
    if not names:
        if not gives_scores:
            raise SettingsError(
                "optimizer.freeze_epochs: every weight of the network came from network.weights, and no layer of it "
                "gives the scores; expected something to train; set optimizer.freeze_epochs=0"
            )
        last = gives_scores[-1]
        names = frozenset(f"{last}.{name}" for name, _ in network.get_submodule(last).named_parameters())
    heads = [module for module in gives_scores if _owns(network, module) == names]
    return NewPart(names, heads[-1] if heads else "")


def only_new_part_trains(network: nn.Module, new: NewPart) -> None:
    """Put every module that has no new parameter of its own into evaluation mode, as where features are computed."""
    for prefix, module in network.named_modules():
        own = {f"{prefix}.{name}" if prefix else name for name, _ in module.named_parameters(recurse=False)}
        module.training = bool(own & new.names)


@torch.no_grad()
def features_of(classifier: Classifier, head: str, pixels: Images) -> Iterator[Tensor]:
    """What the frozen part gives to the head, in evaluation mode: float (some images, ...), some images at a time.

    Args:
        classifier: with pretrained weights; its mode is restored.
        head: name of the module, as ``new_part`` gives it.
        pixels: uint8 (images, height, width, channels).
    """
    modes: Mapping[nn.Module, bool] = {module: module.training for module in classifier.modules()}
    given: list[Tensor] = []
    hook = classifier.network.get_submodule(head).register_forward_pre_hook(lambda _, inputs: given.append(inputs[0]))
    try:
        classifier.eval()
        for batch in pixels.split(images_at_once(pixels.shape[1:], AT_ONCE)):
            classifier(batch)
            yield given.pop()
    finally:
        hook.remove()
        for module, training in modes.items():
            module.training = training


@torch.no_grad()
def _modules_that_give_scores(classifier: Classifier, pixels: Images) -> list[str]:
    """Of those with parameters, called once each and with one tensor, from the outermost to the innermost."""
    twice: set[str] = set()
    outputs: dict[str, object] = {}
    hooks = []

    def note(name: str, given: tuple[object, ...], output: object) -> None:
        if name in outputs or len(given) != 1 or not isinstance(given[0], Tensor):
            twice.add(name)
        outputs[name] = output

    for name, module in classifier.network.named_modules():
        if name and next(module.parameters(), None) is not None:
            hooks.append(module.register_forward_hook(lambda _, given, output, name=name: note(name, given, output)))
    was_training = classifier.training
    try:
        scores = classifier.eval()(pixels[torch.arange(min(2, len(pixels)))])
    finally:
        classifier.train(was_training)
        for hook in hooks:
            hook.remove()
    found = [name for name, output in outputs.items() if output is scores and name not in twice]
    return sorted(found, key=lambda name: name.count("."))


def _owns(network: nn.Module, module: str) -> frozenset[str]:
    return frozenset(f"{module}.{name}" for name, _ in network.get_submodule(module).named_parameters())
