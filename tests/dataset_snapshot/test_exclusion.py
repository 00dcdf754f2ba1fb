"""``data.exclude`` takes images out of a snapshot, and nothing else."""

import io
import re
import shutil
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from said import Said

from sanefit.components.dataset_snapshot.snapshot import take_snapshot
from sanefit.components.foundation.errors import DataError
from sanefit.components.foundation.image_dataset.image_names import read_names
from sanefit.components.foundation.image_dataset.shards import read_manifest, read_split
from sanefit.components.foundation.schemas.data_settings import DataSettings
from sanefit.components.foundation.schemas.images import SPLITS, DatasetReference

ImageFolder = Callable[..., Path]
MORE = {"cat": 30, "dog": 30, "owl": 25}


def snapshot_of(root: Path, storage: Path, say: Callable[[str], None] = print, **more: object) -> DatasetReference:
    given_settings = DataSettings.model_validate({"source": f"folder:{root}", **more})
    return take_snapshot(given_settings, str(storage), say, workers=1)


def listed_in(file: Path, names: Iterable[str]) -> str:
    file.write_text("path,label\n" + "".join(f"{name},x\n" for name in names))
    return str(file)


def places(dataset: DatasetReference) -> dict[str, tuple[str, str]]:
    """The split and the class of each image, by its name."""
    classes, found = read_manifest(dataset).class_names, {}
    for split in SPLITS:
        names, (_, labels) = read_names(dataset, split), read_split(dataset, split)
        assert names is not None
        assert len(names) == len(labels)
        found |= {names[number]: (split, classes[label]) for number, label in enumerate(labels.tolist())}
    return found


def test_the_names_are_those_of_the_pixels(image_folder: ImageFolder, tmp_path: Path) -> None:
    root = image_folder(MORE)
    dataset = snapshot_of(root, tmp_path / "storage")
    for split in SPLITS:
        names, (pixels, _) = read_names(dataset, split), read_split(dataset, split)
        assert names is not None
        for number, picture in enumerate(pixels):
            np.testing.assert_array_equal(np.asarray(Image.open(root / names[number]).convert("RGB")), picture)


def test_names_follow_a_source_that_renames_its_images(image_folder: ImageFolder, tmp_path: Path) -> None:
    root = image_folder(MORE)
    before = snapshot_of(root, tmp_path / "storage")
    (root / "cat" / "0003.png").rename(root / "cat" / "renamed.png")
    after = snapshot_of(root, tmp_path / "storage")
    assert after == before
    assert {"cat/renamed.png", "cat/0003.png"} & places(after).keys() == {"cat/renamed.png"}


@pytest.mark.slow
@settings(max_examples=8, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sets(st.sampled_from(["cat", "dog", "owl"]).flatmap(lambda c: st.integers(0, 24).map(lambda n: (c, n)))))
def test_what_is_named_is_out_and_the_others_are_where_they_were(
    image_folder: ImageFolder, tmp_path: Path, chosen: set[tuple[str, int]]
) -> None:
    root = image_folder(MORE)
    names = {f"{folder}/{number:04d}.png" for folder, number in chosen} or {"cat/0000.png"}
    without = snapshot_of(root, tmp_path / "storage")
    for storage in ("storage", "another"):  # one that has dealt them before, and one that deals them now
        shutil.rmtree(tmp_path / "another", ignore_errors=True)
        dataset = snapshot_of(root, tmp_path / storage, exclude=listed_in(tmp_path / "out.csv", names))
        assert places(dataset) == {name: place for name, place in places(without).items() if name not in names}
        assert dataset.fingerprint != without.fingerprint
        assert {image.path for image in read_manifest(dataset).excluded} == names
    assert snapshot_of(root, tmp_path / "storage") == without


def test_the_log_counts_what_is_out_and_warns_of_what_is_not_there(
    image_folder: ImageFolder, tmp_path: Path, said: Said
) -> None:
    names = ["cat/0001.png", "dog/0002.png", "b/none.png", "a/none.png"]
    snapshot_of(image_folder(MORE), tmp_path / "storage", said, exclude=listed_in(tmp_path / "out.csv", names))
    assert [line for line in said if "left out 2 images that data.exclude names" in line]
    [warning] = [line for line in said if "warning" in line and "data.exclude" in line]
    assert "names 2 images that the source has not, as 'a/none.png'; expected" in warning


def test_a_name_that_several_images_have_takes_all_of_them_and_says_so(tmp_path: Path, said: Said) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (40, 8, 8, 3), dtype=np.uint8)
    files = []
    for picture in pixels:
        buffer = io.BytesIO()
        Image.fromarray(picture).save(buffer, format="PNG")
        files.append({"bytes": buffer.getvalue(), "path": None})
    for number in (3, 4):
        files[number]["path"] = "same.png"
    labels = ["cat", "dog"] * 20
    pq.write_table(pa.table({"image": files, "label": labels}), tmp_path / "images.parquet")
    exclude = listed_in(tmp_path / "out.csv", ["images.parquet/same.png", "images.parquet/0000007"])
    settings = DataSettings(source=f"parquet:{tmp_path / 'images.parquet'}", exclude=exclude)
    dataset = take_snapshot(settings, str(tmp_path / "storage"), said, workers=1)
    assert len(read_manifest(dataset).excluded) == 3
    [warning] = [line for line in said if "warning" in line]
    assert "names 2 images that share 1 name, as 'images.parquet/same.png'" in warning


def test_a_copy_in_the_class_goes_too_and_one_in_another_class_stays(image_folder: ImageFolder, tmp_path: Path) -> None:
    root = image_folder(MORE)
    shutil.copy(root / "cat" / "0001.png", root / "cat" / "again.png")  # twice in its class
    shutil.copy(root / "cat" / "0002.png", root / "dog" / "wrong.png")  # in two classes: a label conflict
    with_conflict = read_manifest(snapshot_of(root, tmp_path / "storage"))
    assert len(with_conflict.label_conflicts) == 1
    exclude = listed_in(tmp_path / "out.csv", ["cat/again.png", "dog/wrong.png"])
    dataset = snapshot_of(root, tmp_path / "storage", exclude=exclude)
    assert not {"cat/0001.png", "cat/again.png", "dog/wrong.png"} & places(dataset).keys()
    assert places(dataset)["cat/0002.png"][1] == "cat"
    manifest = read_manifest(dataset)
    assert [image.path for image in manifest.excluded] == ["cat/0001.png", "cat/again.png", "dog/wrong.png"]
    assert (manifest.duplicates, manifest.label_conflicts) == (0, [])
    the_other = listed_in(tmp_path / "other.csv", ["cat/again.png", "cat/0002.png"])
    assert snapshot_of(root, tmp_path / "storage", exclude=the_other).fingerprint != dataset.fingerprint


@pytest.mark.parametrize("first", ["0.png", "z.png"])
def test_a_broken_file_or_one_of_another_size_stops_nothing_when_it_is_out(
    first: str, image_folder: ImageFolder, tmp_path: Path
) -> None:
    root = image_folder(MORE)
    Image.new("RGB", (9, 9), "red").save(root / "cat" / first)
    (root / "dog" / first).write_bytes(b"no picture")
    names = [f"cat/{first}", f"dog/{first}"]
    with pytest.raises(DataError):
        snapshot_of(root, tmp_path / "storage")
    exclude = listed_in(tmp_path / "out.csv", names)
    for storage in ("storage", "another"):
        dataset = snapshot_of(root, tmp_path / storage, exclude=exclude)
        manifest = read_manifest(dataset)
        assert [image.path for image in manifest.excluded] == names
        assert manifest.quarantined == []
        assert len(places(dataset)) == sum(MORE.values())
    with pytest.raises(DataError, match="9x9"):  # the set is as it was, for whoever takes the file away
        snapshot_of(root, tmp_path / "another", max_bad_fraction=0.5)


def test_too_few_are_left(image_folder: ImageFolder, tmp_path: Path) -> None:
    root = image_folder({"cat": 20, "dog": 4})
    exclude = listed_in(tmp_path / "out.csv", ["dog/0000.png", "dog/0001.png"])
    with pytest.raises(DataError, match=re.escape("class 'dog' has 2 images; expected at least 3")):
        snapshot_of(root, tmp_path / "storage", exclude=exclude)
