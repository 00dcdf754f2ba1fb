"""What a network's operations make of each other: gates, layers that feed each other, bottlenecks."""

from collections import Counter
from collections.abc import Set

from torch import Tensor, nn

from sanefit.components.foundation.diagnosis.operations import Operation, Trace, tensors_in

PRODUCTS = {"matmul", "addmm", "bmm", "einsum"}
DROPOUTS = {
    "dropout",
    "dropout1d",
    "dropout2d",
    "dropout3d",
    "alpha_dropout",
    "feature_dropout",
    "feature_alpha_dropout",
}
WEIGHTED = {"linear", "conv1d", "conv2d", "conv3d", "conv_transpose2d"}
# These give what they take in another shape, or a part of it.
RESHAPING = {
    *(
        "view",
        "reshape",
        "flatten",
        "unflatten",
        "unsqueeze",
        "squeeze",
        "permute",
        "transpose",
        "expand",
        "contiguous",
    ),
    *(
        "getitem",
        "chunk",
        "split",
        "clone",
        "to",
        "float",
        "rearrange",
        "movedim",
        "swapaxes",
        "t",
        "view_as",
        "expand_as",
    ),
    *("unbind", "roll", "repeat", "T", "type", "type_as", "squeeze_copy", "reshape_as", "narrow", "select", "identity"),
}
# And these are linear in what they take: behind them a layer sees no more than the layer before them gave.
LINEAR = RESHAPING | DROPOUTS | {"batch_norm"}
LINEAR_WITH_CONSTANTS = {"add", "sub", "mul", "div", "neg", "rsub", "addcmul", "pad"}
LINEAR_AS_A_WHOLE = (
    LINEAR
    | LINEAR_WITH_CONSTANTS
    | WEIGHTED
    | PRODUCTS
    | {
        *(
            "avg_pool1d",
            "avg_pool2d",
            "avg_pool3d",
            "adaptive_avg_pool1d",
            "adaptive_avg_pool2d",
            "mean",
            "sum",
            "cat",
            "stack",
        ),
        *("interpolate", "zero", "double", "detach"),
    }
)
AVERAGING = {"avg_pool2d", "adaptive_avg_pool2d", "mean"}
GATING = {"sigmoid", "hardsigmoid", "softmax", "tanh", "clamp", "expit"}


def is_layer(operation: Operation) -> bool:
    """Whether it multiplies by trainable weights and sums: a linear or convolutional layer, by hand too."""
    return operation.name in WEIGHTED or (operation.name in PRODUCTS and weight_of(operation) is not None)


def is_trained_layer(operation: Operation) -> bool:
    """A layer, and not a fixed filter, as of a wavelet or against aliasing; traced with gradients."""
    weight = weight_of(operation) if is_layer(operation) else None
    return weight is not None and weight.requires_grad


def weight_of(operation: Operation) -> Tensor | None:
    """The weights of a layer; as they are used, where they are computed from others."""
    if operation.name in WEIGHTED:
        weight = operation.argument(1, "weight")
        return weight if isinstance(weight, Tensor) else None
    trainable = (tensor for tensor in tensors_in(operation.arguments) if tensor.is_leaf and tensor.requires_grad)
    return next((tensor for tensor in trainable if tensor.ndim > 1), None)


def computed_last(trace: Trace) -> Operation | None:
    """The operation that computed the output, but for a change of its shape and dropout; None where it was not seen."""
    if trace.output is None:
        return None
    return _before(trace, trace.output, RESHAPING | DROPOUTS)


def averaged_last(trace: Trace) -> Operation | None:
    """What computed the values of which the output is the mean over an image, as in SqueezeNet; None if it is none."""
    last = computed_last(trace)
    if last is None or last.name not in AVERAGING or not last.given:
        return None
    return _before(trace, last.given[0], RESHAPING | DROPOUTS | AVERAGING)


def _before(trace: Trace, number: int, passed_over: Set[str]) -> Operation | None:
    while (one := trace.operations[number]).name in passed_over and one.given:
        number = one.given[0]
    return one if one.number else None


def gates(trace: Trace) -> set[int]:
    """Numbers of the operations whose results do nothing but scale other values, as in squeeze and excitation."""
    operations, between = trace.operations, {one.number for one in trace.between()}
    found, otherwise_used = set[int](), set[int]()
    for one in trace.between():
        sources = [_source(operations, number) for number in one.given if number in between | {0}]
        scales = one.name == "mul" and len(set(sources)) > 1
        for source in sources:
            if one.name in RESHAPING:
                continue
            (found if scales and operations[source].name in GATING else otherwise_used).add(source)
    return found - otherwise_used


def beside_gates(trace: Trace) -> set[int]:
    """Numbers of the operations that reach the output without going through a gate: all but the gates' branches."""
    closed = gates(trace)
    reaching = {trace.output}
    for one in reversed(trace.operations):
        if one.number in reaching and one.number not in closed:
            reaching.update(one.given)
    return {one.number for one in trace.between() if one.number in reaching and one.number not in closed}


def bottleneck(trace: Trace) -> tuple[int, Operation] | None:
    """The fewest numbers for an image through which all must go before the last layer, and where; None if unseen."""
    between = trace.between()
    layers = [one for one in between if is_layer(one)]
    last = layers[-1].number if layers else -1
    images = len(trace.operations[0].result)
    farthest, cuts = 0, list[Operation]()
    reached = _farthest_use(trace)
    for one in trace.operations[:1] + between:
        if one.number >= farthest and one.number and one.number < last:
            cuts.append(one)
        farthest = max(farthest, reached.get(one.number, 0))
    sizes = [(one.result.numel() // images, one) for one in cuts if len(one.result) == images]
    return min(sizes, key=lambda size: size[0]) if sizes else None


def linear_links(trace: Trace) -> list[tuple[Operation, Operation]]:
    """Pairs of trained layers of one kind of which the second sees a linear function of the first alone.

    Not those that are so on purpose: pointwise and depthwise convolutions (MobileNetV2's bottlenecks, separable
    convolutions), convolutions that are no squares, a matrix written as the product of two narrow ones, and a layer
    whose output goes another way, too (around a residual block).
    """
    links = []
    for second in trace.between():
        if second.name not in WEIGHTED or not second.given:
            continue
        first = _layer_behind(trace, second)
        if first is None or first.name != second.name or not (is_trained_layer(first) and is_trained_layer(second)):
            continue
        if not _on_purpose(first, second):
            links.append((first, second))
    return links


def is_affine(trace: Trace) -> bool:
    """Whether a network has several trained layers and nothing that is not linear; False where not all was seen."""
    between = trace.between()
    data = {one.number for one in between} | {0}
    products = PRODUCTS | {"mul", "div"}
    return sum(is_trained_layer(one) for one in between) > 1 and all(
        one.name in LINEAR_AS_A_WHOLE and (one.name not in products or len(data.intersection(one.given)) == 1)
        for one in between
    )


def unregistered(trace: Trace, network: nn.Module) -> list[Operation]:
    """The operations that use trainable tensors which are neither parameters of the network nor computed from them."""
    known = {parameter.untyped_storage().data_ptr() for parameter in network.parameters()}
    found = []
    for one in trace.operations[1:]:
        trainable = [tensor for tensor in tensors_in((one.arguments, dict(one.keywords))) if tensor.requires_grad]
        places = [tensor.untyped_storage().data_ptr() for tensor in trainable]
        if any(tensor.is_leaf and place not in known for tensor, place in zip(trainable, places, strict=True)):
            found.append(one)
        if known.intersection(places):  # a copy, or a view of one made without gradients, is a leaf too
            known.add(one.result.untyped_storage().data_ptr())
    return found


def _source(operations: list[Operation], number: int) -> int:
    """Which operation computed what this one only gave another shape."""
    while operations[number].name in RESHAPING and operations[number].given:
        number = operations[number].given[0]
    return number


def _layer_behind(trace: Trace, layer: Operation) -> Operation | None:
    """The layer whose output is, but for linear functions of it alone, what this layer takes; None if there is none."""
    data = {one.number for one in trace.between()}
    uses = Counter(number for one in trace.between() for number in one.given)
    number = layer.given[0]
    while number in data and uses[number] == 1:
        one = trace.operations[number]
        if one.name in WEIGHTED:
            return one
        sources = [given for given in one.given if given in data | {0}]
        if len(sources) != 1 or one.name not in LINEAR | LINEAR_WITH_CONSTANTS:
            return None
        number = sources[0]
    return None


def _on_purpose(first: Operation, second: Operation) -> bool:
    weights = [one.argument(1, "weight") for one in (first, second)]
    if any(weight is None for weight in weights):
        return True
    if first.name == "linear":
        narrow = weights[0].shape[0]
        return bool(narrow < weights[0].shape[1] and narrow < weights[1].shape[0])
    kernels = [weight.shape[2:] for weight in weights]
    grouped = any(one.argument(6, "groups", 1) > 1 for one in (first, second))
    return grouped or any(len(set(kernel)) > 1 or max(kernel) == 1 for kernel in kernels)


def _farthest_use(trace: Trace) -> dict[int, int]:
    """For each operation, the last one on the way to the output that takes its result."""
    reached: dict[int, int] = {}
    for one in trace.between():
        for number in one.given:
            reached[number] = max(reached.get(number, 0), one.number)
    return reached
