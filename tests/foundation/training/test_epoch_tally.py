"""What an epoch counts, against a count by hand."""

import math

import torch
from hypothesis import given
from hypothesis import strategies as st

from sanefit.components.foundation.training.loop.epoch_tally import EpochTally

losses = st.sampled_from([0.0, 0.5, 2.0, math.inf, -math.inf, math.nan])
batches = st.lists(st.tuples(losses, losses, st.integers(1, 9), st.integers(0, 9)), min_size=1, max_size=6)


@given(batches)
def test_each_network_is_counted_up_to_the_batch_that_diverges_and_right_answers_up_to_the_one_before(
    seen: list[tuple[float, float, int, int]],
) -> None:
    tally = EpochTally.of(2, torch.device("cpu"))
    for first, second, images, right in seen:
        tally.add(torch.tensor([first, second]), torch.tensor([right, right]), images)
    for network in (0, 1):
        finite = [math.isfinite(batch[network]) for batch in seen]
        steps = finite.index(False) + 1 if False in finite else len(seen)
        assert tally.steps[network] == steps
        assert tally.alive[network] == all(finite)
        assert tally.correct[network] == sum(
            batch[3] for batch, sound in zip(seen[:steps], finite, strict=False) if sound
        )
        expected = sum(batch[network] * batch[2] for batch in seen[:steps])
        torch.testing.assert_close(tally.losses[network], torch.tensor(expected, dtype=torch.float64), equal_nan=True)
