import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from sanefit.components.foundation.classifiers.input_normalization import InputNormalization

images = hnp.arrays(
    np.uint8,
    st.tuples(st.integers(1, 3), st.integers(1, 5), st.integers(1, 5), st.just(3)),
    elements=st.integers(0, 255),
)
SHIFT, SCALE = [125.25, 122.5, 100.0], [64.0, 0.5, 3.75]  # exact in float32


@given(images)
def test_every_channel_is_shifted_then_scaled(pixels: NDArray[np.uint8]) -> None:
    seen = InputNormalization(SHIFT, SCALE)(torch.from_numpy(pixels)).numpy()
    expected = np.empty((len(pixels), 3, *pixels.shape[1:3]))
    for image, row, column, channel in np.ndindex(pixels.shape):
        value = (float(pixels[image, row, column, channel]) - SHIFT[channel]) / SCALE[channel]
        expected[image, channel, row, column] = value
    assert seen.dtype == np.float32
    np.testing.assert_allclose(seen, expected, rtol=1e-6)


def test_one_channel_is_enough() -> None:
    pixels = torch.tensor([0, 128, 255], dtype=torch.uint8).reshape(1, 1, 3, 1)
    assert InputNormalization([128.0], [2.0])(pixels).tolist() == [[[[-64.0, 0.0, 63.5]]]]


def test_the_statistics_travel_with_the_weights() -> None:
    saved = InputNormalization(SHIFT, SCALE).state_dict()
    restored = InputNormalization([0.0, 0.0, 0.0], [1.0, 1.0, 1.0])
    restored.load_state_dict(saved)
    pixels = torch.randint(0, 256, (2, 4, 3, 3), dtype=torch.uint8)
    assert restored(pixels).equal(InputNormalization(SHIFT, SCALE)(pixels))


def test_nothing_is_trained() -> None:
    assert list(InputNormalization(SHIFT, SCALE).parameters()) == []


def test_the_output_has_the_precision_of_the_network() -> None:
    layer = InputNormalization([1 / 3], [3.0]).double()
    seen = layer(torch.full((1, 1, 1, 1), 200, dtype=torch.uint8))
    assert seen.dtype == torch.float64
    assert seen.item() == (200 - float(np.float32(1 / 3))) / 3
    assert layer.half()(torch.zeros((1, 1, 1, 1), dtype=torch.uint8)).dtype == torch.float16


def test_the_pixels_are_left_as_they_were() -> None:
    pixels = torch.full((1, 2, 2, 3), 7, dtype=torch.uint8)
    InputNormalization(SHIFT, SCALE)(pixels)
    assert pixels.eq(7).all()
