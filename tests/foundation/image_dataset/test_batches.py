from collections import Counter
from math import ceil, sqrt

import torch
from hypothesis import example, given
from hypothesis import strategies as st

from sanefit.components.foundation.image_dataset.batches import balanced_batches, shuffled_batches

counts = st.integers(min_value=1, max_value=500)
seeds = st.integers(min_value=0, max_value=2**64)
epochs = st.integers(min_value=1, max_value=1000)


@given(counts, counts, seeds, epochs)
@example(129, 128, 0, 1)
def test_each_index_comes_exactly_once(images: int, batch_size: int, seed: int, epoch: int) -> None:
    batches = shuffled_batches(images, batch_size, seed, epoch)
    assert sorted(int(index) for batch in batches for index in batch) == list(range(images))
    assert all(batch.dtype == torch.int64 and batch.ndim == 1 for batch in batches)


@given(counts, counts, seeds, epochs)
@example(129, 128, 0, 1)
@example(1, 500, 0, 1)
def test_sizes_differ_by_at_most_one_and_none_is_above_the_batch_size(
    images: int, batch_size: int, seed: int, epoch: int
) -> None:
    sizes = [len(batch) for batch in shuffled_batches(images, batch_size, seed, epoch)]
    assert max(sizes) - min(sizes) <= 1
    assert max(sizes) <= batch_size


@given(counts, counts, seeds)
def test_there_are_no_more_batches_than_needed(images: int, batch_size: int, seed: int) -> None:
    assert len(shuffled_batches(images, batch_size, seed, 1)) == ceil(images / batch_size)


@given(st.integers(min_value=2, max_value=500), st.integers(min_value=3, max_value=64), seeds)
def test_no_batch_is_a_single_image(images: int, batch_size: int, seed: int) -> None:
    assert all(len(batch) >= 2 for batch in shuffled_batches(images, batch_size, seed, 1))


@given(counts, counts, seeds, epochs)
def test_the_same_seed_and_epoch_give_the_same_batches(images: int, batch_size: int, seed: int, epoch: int) -> None:
    first, torch_state = shuffled_batches(images, batch_size, seed, epoch), torch.get_rng_state()
    torch.rand(3)
    second = shuffled_batches(images, batch_size, seed, epoch)
    torch.set_rng_state(torch_state)
    assert [batch.tolist() for batch in first] == [batch.tolist() for batch in second]


@given(st.integers(min_value=30, max_value=300), seeds, epochs, epochs)
def test_another_epoch_has_another_order(images: int, seed: int, epoch: int, other: int) -> None:
    order, other_order = (torch.cat(shuffled_batches(images, 8, seed, number)).tolist() for number in (epoch, other))
    assert (order == other_order) == (epoch == other)


@given(st.integers(min_value=30, max_value=300), seeds, seeds)
def test_another_seed_has_another_order(images: int, seed: int, other: int) -> None:
    order, other_order = (torch.cat(shuffled_batches(images, 8, number, 1)).tolist() for number in (seed, other))
    assert (order == other_order) == (seed == other)


def test_the_batch_size_does_not_change_the_order() -> None:
    whole = shuffled_batches(100, 100, 3, 2)[0]
    assert torch.cat(shuffled_batches(100, 7, 3, 2)).equal(whole)


def test_every_image_comes_first_about_equally_often() -> None:
    images, number_of_epochs = 5, 2000
    first = Counter(int(shuffled_batches(images, 2, 0, epoch)[0][0]) for epoch in range(number_of_epochs))
    expected = number_of_epochs / images
    assert all(abs(first[image] - expected) < 4.5 * sqrt(expected) for image in range(images))


@given(st.lists(st.integers(0, 5), min_size=6, max_size=400), st.integers(3, 64), seeds, epochs)
def test_each_class_is_shown_equally_often(drawn: list[int], batch_size: int, seed: int, epoch: int) -> None:
    labels = torch.tensor(drawn)
    batches = balanced_batches(labels, batch_size, seed, epoch)
    chosen = torch.cat(batches)
    shown = Counter(labels[chosen].tolist())
    assert set(shown) == set(drawn)
    assert max(shown.values()) - min(shown.values()) <= 1
    assert len(chosen) == len(labels)
    assert [len(batch) for batch in batches] == [len(b) for b in shuffled_batches(len(labels), batch_size, seed, epoch)]
    times = Counter(chosen.tolist())
    for label in set(drawn):  # no image twice before each other one of its class was shown once
        each = [times[number] for number, one in enumerate(drawn) if one == label]
        assert max(each) - min(each) <= 1


def test_balanced_epochs_differ_and_repeat() -> None:
    labels = torch.arange(100) % 3
    one, again, other = (torch.cat(balanced_batches(labels, 10, 5, epoch)).tolist() for epoch in (1, 1, 2))
    assert one == again != other
