"""Image sets of the zoo, each written as ROOT/CLASS/NNNN.png from a fixed seed."""

from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFilter, ImageFont
from sklearn.datasets import load_digits

Draw = Callable[[np.random.Generator, int], np.ndarray]


def _write(root: Path, samples: Iterable[tuple[str, np.ndarray]], suffix: str = "png") -> None:
    """Saves labelled pixel arrays, numbered within their class; a picture already seen is left out."""
    counts: dict[str, int] = {}
    seen: set[bytes] = set()
    for name, pixels in samples:
        pixels = np.clip(np.rint(pixels), 0, 255).astype(np.uint8)
        if pixels.tobytes() in seen:
            continue
        seen.add(pixels.tobytes())
        number = counts.get(name, 0)
        counts[name] = number + 1
        (root / name).mkdir(parents=True, exist_ok=True)
        options = {"quality": 95} if suffix == "jpg" else {}
        Image.fromarray(pixels).save(root / name / f"{number:04d}.{suffix}", **options)


def _colour(rng: np.random.Generator, low: int = 0, high: int = 255) -> tuple[int, int, int]:
    return tuple(int(value) for value in rng.integers(low, high + 1, 3))


def _clutter(rng: np.random.Generator, side: int, pieces: int = 5) -> Image.Image:
    """A background of faint lines and specks in random colours."""
    canvas = Image.new("RGB", (side, side), _colour(rng, 0, 110))
    pen = ImageDraw.Draw(canvas)
    for _ in range(pieces):
        ends = [int(value) for value in rng.integers(0, side, 4)]
        pen.line(ends, fill=_colour(rng, 20, 140), width=1)
    return canvas


def _polygon(kind: str, x: float, y: float, radius: float, turn: float) -> list[tuple[float, float]]:
    corners = {"triangle": 3, "square": 4, "star": 10}[kind]
    angles = turn + 2 * np.pi * np.arange(corners) / corners
    radii = np.where(np.arange(corners) % 2, 0.4, 1.0) * radius if kind == "star" else np.full(corners, radius)
    return [(x + r * np.cos(a), y + r * np.sin(a)) for a, r in zip(angles, radii, strict=True)]


def _shape(rng: np.random.Generator, kind: str, side: int) -> np.ndarray:
    """One bright shape at a random place, size and colour before clutter."""
    canvas = _clutter(rng, side)
    pen = ImageDraw.Draw(canvas)
    radius = rng.uniform(0.2, 0.32) * side
    x, y = rng.uniform(radius, side - radius, 2)
    fill = _colour(rng, 150, 255)
    box = (x - radius, y - radius, x + radius, y + radius)
    if kind == "disc":
        pen.ellipse(box, fill=fill)
    elif kind == "ring":
        pen.ellipse(box, outline=fill, width=max(2, side // 12))
    elif kind == "cross":
        width = max(2, side // 10)
        pen.line((x - radius, y, x + radius, y), fill=fill, width=width)
        pen.line((x, y - radius, x, y + radius), fill=fill, width=width)
    else:
        pen.polygon(_polygon(kind, x, y, radius, rng.uniform(0, 0.5) - np.pi / 2), fill=fill)
    return np.asarray(canvas, float) + rng.normal(0, 8, (side, side, 3))


def _stripes(rng: np.random.Generator, angle: float, side: int) -> np.ndarray:
    """Coloured stripes in a direction, of random width, phase and contrast."""
    rows, columns = np.mgrid[:side, :side]
    angle = angle + rng.normal(0, 0.06)
    wave = np.sin((columns * np.cos(angle) + rows * np.sin(angle)) * rng.uniform(0.6, 1.4) + rng.uniform(0, 6.28))
    base, swing = rng.uniform(90, 160, 3), rng.uniform(25, 70, 3)
    return base + wave[..., None] * swing + rng.normal(0, 20, (side, side, 3))


def _filtered(rng: np.random.Generator, scale: float, side: int) -> np.ndarray:
    """Noise blurred to a grain of a given size, tinted at random."""
    noise = Image.fromarray(rng.integers(0, 256, (side * 2, side * 2)).astype(np.uint8))
    grain = np.asarray(noise.filter(ImageFilter.GaussianBlur(scale)), float)[side // 2 :, side // 2 :][:side, :side]
    grain = (grain - grain.mean()) / (grain.std() + 1e-6)
    return 128 + grain[..., None] * rng.uniform(25, 60, 3) + rng.normal(0, 6, (side, side, 3))


def _blobs(rng: np.random.Generator, count: int, side: int) -> np.ndarray:
    """A number of soft spots that keep their distance, on a grey ground."""
    rows, columns = np.mgrid[:side, :side]
    picture = np.full((side, side), rng.uniform(20, 70))
    centres: list[np.ndarray] = []
    while len(centres) < count:
        centre = rng.uniform(3, side - 3, 2)
        if all(np.hypot(*(centre - other)) > 7 for other in centres):
            centres.append(centre)
            distance = (rows - centre[0]) ** 2 + (columns - centre[1]) ** 2
            picture += rng.uniform(110, 160) * np.exp(-distance / (2 * rng.uniform(1.4, 2.2) ** 2))
    return picture + rng.normal(0, 10, (side, side))


def _checks(rng: np.random.Generator, cell: int, side: int) -> np.ndarray:
    rows, columns = np.mgrid[:side, :side] + rng.integers(0, 12, 2)[:, None, None]
    board = (rows // cell + columns // cell) % 2
    return rng.uniform(60, 110) + board * rng.uniform(40, 90) + rng.normal(0, 18, (side, side))


def _letter(rng: np.random.Generator, letter: str, side: int) -> np.ndarray:
    font = ImageFont.load_default(size=int(rng.integers(side // 2, int(side * 0.75))))
    canvas = Image.new("L", (side, side), 0)
    place = tuple(float(value) for value in side / 2 + rng.uniform(-4, 4, 2))
    ImageDraw.Draw(canvas).text(place, letter, fill=int(rng.integers(150, 240)), font=font, anchor="mm")
    turned = canvas.rotate(float(rng.uniform(-15, 15)), resample=Image.Resampling.BILINEAR)
    return np.asarray(turned, float) + rng.uniform(0, 40) + rng.normal(0, 15, (side, side))


def _hue(rng: np.random.Generator, hue: int, side: int) -> np.ndarray:
    """A patch of a hue somewhere on grey clutter."""
    canvas = Image.fromarray(rng.integers(60, 190, (side, side)).astype(np.uint8)).convert("RGB")
    width = int(rng.integers(6, 11))
    left, top = (int(value) for value in rng.integers(0, side - width, 2))
    tint = Image.new("HSV", (width, width), ((hue + int(rng.integers(-8, 9))) % 256, int(rng.integers(150, 256)), 200))
    canvas.paste(tint.convert("RGB"), (left, top))
    return np.asarray(canvas, float) + rng.normal(0, 10, (side, side, 3))


def _face(rng: np.random.Generator, mood: str, side: int) -> np.ndarray:
    """A drawn face with a smile, a straight mouth or a frown."""
    canvas = Image.new("RGB", (side, side), _colour(rng, 0, 120))
    pen = ImageDraw.Draw(canvas)
    radius = rng.uniform(0.3, 0.42) * side
    x, y = side / 2 + rng.uniform(-5, 5, 2)
    pen.ellipse((x - radius, y - radius, x + radius, y + radius), fill=_colour(rng, 160, 255))
    for eye in (-0.4, 0.4):
        pen.ellipse((x + eye * radius - 3, y - 0.4 * radius - 3, x + eye * radius + 3, y - 0.4 * radius + 3), fill=0)
    half = 0.5 * radius
    if mood == "straight":
        pen.line((x - half, y + half, x + half, y + half), fill=0, width=3)
    elif mood == "smile":
        pen.arc((x - half, y - 0.1 * half, x + half, y + 1.5 * half), 10, 170, fill=0, width=3)
    else:
        pen.arc((x - half, y + 0.5 * half, x + half, y + 2.1 * half), 190, 350, fill=0, width=3)
    return np.asarray(canvas, float) + rng.normal(0, 12, (side, side, 3))


def _balanced(draws: dict[str, Draw], total: int, side: int, seed: int) -> list[tuple[str, np.ndarray]]:
    rng = np.random.default_rng(seed)
    names = list(draws)
    return [(names[i % len(names)], draws[names[i % len(names)]](rng, side)) for i in range(total)]


def _relabelled(samples: list[tuple[str, np.ndarray]], share: float, seed: int) -> list[tuple[str, np.ndarray]]:
    """A share of the labels drawn anew, each class alike."""
    rng = np.random.default_rng(seed)
    names = sorted({name for name, _ in samples})
    return [(str(rng.choice(names)) if rng.random() < share else name, pixels) for name, pixels in samples]


def _shuffled(samples: list[tuple[str, np.ndarray]], seed: int) -> list[tuple[str, np.ndarray]]:
    """The same pictures under permuted labels."""
    order = np.random.default_rng(seed).permutation(len(samples))
    return [(samples[j][0], pixels) for j, (_, pixels) in zip(order, samples, strict=True)]


def _shapes(kinds: tuple[str, ...]) -> dict[str, Draw]:
    return {kind: lambda rng, side, kind=kind: _shape(rng, kind, side) for kind in kinds}


def _directions(count: int) -> dict[str, Draw]:
    angles = {f"degrees_{180 * i // count:03d}": np.pi * i / count for i in range(count)}
    return {name: lambda rng, side, a=angle: _stripes(rng, a, side) for name, angle in angles.items()}


def _letters(text: str) -> dict[str, Draw]:
    return {letter: lambda rng, side, letter=letter: _letter(rng, letter, side) for letter in text}


def _grains(*scales: float) -> dict[str, Draw]:
    return {f"grain_{s}": lambda rng, side, s=s: _filtered(rng, s, side) for s in scales}


def _digit_samples(side: int) -> list[tuple[str, np.ndarray]]:
    digits = load_digits()
    grey = (digits.images * 255 / 16).astype(np.uint8)
    return [
        (str(label), np.asarray(Image.fromarray(picture).resize((side, side), Image.Resampling.BICUBIC), float))
        for picture, label in zip(grey, digits.target, strict=True)
    ]


def _uneven_shapes() -> list[tuple[str, np.ndarray]]:
    rng = np.random.default_rng(7)
    counts = {"disc": 1000, "triangle": 300, "cross": 100}
    return [(kind, _shape(rng, kind, 28)) for kind, count in counts.items() for _ in range(count)]


def _hues() -> dict[str, Draw]:
    hues = {"red": 0, "orange": 25, "green": 85, "cyan": 128, "blue": 165, "violet": 205}
    return {name: lambda rng, side, h=hue: _hue(rng, h, side) for name, hue in hues.items()}


def _moods() -> dict[str, Draw]:
    return {mood: lambda rng, side, mood=mood: _face(rng, mood, side) for mood in ("smile", "straight", "frown")}


def _counts() -> dict[str, Draw]:
    return {f"spots_{n}": lambda rng, side, n=n: _blobs(rng, n, side) for n in (1, 2, 3, 5)}


def _boards() -> dict[str, Draw]:
    return {f"cell_{n}": lambda rng, side, n=n: _checks(rng, n, side) for n in (2, 3, 5)}


def _flat(total: int, seed: int) -> list[tuple[str, np.ndarray]]:
    """Grey pictures with no level but 127, 128 and 129, whatever the class."""
    rng = np.random.default_rng(seed)
    return [(f"kind_{i % 4}", rng.integers(127, 130, (24, 24, 3)).astype(float)) for i in range(total)]


def _coin_toss(total: int, seed: int) -> list[tuple[str, np.ndarray]]:
    """Pictures of one and the same kind, parted by the toss of a coin."""
    rng = np.random.default_rng(seed)
    return [(f"side_{int(rng.integers(2))}", _filtered(rng, 1.0, 32)) for _ in range(total)]


def _same_scene(total: int, seed: int) -> list[tuple[str, np.ndarray]]:
    """One scene photographed again and again: pictures differ by at most two grey levels."""
    rng = np.random.default_rng(seed)
    scene = np.asarray(_clutter(rng, 32, 30), float).clip(2, 250)
    return [(f"kind_{i % 3}", scene + rng.integers(-1, 2, scene.shape)) for i in range(total)]


def _faint_shapes(total: int, seed: int) -> list[tuple[str, np.ndarray]]:
    """A steep shading shared by all pictures, on which the shape stands out by two grey levels."""
    rng = np.random.default_rng(seed)
    shading = np.linspace(10, 240, 32)[None, :, None] * np.ones((32, 32, 3))
    kinds = ("disc", "cross", "square")
    return [(kinds[i % 3], shading + 2.0 * (_shape(rng, kinds[i % 3], 32) > 145)) for i in range(total)]


def _with_corner(samples: list[tuple[str, np.ndarray]]) -> list[tuple[str, np.ndarray]]:
    """The same, with the class in the brightness of a single pixel."""
    names = sorted({name for name, _ in samples})
    marked = []
    for name, picture in samples:
        picture = picture.copy()
        picture[0, -1] = 30 + 200 * names.index(name) / (len(names) - 1)
        marked.append((name, picture))
    return marked


def _with_border(samples: list[tuple[str, np.ndarray]]) -> list[tuple[str, np.ndarray]]:
    """The same, framed in a brightness that tells the class."""
    names = sorted({name for name, _ in samples})
    framed = []
    for name, picture in samples:
        frame = np.full_like(picture, 40 + 180 * names.index(name) / (len(names) - 1))
        frame[1:-1, 1:-1] = picture[1:-1, 1:-1]
        framed.append((name, frame))
    return framed


def _padded(root: Path, samples: list[tuple[str, np.ndarray]]) -> None:
    """Files to which each class adds as many bytes as it has, which no reader of images looks at."""
    _write(root, samples)
    for number, folder in enumerate(sorted(root.iterdir())):
        for file in folder.iterdir():
            file.write_bytes(file.read_bytes() + bytes(4000 * number))


SIX = ("disc", "ring", "triangle", "square", "cross", "star")

FOLDERS: dict[str, Callable[[Path], None]] = {
    "stripes4": lambda root: _write(root, _balanced(_directions(4), 600, 32, 1)),
    "shapes6": lambda root: _write(root, _balanced(_shapes(SIX), 1800, 32, 2)),
    "digits10": lambda root: _write(root, _digit_samples(24)),
    "spots4": lambda root: _write(root, _balanced(_counts(), 800, 28, 3)),
    "grains5": lambda root: _write(root, _balanced(_grains(0.4, 0.9, 1.6, 2.6, 4.2), 1000, 32, 4), "jpg"),
    "pair_small": lambda root: _write(root, _balanced(_shapes(("disc", "cross")), 150, 24, 5)),
    "shapes_uneven": lambda root: _write(root, _uneven_shapes()),
    "stripes_noisy_labels": lambda root: _write(root, _relabelled(_balanced(_directions(6), 1500, 32, 8), 0.1, 9)),
    "boards3": lambda root: _write(root, _balanced(_boards(), 300, 16, 10)),
    "letters12": lambda root: _write(root, _balanced(_letters("ABCEHKMRSTXZ"), 3000, 28, 11)),
    "hues6": lambda root: _write(root, _balanced(_hues(), 900, 20, 12)),
    "moods64": lambda root: _write(root, _balanced(_moods(), 450, 64, 13), "jpg"),
    "letters_pair40": lambda root: _write(root, _balanced(_letters("EF"), 400, 40, 14)),
    "digits_permuted": lambda root: _write(root, _shuffled(_digit_samples(24), 20)),
    "shapes_permuted": lambda root: _write(root, _shuffled(_balanced(_shapes(SIX), 1800, 32, 21), 22)),
    "letters_all_noise": lambda root: _write(root, _relabelled(_balanced(_letters("ABCEHK"), 1200, 28, 23), 1.0, 24)),
    "grain_coin_toss": lambda root: _write(root, _coin_toss(800, 27)),
    "flat_grey": lambda root: _write(root, _flat(600, 28)),
    "same_scene": lambda root: _write(root, _same_scene(600, 29)),
    "letters_corner": lambda root: _write(root, _with_corner(_balanced(_letters("ABCEHK"), 900, 28, 31))),
    "spots_border": lambda root: _write(root, _with_border(_balanced(_counts(), 800, 28, 32))),
    "moods_padded": lambda root: _padded(root, _balanced(_moods(), 450, 32, 33)),
    "faint_shapes": lambda root: _write(root, _faint_shapes(600, 30)),
}

# As many pictures of a side, anew for each seed: sound sets from tiny to middling.
GENERATED: dict[str, Callable[[int], list[tuple[str, np.ndarray]]]] = {
    "60 hues": lambda seed: _balanced(
        {n: d for n, d in _hues().items() if n in ("red", "green", "blue")}, 60, 16, seed
    ),
    "80 letters": lambda seed: _balanced(_letters("EO"), 80, 24, seed),
    "100 directions": lambda seed: _balanced(_directions(4), 100, 16, seed),
    "150 shapes": lambda seed: _balanced(_shapes(("disc", "cross", "star")), 150, 24, seed),
    "200 grains": lambda seed: _balanced(_grains(0.4, 1.6, 4.2), 200, 24, seed),
    "400 spots": lambda seed: _balanced(_counts(), 400, 24, seed),
    "600 boards": lambda seed: _balanced(_boards(), 600, 16, seed),
    "900 moods": lambda seed: _balanced(_moods(), 900, 32, seed),
    "2,000 letters": lambda seed: _balanced(_letters("ABCEHKMRSTXZ"), 2000, 24, seed),
    "5,000 shapes": lambda seed: _balanced(_shapes(SIX), 5000, 24, seed),
}
