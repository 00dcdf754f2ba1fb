"""Networks whose scores depend on the images and the weights alone, for checks that are to see nothing else."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from sanefit.components.foundation.diagnosis.network_paths import DROPOUTS

DROPOUT_MODULES = (nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d, nn.AlphaDropout, nn.FeatureAlphaDropout)

_running: list[tuple[TorchFunctionMode, Tensor]] = []


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


class _WithoutDropout(TorchFunctionMode):
    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: object,
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        del types
        keywords = kwargs or {}
        if getattr(func, "__name__", "").rstrip("_") in DROPOUTS:
            return args[0] if args else keywords["input"]
        return func(*args, **keywords)


def _begin(seed: int, _module: nn.Module, _given: object) -> None:
    mode = _WithoutDropout()
    _running.append((mode, torch.get_rng_state()))
    mode.__enter__()  # type: ignore[no-untyped-call]
    torch.default_generator.manual_seed(seed)  # torch.manual_seed takes a millisecond where there is no GPU


def _end(_module: nn.Module, _given: object, _output: object) -> None:
    mode, state = _running.pop()
    mode.__exit__(None, None, None)
    torch.set_rng_state(state)
