"""Networks whose scores depend on the images and the weights alone, for checks that are to see nothing else."""

from functools import partial

import torch
from torch import Tensor, nn

from sanefit.components.foundation.diagnosis.network_paths import DROPOUTS
from sanefit.components.sanity_checks.passing_through import PassingThrough

DROPOUT_MODULES = (nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d, nn.AlphaDropout, nn.FeatureAlphaDropout)

_running: list[tuple[PassingThrough, Tensor]] = []


def without_chance(classifier: nn.Module, seed: int) -> None:
    """From now on dropout does nothing, and all other chance (stochastic depth, noise) is the same in each pass.

    Args:
        classifier: changed in place; its copies are alike.
        seed: of that chance.
    """
    for module in classifier.modules():
        if isinstance(module, DROPOUT_MODULES):
            module.p = 0.0
    classifier.register_forward_pre_hook(partial(_begin, seed))
    classifier.register_forward_hook(_end, always_call=True)


def _begin(seed: int, _module: nn.Module, _given: object) -> None:
    mode = PassingThrough(frozenset(DROPOUTS))
    _running.append((mode, torch.get_rng_state()))
    mode.__enter__()  # type: ignore[no-untyped-call]
    torch.default_generator.manual_seed(seed)  # torch.manual_seed takes a millisecond where there is no GPU


def _end(_module: nn.Module, _given: object, _output: object) -> None:
    mode, state = _running.pop()
    mode.__exit__(None, None, None)  # type: ignore[no-untyped-call]
    torch.set_rng_state(state)
