import math

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from sanefit.components.foundation.schemas.search import SearchRange
from sanefit.components.hyperparameter_search.plan.grid import draw_grid, points_per_axis

RANGE = SearchRange(learning_rate=(1e-4, 1e0), weight_decay=(1e-6, 1e-2), reasons=[])


@given(st.integers(1, 6), st.integers(1, 2000))
def test_points_are_as_even_and_as_many_as_fit(axes: int, budget: int) -> None:
    points = points_per_axis(axes, budget)
    assert len(points) == axes
    assert max(points) - min(points) <= 1
    assert min(points) >= 1
    assert points == sorted(points, reverse=True)
    # Of all even grids, by trying: k axes with n + 1 points, the others with n.
    products = [(n + 1) ** k * n ** (axes - k) for n in range(1, budget + 1) for k in range(axes)]
    assert math.prod(points) == max(product for product in products if product <= budget)


@given(
    trials=st.integers(1, 150),
    linear=st.booleans(),
    sizes=st.lists(st.sampled_from([16, 32, 64, 128]), unique=True, max_size=4),
    optimizers=st.lists(st.sampled_from(["sgd", "adam", "adamw"]), unique=True, max_size=3),
    seed=st.integers(0, 2**63 - 1),
)
def test_a_grid_is_every_combination_of_its_points_once(
    trials: int, linear: bool, sizes: list[int], optimizers: list[str], seed: int
) -> None:
    choices = {"batch_size": sizes} if sizes else {}
    choices |= {"optimizer": optimizers} if optimizers else {}  # type: ignore[dict-item]
    ranges = {"dropout": (0.0, 0.5)} if linear else {}
    searched = RANGE.model_copy(update={"choices": choices, "ranges": ranges})
    combinations = max(1, len(sizes)) * max(1, len(optimizers))
    assume(combinations <= trials)
    grid, said = draw_grid(searched, trials, seed)
    assert draw_grid(searched, trials, seed)[0] == grid
    points = [tuple(setting.searched.values()) for setting in grid]
    axes = [set(column) for column in zip(*points, strict=True)]
    assert len(set(points)) == len(points) == math.prod(len(axis) for axis in axes) <= trials
    assert len({setting.batch_size for setting in grid}) == max(1, len(sizes))
    assert len({setting.optimizer for setting in grid}) == max(1, len(optimizers))
    assert math.prod(points_per_axis(2 + linear, trials // combinations)) * combinations == len(grid)
    assert f"a grid of {len(grid)} in {trials} trials" in said
    for axis, (low, high) in zip(axes, (RANGE.learning_rate, RANGE.weight_decay), strict=False):
        assert low <= min(axis) <= max(axis) <= high


def test_a_grid_of_ten_by_ten_is_even_in_the_logarithm_bounds_included() -> None:
    grid, said = draw_grid(RANGE, 100, seed=0)
    rates = sorted({setting.learning_rate for setting in grid})
    decays = sorted({setting.weight_decay for setting in grid})
    assert rates == pytest.approx([10 ** (-4 + 4 * n / 9) for n in range(10)])
    assert decays == pytest.approx([10 ** (-6 + 4 * n / 9) for n in range(10)])
    assert (rates[0], rates[-1]) == RANGE.learning_rate
    assert said == "a grid of 100 in 100 trials: 10 of learning rate, 10 of weight decay"


def test_what_each_axis_got_is_said_and_one_point_is_the_middle() -> None:
    searched = RANGE.model_copy(
        update={"ranges": {"momentum": (0.5, 0.9)}, "choices": {"batch_size": [32, 64], "optimizer": ["sgd"]}}
    )
    grid, said = draw_grid(searched, 9, seed=0)
    assert said == (
        "a grid of 8 in 9 trials: 2 of learning rate, 2 of weight decay, 1 of momentum, 2 of batch size, 1 of optimizer"
    )
    assert [setting.momentum for setting in grid] == pytest.approx([0.7] * 8)
    [point], _ = draw_grid(RANGE, 1, seed=0)
    assert (point.learning_rate, point.weight_decay) == pytest.approx((1e-2, 1e-4))


def test_the_grid_is_shuffled_so_that_a_pack_holds_a_bit_of_everything() -> None:
    grid, _ = draw_grid(RANGE, 100, seed=0)
    assert all(len({setting.weight_decay for setting in grid[pack::10]}) > 3 for pack in range(10))
