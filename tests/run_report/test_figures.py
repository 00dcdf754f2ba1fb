"""The pictures of the page."""

import base64
import io

import numpy as np
import pytest
from PIL import Image

from sanefit.components.run_report.figures import sample_image

SIDE = 6  # of a tile: four pixels and a border


@pytest.mark.parametrize(("classes", "rows"), [(1, 1), (3, 3), (50, 50), (51, 26), (1000, 50)])
def test_samples_have_a_row_for_each_class_up_to_fifty(classes: int, rows: int) -> None:
    labels = np.arange(classes, dtype=np.int64)
    pixels = np.zeros((classes, 4, 4, 3), dtype=np.uint8)
    picture = Image.open(io.BytesIO(base64.b64decode(sample_image(pixels, labels))))
    scale = picture.width // (10 * SIDE)
    assert (picture.width, picture.height) == (10 * SIDE * scale, rows * SIDE * scale)


def test_a_class_without_an_image_among_those_shown_has_no_row() -> None:
    labels = np.array([0, 2, 2], dtype=np.int64)
    picture = Image.open(io.BytesIO(base64.b64decode(sample_image(np.zeros((3, 4, 4, 1), dtype=np.uint8), labels))))
    assert picture.height == 2 * picture.width // 10
