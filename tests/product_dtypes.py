"""Which dtypes products of matrices and convolutions are taken in, whoever asks for them."""

from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode

PRODUCTS = ("mm", "addmm", "bmm", "baddbmm", "convolution", "_linear_pointwise")


class ProductDtypes(TorchDispatchMode):
    """``seen``: the dtypes of the results of all products meanwhile."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: set[torch.dtype] = set()

    def __torch_dispatch__(self, operation: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = operation(*args, **(kwargs or {}))
        if operation.overloadpacket.__name__ in PRODUCTS:
            self.seen.add(result.dtype)
        return result
