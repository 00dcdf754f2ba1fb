"""From a registered model of the digits to what ``sanefit drift`` prints, on a real MLflow store."""

import hashlib
import io
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from certified_version import NAME, Certified, certified, changed
from command_in_process import sanefit_here
from command_line import Command
from PIL import Image
from said import Said
from scipy.stats import ks_2samp

from sanefit.components.dataset_snapshot.snapshot import take_snapshot
from sanefit.components.foundation.errors import DataError
from sanefit.components.foundation.image_dataset.shards import read_manifest, read_split
from sanefit.components.foundation.schemas.data_settings import DataSettings
from sanefit.components.foundation.schemas.drift import DriftSettings
from sanefit.components.foundation.schemas.images import SPLITS
from sanefit.components.foundation.tracking.connection import connect
from sanefit.components.foundation.tracking.models import load_pixels_model
from sanefit.components.model_registry.api import VersionDrift, find_drift
from sanefit.components.model_registry.drift import source_sample
from sanefit.components.model_registry.drift.image_sample import ImageSample, image_statistics
from sanefit.components.model_registry.drift.reference import DriftReference, as_bytes, from_bytes, read_reference
from sanefit.components.model_registry.seen_images import digests_of

pytestmark = pytest.mark.slow

URI = f"models:/{NAME}@champion"
Change = Callable[[np.ndarray], np.ndarray]


@pytest.fixture(scope="module")
def made(storage: Path, uri: str) -> Certified:
    return certified(storage, uri, {}, steps=150)


@pytest.fixture(scope="module")
def test_pixels(made: Certified) -> np.ndarray:
    pixels, _ = read_split(made.evidence.inputs.dataset, "test")
    return pixels


def folder_of_images(folder: Path, pixels: np.ndarray) -> str:
    folder.mkdir()
    for number, image in enumerate(pixels):
        Image.fromarray(image[..., 0]).save(folder / f"{number:04d}.png")
    return str(folder)


def drift(made: Certified, *arguments: str | Path) -> Command:
    return sanefit_here(made.uri, "drift", *arguments)


def found(made: Certified, source: str, images: int = 2000, seed: int = 0, workers: int = 1) -> VersionDrift:
    settings = DriftSettings(images=images)
    return find_drift(connect(made.uri), URI, source, settings, seed, workers, lambda *_: None)


def test_the_digits_that_the_version_was_not_trained_on_have_not_drifted(made: Certified) -> None:
    ran = drift(made, URI, "digits")
    assert ran.status == 0, ran.stderr
    assert "320 images: all 1,797, but for 1,477 seen in training or validation" in ran.stdout
    assert ran.stdout.splitlines()[-1].startswith("not drifted: nearest to it is ")


@pytest.mark.parametrize(
    ("change", "names"),
    [
        (lambda pixels: pixels // 2, {"brightness", "contrast"}),
        (lambda pixels: pixels[:, ::-1], {"confidence", "predicted classes"}),
        (lambda pixels: pixels // 2 + np.roll(pixels, 1, axis=2) // 2, {"sharpness"}),
    ],
    ids=["half as bright", "upside down", "blurred"],
)
def test_unlabeled_files_that_have_drifted_are_told_with_numbers(
    made: Certified, test_pixels: np.ndarray, tmp_path: Path, change: Change, names: set[str]
) -> None:
    folder = folder_of_images(tmp_path / "today", change(test_pixels))
    ran = drift(made, f"models:/{NAME}-files@champion", folder, "--json")
    assert ran.status == 1, ran.stderr
    result = ran.result
    assert (result["status"], result["images"], result["seen"]) == ("drifted", 320, 0)
    assert result["model_uri"] == f"models:/{NAME}/1"
    drifted = {one["name"] for one in result["differences"] if one["drifted"]}
    assert names <= drifted
    [*_, verdict] = ran.stderr.splitlines()
    assert verdict.startswith("drifted: ")
    assert all(f"{name} (effect " in verdict for name in drifted)


def test_its_numbers_are_those_of_the_images_themselves(
    made: Certified, test_pixels: np.ndarray, tmp_path: Path
) -> None:
    """All 1,206 training images are in the reference, and all of today's are drawn."""
    today = (test_pixels * 0.9).astype(np.uint8)
    result = drift(made, URI, folder_of_images(tmp_path / "today", today), "--json").result
    train, _ = read_split(made.evidence.inputs.dataset, "train")
    brightness = result["differences"][0]
    before, now = (pixels.mean(axis=(1, 2, 3)) for pixels in (train, today))
    assert brightness["means"]["reference"] == pytest.approx(before.mean(), abs=1e-3)
    assert brightness["means"]["today"] == pytest.approx(now.mean(), abs=1e-3)
    assert brightness["statistic"] == pytest.approx(ks_2samp(before, now).statistic, abs=0.01)  # float32 has more ties
    validation, _ = read_split(made.evidence.inputs.dataset, "validation")
    model = load_pixels_model(made.registration.model_uri)
    for side, pixels in (("reference", validation), ("today", today)):
        called = np.bincount(model.predict(pixels).argmax(axis=1), minlength=10) / len(pixels)
        assert [share[side] for share in result["classes"].values()] == pytest.approx(called.tolist())
    assert list(result["classes"]) == [str(number) for number in range(10)]


def test_a_sample_is_drawn_at_random_and_the_workers_make_no_difference(
    made: Certified, test_pixels: np.ndarray, tmp_path: Path
) -> None:
    source = folder_of_images(tmp_path / "today", test_pixels // 2)
    one, same, other = (found(made, source, 100, seed, workers) for seed, workers in ((0, 1), (0, 2), (1, 1)))
    assert (one.drawn.images, one.drawn.drawn, one.drawn.population) == (100, 100, 320)
    assert one.report == same.report != other.report
    assert (
        "100 images: 100 of 320 drawn at random (seed 7)"
        in drift(made, URI, source, "--images", "100", "--seed", "7").stdout
    )


def digests_in_a_snapshot(source: str, storage: Path) -> np.ndarray:
    """Of the images of files, as a run that trains on all of them keeps them."""
    dataset = take_snapshot(DataSettings(source=f"folder:{source}"), str(storage), Said())
    return np.concatenate([digests_of(dataset, split, read_manifest(dataset)) for split in SPLITS])


def as_npy(digests: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, digests)
    return buffer.getvalue()


@pytest.fixture(scope="module")
def seen(made: Certified, tmp_path_factory: pytest.TempPathFactory) -> np.ndarray:
    """Digests of 400 training images, written as files of two classes."""
    train, _ = read_split(made.evidence.inputs.dataset, "train")
    folder = tmp_path_factory.mktemp("seen")
    for name, part in (("a", train[:200]), ("b", train[200:400])):
        folder_of_images(folder / name, part)
    digests = digests_in_a_snapshot(str(folder), tmp_path_factory.mktemp("storage"))
    assert len(digests) == 400
    return digests


@pytest.fixture
def with_seen(made: Certified, seen: np.ndarray) -> Iterator[None]:
    with changed(made.files / "training" / "seen_images.npy", as_npy(seen)):
        yield


@pytest.mark.usefixtures("with_seen")
def test_seen_and_repeated_images_do_not_count(made: Certified, test_pixels: np.ndarray, tmp_path: Path) -> None:
    train, _ = read_split(made.evidence.inputs.dataset, "train")
    twice = np.concatenate([test_pixels[:50], test_pixels[:50], train[:60]])
    drawn = found(made, folder_of_images(tmp_path / "today", twice)).drawn
    assert (drawn.images, drawn.repeated, drawn.seen, drawn.drawn) == (50, 50, 60, 160)
    assert drawn.sample is not None
    expected = np.sort(image_statistics(test_pixels[:50]), axis=0)
    assert np.array_equal(np.sort(drawn.sample.statistics, axis=0), expected)


@pytest.mark.usefixtures("with_seen")
def test_where_nothing_is_new_nothing_has_drifted(made: Certified, tmp_path: Path) -> None:
    train, _ = read_split(made.evidence.inputs.dataset, "train")
    ran = drift(made, URI, folder_of_images(tmp_path / "today", train[:60]))
    assert (ran.status, ran.stdout.splitlines()[-1]) == (0, "not drifted: 0 images that are new tell nothing")
    result = drift(made, URI, tmp_path / "today", "--json").result
    assert (result["status"], result["differences"], result["seen"]) == ("not drifted", [], 60)


@pytest.mark.usefixtures("with_seen")
def test_new_images_are_looked_for_among_many_that_were_seen(
    made: Certified, test_pixels: np.ndarray, tmp_path: Path
) -> None:
    train, _ = read_split(made.evidence.inputs.dataset, "train")
    source = folder_of_images(tmp_path / "today", np.concatenate([train[:400], test_pixels[:150]]))
    drawn = found(made, source, images=100).drawn
    assert drawn.images == 100
    assert drawn.seen == drawn.drawn - 100 > 150


def test_no_more_than_a_batch_of_pixels_is_predicted_at_once(made: Certified, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[int] = []
    measure = image_statistics

    def counted(pixels: np.ndarray) -> np.ndarray:
        sizes.append(len(pixels))
        return measure(pixels)

    monkeypatch.setattr(source_sample, "image_statistics", counted)
    monkeypatch.setattr(source_sample, "AT_ONCE", 16)
    assert found(made, "digits").drawn.images == sum(sizes) == 320
    assert max(sizes) <= 16


def one_line(ran: Command) -> str:
    assert (ran.status, ran.stdout) == (2, "")
    [line] = ran.stderr.splitlines()
    return line


def test_a_version_of_an_earlier_sanefit_is_one_line(made: Certified) -> None:
    with changed(made.files / "drift" / "reference.npz", None):
        line = one_line(drift(made, URI, "digits"))
    assert f"models:/{NAME}/1 has no drift/reference.npz" in line
    assert "train and register it anew" in line


@pytest.mark.parametrize("content", [b"", b"no archive", b"PK\x03\x04 cut off"])
def test_a_damaged_reference_is_one_line(made: Certified, content: bytes) -> None:
    with changed(made.files / "drift" / "reference.npz", content):
        assert "is damaged" in one_line(drift(made, URI, "digits"))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((URI, "nowhere"), "no folder 'nowhere'"),
        ((URI, "ftp://host/x"), "'ftp://host/x': expected digits, folder:PATH"),
        ((f"models:/{NAME}/9", "digits"), "expected a registered version"),
        (("digits", "digits"), "names no model"),
    ],
)
def test_what_cannot_be_compared_is_one_line(made: Certified, arguments: tuple[str, str], words: str) -> None:
    assert words in one_line(drift(made, *arguments))


def test_too_few_images_or_none_of_the_size_are_one_line(
    made: Certified, test_pixels: np.ndarray, tmp_path: Path
) -> None:
    few = folder_of_images(tmp_path / "few", test_pixels[:29])
    assert "has 29 images that can be read; expected at least 30" in one_line(drift(made, URI, few))
    large = folder_of_images(tmp_path / "large", np.zeros((40, 9, 9, 1), dtype=np.uint8))
    assert "has 0 images that can be read ('" in one_line(drift(made, URI, large))
    with pytest.raises(DataError, match="9x9 pixels"):
        found(made, large)


def test_files_that_are_no_images_are_named(made: Certified, test_pixels: np.ndarray, tmp_path: Path) -> None:
    source = Path(folder_of_images(tmp_path / "today", test_pixels))
    (source / "broken.png").write_bytes(b"no image")
    ran = drift(made, URI, source)
    assert ran.status == 0
    assert "broken.png" in ran.stderr
    assert "320 images: all 321, but for 1 no images" in ran.stdout


def test_the_reference_is_small_and_the_same_whenever_it_is_kept(made: Certified) -> None:
    content = (made.files / "drift" / "reference.npz").read_bytes()
    assert len(content) < 50_000
    reference = read_reference(connect(made.uri), NAME, "1")
    assert reference is not None
    assert (reference.train, reference.validation) == (1206, 271)
    assert hashlib.sha256(as_bytes(reference)).digest() == hashlib.sha256(content).digest()


def largest() -> Iterator[DriftReference]:
    random = np.random.default_rng(0)
    for classes in (64, 21_841):
        numbers = [random.normal(size=shape).astype(np.float32) for shape in ((2000, 6), (2000, 64), (2000,))]
        yield DriftReference(ImageSample(*numbers, random.integers(0, 99, classes)), 10**9, 10**8)


def test_no_reference_takes_more_than_a_megabyte() -> None:
    for reference in largest():
        content = as_bytes(reference)
        assert len(content) < 1_000_000
        again = from_bytes(content)
        assert (again.train, again.validation) == (10**9, 10**8)
        for name, values in vars(reference.sample).items():
            assert np.array_equal(vars(again.sample)[name], values)
