"""The operations of a network, in the order in which it computes them, whatever it is written with.

Seen where they pass through torch's own functions (``torch.overrides``): a ``torch.relu`` in a ``forward`` as well as
the ``nn.ReLU`` that calls it. What a scripted module or an own ``autograd.Function`` computes is not seen.
"""

import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

OWN_FOLDERS = (str(Path(torch.__file__).parent), str(Path(__file__).parents[3]))
SPELLINGS = {
    "truediv": "div",
    "divide": "div",
    "multiply": "mul",
    "subtract": "sub",
    "mm": "matmul",
    "log_sigmoid": "logsigmoid",
}


@dataclass(frozen=True)
class Operation:
    """A function of torch that the network called.

    ``number``: from 0, the input of the network, which is an operation without a name. ``name``: as in ``relu``, alike
    for a function, a method, an operator and a change in place. ``module``, ``module_kind``: path and class of the
    innermost module around the call. ``line``: file and line of the user's code, empty in a library's. ``given``: which
    operations' results it takes. ``arguments``, ``keywords``: as called. ``result``: its first tensor; it may have been
    changed in place since.
    """

    number: int
    name: str
    module: str
    module_kind: str
    line: str
    given: tuple[int, ...]
    arguments: tuple[Any, ...]
    keywords: Mapping[str, Any]
    result: Tensor

    @property
    def place(self) -> str:
        """Where it is, as its author would say: ``'features.3' relu (nets.py:27)``."""
        named = f"{self.module!r} {self.name}" if self.module else self.name
        return f"{named} ({self.line})" if self.line else named

    def argument(self, position: int, keyword: str, default: Any = None) -> Any:
        """One of its arguments, however it was given."""
        if position < len(self.arguments):
            return self.arguments[position]
        return self.keywords.get(keyword, default)


@dataclass(frozen=True)
class Trace:
    """One forward pass: ``operations``, and which of them made the ``output``; None where that was not seen."""

    operations: list[Operation]
    output: int | None

    def between(self) -> list[Operation]:
        """Those on a way from the input to the output, in order; empty where no way was seen."""
        if self.output is None:
            return []
        from_input, to_output = {0}, {self.output}
        for operation in self.operations[1:]:
            if from_input.intersection(operation.given):
                from_input.add(operation.number)
        for operation in reversed(self.operations):
            if operation.number in to_output:
                to_output.update(operation.given)
        return [one for one in self.operations[1:] if one.number in from_input & to_output and 0 in to_output]


def trace(network: nn.Module, inputs: Tensor, seen: Callable[[Operation], None] = lambda _: None) -> tuple[Any, Trace]:
    """Run a network once, in its present mode, with or without gradients as they are switched.

    Args:
        network: any module.
        inputs: what it takes.
        seen: called after each operation.

    Returns:
        What the network gives, and how it came about. The trace holds all that was computed.
    """
    recorder = _Recorder(network, inputs, seen)
    try:
        with recorder:
            output = network(inputs)
    finally:
        for hook in recorder.hooks:
            hook.remove()
    made_by = recorder.numbers.get(id(output)) if isinstance(output, Tensor) else None
    return output, Trace(recorder.operations, made_by)


class _Recorder(TorchFunctionMode):
    def __init__(self, network: nn.Module, inputs: Tensor, seen: Callable[[Operation], None]) -> None:
        super().__init__()
        self.seen = seen
        self.operations = [Operation(0, "", "", "", "", (), (), {}, inputs)]
        self.numbers = {id(inputs): 0}
        self.kept: list[Any] = []  # so that no two tensors ever have the same id
        self.modules: list[tuple[str, str]] = [("", type(network).__name__)]
        self.hooks = []
        for name, module in network.named_modules():
            self.hooks.append(module.register_forward_pre_hook(self._entering(name, module)))
            self.hooks.append(module.register_forward_hook(lambda *_: self._left()))

    def __torch_function__(
        self, function: Any, types: object, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        del types
        keywords = kwargs or {}
        given = tuple(
            dict.fromkeys(
                self.numbers[id(tensor)] for tensor in tensors_in((args, keywords)) if id(tensor) in self.numbers
            )
        )
        output = function(*args, **keywords)
        results = list(tensors_in(output))
        if results:
            self.kept.append(output)
            module, kind = self.modules[-1]
            operation = Operation(
                len(self.operations), _name(function), module, kind, _line(), given, args, keywords, results[0]
            )
            self.operations.append(operation)
            self.numbers.update((id(result), operation.number) for result in results)
            self.seen(operation)
        return output

    def _entering(self, name: str, module: nn.Module) -> Callable[..., None]:
        path = "" if name == "network" else name.removeprefix("network.")
        return lambda *_: self.modules.append((path, type(module).__name__))

    def _left(self) -> None:
        self.modules.pop()


def tensors_in(values: Any) -> Iterator[Tensor]:
    """All tensors in what a function takes or gives, however deep."""
    if isinstance(values, Tensor):
        yield values
    elif isinstance(values, tuple | list):
        for value in values:
            yield from tensors_in(value)
    elif isinstance(values, dict):
        yield from tensors_in(list(values.values()))


def _name(function: Any) -> str:
    name: str = getattr(function, "__name__", type(function).__name__)
    if name.startswith("__") and name.endswith("__"):
        name = name.strip("_")
        name = name[1:] if name[:1] in ("r", "i") and name[1:] in ("add", "sub", "mul", "truediv", "matmul") else name
    name = name.rstrip("_")
    return SPELLINGS.get(name, name)


def _line() -> str:
    """Of the first frame that is neither torch's nor ours; empty in an installed library."""
    frame: FrameType | None = sys._getframe(2)
    while frame is not None and frame.f_code.co_filename.startswith(OWN_FOLDERS[0]):
        frame = frame.f_back
    if frame is None or frame.f_code.co_filename.startswith(OWN_FOLDERS[1]):
        return ""
    path = Path(frame.f_code.co_filename)
    return "" if "site-packages" in path.parts else f"{path.name}:{frame.f_lineno}"
