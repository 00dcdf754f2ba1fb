"""What is seen of a network's operations, however they are written."""

from collections.abc import Callable
from itertools import pairwise

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.parametrizations import spectral_norm

from sanefit.components.foundation.diagnosis.layer_signals import measure_signals
from sanefit.components.foundation.diagnosis.network_paths import (
    averaged_last,
    beside_gates,
    bottleneck,
    computed_last,
    gates,
    is_affine,
    linear_links,
    unregistered,
)
from sanefit.components.foundation.diagnosis.operations import Operation, trace

Forward = Callable[["Written", Tensor], Tensor]


class Written(nn.Module):
    """Layers, and a forward that a test writes."""

    def __init__(self, forward: Forward, **layers: nn.Module) -> None:
        super().__init__()
        self.written = forward
        for name, layer in layers.items():
            self.add_module(name, layer)

    def __getattr__(self, name: str) -> nn.Module:
        layer = super().__getattr__(name)
        assert isinstance(layer, nn.Module)
        return layer

    def forward(self, inputs: Tensor) -> Tensor:
        return self.written(self, inputs)


def linears(*widths: int) -> dict[str, nn.Module]:
    torch.manual_seed(0)
    return {chr(ord("a") + n): nn.Linear(*pair) for n, pair in enumerate(pairwise(widths))}


def names(operations: list[Operation]) -> list[str]:
    return [one.name for one in operations]


@pytest.mark.parametrize(
    ("function", "module"),
    [
        (torch.relu, nn.ReLU()),
        (functional.relu, nn.ReLU()),
        (lambda x: x.relu(), nn.ReLU()),
        (lambda x: x.clone().relu_(), nn.ReLU()),
        (lambda x: x.clamp(min=0), nn.ReLU()),
        (lambda x: torch.clamp_min(x, 0), nn.ReLU()),
        (torch.tanh, nn.Tanh()),
        (lambda x: x.sigmoid(), nn.Sigmoid()),
        (functional.gelu, nn.GELU()),
        (functional.relu6, nn.ReLU6()),
        (functional.softsign, nn.Softsign()),
    ],
)
def test_functions_and_modules_give_the_same_signals(function: Callable[[Tensor], Tensor], module: nn.Module) -> None:
    inputs = torch.randn(30, 6, generator=torch.Generator().manual_seed(0))
    layers = linears(6, 8, 3)
    written = Written(lambda net, x: net.b(function(net.a(x))), **layers)
    built = nn.Sequential(layers["a"], module, layers["b"])
    [one], [other] = (measure_signals(net, inputs, torch.sum) for net in (written, built))
    for name in ("mean", "std", "saturated", "dead", "histogram", "gradient_std", "gradient_to_weight"):
        assert getattr(one, name) == pytest.approx(getattr(other, name)), name
    assert "test_operations.py:" in one.layer
    assert (other.layer, other.kind) == ("1", type(module).__name__)


def test_a_place_is_module_operation_and_line() -> None:
    inner = Written(lambda net, x: torch.tanh(net.a(x)), **linears(4, 4))
    _, passed = trace(Written(lambda net, x: net.inner(x) * 2, inner=inner), torch.randn(3, 4))
    linear, tanh, doubled = passed.operations[1:]
    assert linear.place.startswith("'inner.a' linear (test_operations.py:")
    assert tanh.place.startswith("'inner' tanh (test_operations.py:")
    assert doubled.place.startswith("mul (test_operations.py:")
    assert names(passed.between()) == ["linear", "tanh", "mul"]
    assert computed_last(passed) is doubled


def test_what_is_not_on_the_way_is_not_between() -> None:
    def forward(net: Written, x: Tensor) -> Tensor:
        torch.relu(x)  # and not kept
        return net.b(net.a(x))

    _, passed = trace(Written(forward, **linears(4, 5, 2)), torch.randn(3, 4))
    assert "relu" in names(passed.operations)
    assert names(passed.between()) == ["linear", "linear"]
    assert is_affine(passed)


def squeeze(net: Written, x: Tensor) -> Tensor:
    hidden = torch.relu(net.a(x))
    return net.d(hidden * torch.sigmoid(net.c(torch.relu(net.b(hidden)))))


def test_a_gate_and_its_branch_are_told_from_the_way() -> None:
    _, passed = trace(Written(squeeze, **linears(6, 8, 2, 8, 3)), torch.randn(5, 6))
    assert names([passed.operations[number] for number in sorted(gates(passed))]) == ["sigmoid"]
    way = [one for one in passed.between() if one.number in beside_gates(passed)]
    assert names(way) == ["linear", "relu", "mul", "linear"]
    signals = measure_signals(Written(squeeze, **linears(6, 8, 2, 8, 3)), torch.randn(5, 6), torch.sum)
    assert len(signals) == 1, "the relu before the gate, and the gate, are no layers"


def test_a_sigmoid_between_layers_is_no_gate() -> None:
    _, passed = trace(Written(lambda net, x: net.b(torch.sigmoid(net.a(x))), **linears(4, 5, 2)), torch.randn(3, 4))
    assert gates(passed) == set()
    assert not is_affine(passed)


@pytest.mark.parametrize(
    ("forward", "widths", "links"),
    [
        pytest.param(lambda net, x: net.b(net.a(x)), (6, 6, 6), 1, id="nothing between"),
        pytest.param(lambda net, x: net.b(net.a(x) * 2 + 1), (6, 6, 6), 1, id="a linear function between"),
        pytest.param(lambda net, x: net.b(functional.dropout(net.a(x), 0.5)), (6, 6, 6), 1, id="dropout between"),
        pytest.param(lambda net, x: net.b(torch.relu(net.a(x))), (6, 6, 6), 0, id="relu between"),
        pytest.param(lambda net, x: net.b(net.a(x).square()), (6, 6, 6), 0, id="a square between"),
        pytest.param(lambda net, x: net.b(net.a(x)), (6, 2, 6), 0, id="two narrow matrices on purpose"),
        pytest.param(lambda net, x: net.b(net.a(x) + x), (6, 6, 6), 0, id="around a block"),
        pytest.param(lambda net, x: net.b(h := net.a(x)) + h, (6, 6, 6), 0, id="out of a stem"),
        pytest.param(lambda net, x: net.b(functional.layer_norm(net.a(x), (6,))), (6, 6, 6), 0, id="layer norm"),
    ],
)
def test_layers_that_see_a_linear_function_of_one(forward: Forward, widths: tuple[int, ...], links: int) -> None:
    _, passed = trace(Written(forward, **linears(*widths)), torch.randn(7, 6))
    assert len(linear_links(passed)) == links


@pytest.mark.parametrize(
    ("second", "links"),
    [
        (nn.Conv2d(4, 8, 3), 1),
        (nn.Conv2d(4, 8, 1), 0),
        (nn.Conv2d(4, 4, 3, groups=4), 0),
        (nn.Conv2d(4, 8, (1, 3)), 0),
    ],
    ids=str,
)
def test_convolutions_that_are_linear_on_purpose(second: nn.Module, links: int) -> None:
    network = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), second, nn.ReLU())
    _, passed = trace(network.eval(), torch.randn(2, 1, 8, 8))
    assert len(linear_links(passed)) == links


class FixedFilter(nn.Module):
    """Weights that nobody trains, or a computation of those that are."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.kind = kind
        filters = torch.randn(4, 1, 3, 3)
        if kind == "trained":
            self.filters = nn.Parameter(filters)
        else:
            self.register_buffer("filters", filters)

    def forward(self, images: Tensor) -> Tensor:
        return functional.conv2d(images, self.filters.clone(), padding=1)


@pytest.mark.parametrize(("kind", "links"), [("fixed", 0), ("trained", 1)])
def test_a_fixed_filter_before_a_layer_is_on_purpose(kind: str, links: int) -> None:
    network = nn.Sequential(FixedFilter(kind), nn.Conv2d(4, 8, 3), nn.ReLU())
    _, passed = trace(network, torch.randn(2, 1, 8, 8))
    assert len(linear_links(passed)) == links
    _, passed = trace(nn.Sequential(FixedFilter(kind), nn.Conv2d(4, 2, 3)), torch.randn(2, 1, 8, 8))
    assert is_affine(passed) == (kind == "trained")


@pytest.mark.parametrize("width", [1, 2, 5])
def test_the_bottleneck_is_the_fewest_numbers_before_the_last_layer(width: int) -> None:
    _, passed = trace(
        nn.Sequential(nn.Linear(9, width), nn.ReLU(), nn.Linear(width, 7), nn.ReLU(), nn.Linear(7, 3)),
        torch.randn(4, 9),
    )
    found = bottleneck(passed)
    assert found is not None
    assert found[0] == width


def test_a_way_around_a_narrow_place_is_no_bottleneck() -> None:
    def forward(net: Written, x: Tensor) -> Tensor:
        return net.c(x + net.b(torch.relu(net.a(x))))

    _, passed = trace(Written(forward, **linears(6, 1, 6, 3)), torch.randn(4, 6))
    found = bottleneck(passed)
    assert found is not None
    assert found[0] == 6


class Hidden(nn.Module):
    """One layer is an attribute, one lies in a list that torch does not look into."""

    def __init__(self) -> None:
        super().__init__()
        self.shown, self.hidden = nn.Linear(4, 4), [nn.Linear(4, 4)]

    def forward(self, inputs: Tensor) -> Tensor:
        outputs: Tensor = self.hidden[0](torch.relu(self.shown(inputs)))
        return outputs


def test_weights_that_are_not_registered_are_found_where_they_are_used() -> None:
    network = Hidden()
    _, passed = trace(network, torch.randn(3, 4))
    [found] = unregistered(passed, network)
    assert found.name == "linear"
    assert found.arguments[1] is network.hidden[0].weight
    registered = nn.Sequential(nn.Linear(4, 4))
    assert unregistered(trace(registered, torch.randn(3, 4))[1], registered) == []


def test_views_of_parameters_are_registered() -> None:
    """Spectral norm multiplies by the transpose of its weight outside autograd."""
    network = nn.Sequential(spectral_norm(nn.Linear(4, 4)), nn.ReLU(), nn.Linear(4, 2))
    assert unregistered(trace(network, torch.randn(3, 4))[1], network) == []


def test_copies_of_parameters_are_registered() -> None:
    """Spectral norm flattens a weight; where channels are last in memory, that is a copy."""
    layers = spectral_norm(nn.Conv2d(3, 6, 3)), nn.ReLU(), spectral_norm(nn.Conv2d(6, 4, 3))
    network = nn.Sequential(*layers).to(memory_format=torch.channels_last)
    assert unregistered(trace(network, torch.randn(2, 3, 9, 9))[1], network) == []


class MadeAnew(nn.Module):
    """Its weight is a copy of a registered one that no gradient reaches."""

    def __init__(self) -> None:
        super().__init__()
        self.shown = nn.Linear(4, 4)

    def forward(self, inputs: Tensor) -> Tensor:
        made = nn.Parameter(self.shown.weight.detach().clone())
        return functional.linear(self.shown(inputs), made)


def test_weights_made_from_registered_ones_without_gradients_are_found() -> None:
    network = MadeAnew()
    [found] = unregistered(trace(network, torch.randn(3, 4))[1], network)
    assert found.name == "linear"


@pytest.mark.parametrize(
    ("layers", "found"),
    [
        ([nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten()], "relu"),
        ([nn.Sigmoid(), nn.AvgPool2d(4), nn.Flatten()], "sigmoid"),
        ([nn.AdaptiveAvgPool2d(1), nn.Flatten()], "conv2d"),
        ([nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.ReLU()], None),
    ],
)
def test_what_is_averaged_at_the_end_is_seen(layers: list[nn.Module], found: str | None) -> None:
    network = nn.Sequential(nn.Conv2d(3, 2, 1), *layers)
    averaged = averaged_last(trace(network, torch.randn(2, 3, 4, 4))[1])
    assert (averaged.name if averaged else None) == found


def test_the_network_is_left_as_it_was() -> None:
    network = nn.Sequential(nn.Linear(4, 4), nn.Dropout(0.5))
    before = {name: value.clone() for name, value in network.state_dict().items()}
    for _ in range(2):
        trace(network, torch.randn(3, 4))
    assert all(not module._forward_hooks and not module._forward_pre_hooks for module in network.modules())
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
