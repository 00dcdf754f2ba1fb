import contextlib
import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray
from PIL import Image

from sanefit.components.foundation.errors import DataError
from sanefit.components.foundation.image_dataset.decoding import decode, scale

pictures = hnp.arrays(
    np.uint8, st.tuples(st.integers(1, 9), st.integers(1, 9), st.just(3)), elements=st.integers(0, 255)
)


def encoded(picture: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, kind, **options)
    return buffer.getvalue()


def noise(height: int = 40, width: int = 30) -> Image.Image:
    return Image.fromarray(np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8))


def the_error(content: bytes, path: str) -> str:
    with pytest.raises(DataError) as raised:
        decode(content, path)
    return str(raised.value)


@pytest.mark.parametrize(("kind", "options"), [("PNG", {}), ("BMP", {}), ("TIFF", {}), ("WEBP", {"lossless": True})])
@settings(max_examples=30)
@given(pixels=pictures)
def test_a_lossless_file_gives_back_its_pixels(kind: str, options: dict[str, bool], pixels: NDArray[np.uint8]) -> None:
    seen = decode(encoded(Image.fromarray(pixels), kind, **options), "x")
    assert seen.dtype == np.uint8
    np.testing.assert_array_equal(seen, pixels)


def test_a_heic_file_is_decoded() -> None:
    """Red rises by 8 from left to right, green by 10 from top to bottom, blue falls by 4; encoded by libheif."""
    seen = decode((Path(__file__).parent / "gradient.heic").read_bytes(), "x")
    rows, columns = np.mgrid[0:24, 0:32]
    expected = np.stack([columns * 8, rows * 10, 255 - columns * 4], axis=-1)
    assert seen.shape == expected.shape
    assert np.abs(seen - expected).mean() < 4


def test_a_jpeg_is_decoded_as_pillow_does() -> None:
    content = encoded(noise(), "JPEG")
    with Image.open(io.BytesIO(content)) as image:
        expected = np.array(image)
    np.testing.assert_array_equal(decode(content, "x"), expected)


def test_grey_becomes_three_equal_channels() -> None:
    gray = np.arange(12, dtype=np.uint8).reshape(3, 4) * 20
    np.testing.assert_array_equal(decode(encoded(Image.fromarray(gray)), "x"), np.stack([gray] * 3, axis=-1))


def test_a_palette_becomes_its_colors() -> None:
    picture = Image.new("P", (2, 1))
    picture.putpalette([10, 20, 30, 200, 150, 100])
    picture.putpixel((1, 0), 1)
    assert decode(encoded(picture), "x").tolist() == [[[10, 20, 30], [200, 150, 100]]]


@pytest.mark.parametrize("background", [(255, 255, 255), (0, 0, 0), (10, 200, 30)])
@pytest.mark.parametrize("alpha", [0, 64, 255])
def test_transparent_pixels_lie_over_the_background(alpha: int, background: tuple[int, int, int]) -> None:
    seen = decode(encoded(Image.new("RGBA", (2, 1), (9, 8, 7, alpha))), "x", background)
    share = alpha / 255
    expected = [share * over + (1 - share) * under for over, under in zip((9, 8, 7), background, strict=True)]
    np.testing.assert_allclose(seen[0, 0], expected, atol=1)


def test_a_transparent_palette_and_grey_lie_over_it_too() -> None:
    palette = Image.new("P", (1, 1))
    palette.putpalette([10, 20, 30])
    assert decode(encoded(palette, transparency=0), "x", (1, 2, 3)).tolist() == [[[1, 2, 3]]]
    assert decode(encoded(Image.new("LA", (1, 1), (50, 0))), "x", (1, 2, 3)).tolist() == [[[1, 2, 3]]]


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_photograph_stands_upright(orientation: int) -> None:
    upright = np.arange(24, dtype=np.uint8).reshape(2, 4, 3) * 10
    turned = {
        1: upright,
        2: upright[:, ::-1],
        3: upright[::-1, ::-1],
        4: upright[::-1],
        5: upright.transpose(1, 0, 2),
        6: np.rot90(upright, 1),
        7: upright[::-1, ::-1].transpose(1, 0, 2),
        8: np.rot90(upright, -1),
    }[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    content = encoded(Image.fromarray(np.ascontiguousarray(turned)), "PNG", exif=exif)
    np.testing.assert_array_equal(decode(content, "x"), upright)


def test_the_first_frame_of_an_animation_is_taken() -> None:
    frames = [Image.new("RGB", (2, 2), color) for color in ((255, 0, 0), (0, 255, 0))]
    content = encoded(frames[0], "GIF", save_all=True, append_images=frames[1:])
    assert decode(content, "x")[0, 0].tolist() == [255, 0, 0]


def test_a_bomb_is_refused_before_it_is_unpacked() -> None:
    header = struct.pack(">IIBBBBB", 50_000, 50_000, 8, 2, 0, 0, 0)
    chunk = struct.pack(">I", 13) + b"IHDR" + header + struct.pack(">I", zlib.crc32(b"IHDR" + header))
    assert "bomb" in the_error(b"\x89PNG\r\n\x1a\n" + chunk, "bomb.png")


def test_floating_point_levels_are_refused() -> None:
    assert "no stated range" in the_error(encoded(Image.new("F", (2, 2), 0.5), "TIFF"), "x.tif")


@pytest.mark.slow
@settings(max_examples=300, deadline=None)
@given(data=st.data(), kind=st.sampled_from(["JPEG", "PNG", "GIF", "BMP", "TIFF", "WEBP"]))
def test_a_damaged_file_decodes_or_is_refused_with_one_line(data: st.DataObject, kind: str) -> None:
    content = bytearray(encoded(noise(20, 16), kind))
    for _ in range(data.draw(st.integers(1, 5))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    del content[data.draw(st.integers(0, len(content))) :]
    with contextlib.suppress(DataError):
        assert scale(decode(bytes(content), "x"), 8).shape == (8, 8, 3)


@pytest.mark.parametrize("mode", ["1", "LA", "CMYK"])
def test_every_mode_becomes_rgb(mode: str) -> None:
    assert decode(encoded(Image.new(mode, (5, 4)), "TIFF" if mode == "CMYK" else "PNG"), "x").shape == (4, 5, 3)


def test_a_16_bit_image_keeps_its_contrast() -> None:
    gray = np.array([[0, 256, 20_000, 65_535]], dtype=np.uint16)
    assert decode(encoded(Image.fromarray(gray)), "x")[0, :, 0].tolist() == [0, 1, 78, 255]


@pytest.mark.parametrize("size", [1, 7, 32, 100])
@pytest.mark.parametrize("shape", [(40, 30), (5, 60), (8, 8)])
def test_image_size_gives_both_sides(size: int, shape: tuple[int, int]) -> None:
    assert scale(decode(encoded(noise(*shape)), "x"), size).shape == (size, size, 3)


def test_a_rectangle_is_height_and_width_and_keeps_the_proportions_of_what_it_shows() -> None:
    ring = np.zeros((90, 120, 3), dtype=np.uint8)
    row, column = np.indices((90, 120))
    ring[np.hypot(row - 44.5, column - 59.5) < 30] = 255
    seen = scale(ring, (30, 80)) > 127  # two thirds as large: a disc of 20 pixels, of which 30 rows are left
    assert seen.shape == (30, 80, 3)
    assert seen[15, :, 0].sum() == pytest.approx(40, abs=1)
    assert seen[:, 40, 0].all()


@pytest.mark.parametrize("upright", [False, True])
def test_the_crop_is_around_the_center(upright: bool) -> None:
    strip = np.zeros((10, 30, 3), dtype=np.uint8)
    strip[:, :10, 0], strip[:, 10:20, 1], strip[:, 20:, 2] = 255, 255, 255
    picture = Image.fromarray(strip.transpose(1, 0, 2) if upright else strip)
    np.testing.assert_array_equal(scale(decode(encoded(picture), "x"), 10), np.full((10, 10, 3), (0, 255, 0)))


@pytest.mark.parametrize("size", [5, 20, 47])
def test_one_color_stays_that_color_at_any_size(size: int) -> None:
    seen = scale(decode(encoded(Image.new("RGB", (33, 21), (10, 200, 77))), "x"), size)
    np.testing.assert_array_equal(seen, np.full((size, size, 3), (10, 200, 77)))


def test_shrinking_averages_instead_of_picking() -> None:
    chessboard = (np.indices((64, 64)).sum(axis=0) % 2 * 255).astype(np.uint8)
    seen = scale(decode(encoded(Image.fromarray(chessboard)), "x"), 4)
    assert np.all(np.abs(seen.astype(int) - 127) < 10)


def test_an_image_of_the_right_size_is_not_touched() -> None:
    picture = noise(16, 16)
    np.testing.assert_array_equal(scale(decode(encoded(picture), "x"), 16), np.array(picture))


def with_byte(content: bytes, place: int, value: int) -> bytes:
    return content[:place] + bytes([value]) + content[place + 1 :]


def huge_png() -> bytes:
    header = struct.pack(">IIBBBBB", 20_000, 20_000, 8, 2, 0, 0, 0)
    chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(b"")), (b"IEND", b"")]
    packed = (struct.pack(">I", len(d)) + k + d + struct.pack(">I", zlib.crc32(k + d)) for k, d in chunks)
    return b"\x89PNG\r\n\x1a\n" + b"".join(packed)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"these are words, not pixels\n" * 20,
        encoded(noise(), "JPEG")[:400],
        encoded(noise())[:1000],
        encoded(noise(), "WEBP")[:300],
        encoded(noise(), "GIF")[:900],
        encoded(noise(), "BMP")[:2000],
        with_byte(encoded(noise(9, 7)), 11, 2),
        with_byte(encoded(noise(9, 7)), 36, 54),
        huge_png(),
    ],
    ids=[
        "empty",
        "text",
        "jpeg cut",
        "png cut",
        "webp cut",
        "gif cut",
        "bmp cut",
        "png header of 2 bytes",
        "png pixels of another length",
        "decompression bomb",
    ],
)
def test_a_broken_file_is_an_error_of_one_line_that_names_it(content: bytes) -> None:
    message = the_error(content, "cat/0007.png")
    assert "'cat/0007.png'" in message
    assert f"({len(content)} bytes)" in message
    assert "\n" not in message


WHOLE = [encoded(noise(9, 7), kind) for kind in ("PNG", "JPEG", "GIF", "BMP", "WEBP")]


@pytest.mark.filterwarnings("ignore")  # of Pillow, about odd but readable files
@settings(max_examples=200)
@given(
    st.sampled_from(WHOLE), st.lists(st.tuples(st.integers(0, 2000), st.integers(0, 255)), max_size=3), st.floats(0, 1)
)
def test_whatever_the_damage_there_are_pixels_or_one_line(
    content: bytes, changes: list[tuple[int, int]], kept: float
) -> None:
    damaged = bytearray(content)
    for place, value in changes:
        damaged[place % len(damaged)] = value
    try:
        outcome: int | str = decode(bytes(damaged[: int(len(damaged) * kept)]), "odd.png").shape[2]
    except DataError as error:
        outcome = str(error)
    assert outcome == 3 or ("'odd.png'" in str(outcome) and "\n" not in str(outcome))
