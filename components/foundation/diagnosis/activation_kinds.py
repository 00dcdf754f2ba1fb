"""Which operations are activations, and what is known of their values."""

from torch.nn.modules import activation

from sanefit.components.foundation.diagnosis.operations import Operation

ALONE = {*activation.__all__, "Linear", "Conv1d", "Conv2d", "Conv3d"}  # modules that do nothing else
BOUNDS: dict[str, tuple[float, float]] = {
    "tanh": (-1.0, 1.0),
    "softsign": (-1.0, 1.0),
    "sigmoid": (0.0, 1.0),
    "expit": (0.0, 1.0),
    "hardsigmoid": (0.0, 1.0),
}
RECTIFIERS = {"relu", "relu6", "clamp_min", "threshold"}
CLIPPING = {"clamp", "clip", "hardtanh"}
UNBOUNDED = {
    *(
        "leaky_relu",
        "prelu",
        "rrelu",
        "elu",
        "celu",
        "selu",
        "gelu",
        "silu",
        "mish",
        "hardswish",
        "softplus",
        "logsigmoid",
    ),
    *("tanhshrink", "hardshrink", "softshrink", "sin", "cos", "glu"),
}


def is_activation(operation: Operation) -> bool:
    """Whether it is one; the larger of several pieces is, where a module calls itself Maxout."""
    if operation.name in {"amax", "max", "maximum"}:
        return "maxout" in operation.module_kind.lower()
    return operation.name in RECTIFIERS | UNBOUNDED | BOUNDS.keys() or operation.name in CLIPPING


def bounds_of(operation: Operation) -> tuple[float, float] | None:
    """Least and greatest value that it can give; None where it has not both."""
    if operation.name in CLIPPING:
        low, high = _clipped(operation)
        return None if low is None or high is None else (low, high)
    return BOUNDS.get(operation.name)


def is_rectifier(operation: Operation) -> bool:
    """Whether all negative values become 0."""
    return operation.name in RECTIFIERS or (operation.name in CLIPPING and _clipped(operation)[0] == 0)


def kind_of(operation: Operation) -> str:
    """The module's class where the module is nothing but the activation, else the function's name."""
    alone = operation.module_kind == "Maxout" or operation.module_kind in ALONE
    return operation.module_kind if alone else operation.name


def _clipped(operation: Operation) -> tuple[float | None, float | None]:
    keywords = ("min_val", "max_val") if operation.name == "hardtanh" else ("min", "max")
    defaults = (-1.0, 1.0) if operation.name == "hardtanh" else (None, None)
    low, high = (operation.argument(n + 1, keywords[n], defaults[n]) for n in range(2))
    return tuple(float(end) if isinstance(end, int | float) else None for end in (low, high))  # type: ignore[return-value]
