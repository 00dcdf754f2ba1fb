"""Parquet files that hold images, as Hugging Face's datasets write them."""

import json
import os
import pickle
import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from listed_sources import files_passed_over, read_all
from packed_images import IMAGE_TYPE, embedded, write_embedded

from sanefit.components.foundation.errors import DataError
from sanefit.components.foundation.image_dataset.sources.listing import list_source
from sanefit.components.foundation.image_dataset.sources.parquet_image import ParquetImage

IMAGES = [(("cat", "dog", "owl")[number % 3], f"image {number}".encode() * 99) for number in range(40)]


def found(source: str) -> list[tuple[str, bytes]]:
    return [(image.class_name, image.content) for image in read_all(source)]


def written(folder: Path, columns: dict[str, Any], name: str = "train.parquet", **options: Any) -> str:
    pq.write_table(pa.table(columns), folder / name, **options)
    return f"parquet:{folder / name}"


def images_in(contents: Sequence[bytes]) -> pa.Array:
    return pa.array([{"bytes": content, "path": None} for content in contents], IMAGE_TYPE)


@pytest.mark.parametrize("group", [1, 7, 100])
def test_numbered_classes_have_the_names_of_the_metadata(group: int, tmp_path: Path) -> None:
    source = write_embedded(tmp_path, IMAGES, files=1, group=group)
    assert found(source) == found(f"{source}/train-00000-of-00001.parquet") == IMAGES


def test_the_files_of_a_folder_or_a_pattern_are_read_in_order(tmp_path: Path) -> None:
    source = write_embedded(tmp_path, IMAGES, files=3, group=5)
    expected = [image for number in range(3) for image in IMAGES[number::3]]
    assert found(source) == found(f"{source}/train-{{00000..00002}}-of-00003.parquet") == expected
    assert found(f"{source}/*.parquet") == expected


def test_the_name_of_a_file_tells_the_split(tmp_path: Path) -> None:
    names = sorted({name for name, _ in IMAGES})
    for split, part in (("train", IMAGES[:20]), ("validation", IMAGES[20:29]), ("test", IMAGES[29:])):
        source = write_embedded(tmp_path, part, files=2, name=split, class_names=names)
    images = read_all(source, own_splits=True)
    assert Counter(image.split for image in images) == {"train": 20, "validation": 9, "test": 11}
    assert Counter(found(source)) == Counter(IMAGES[:20])
    assert files_passed_over(source) == 4


def test_a_column_tells_the_split_before_the_name_of_the_file_does(tmp_path: Path) -> None:
    contents = [content for _, content in IMAGES[:3]]
    columns = {"image": images_in(contents), "label": ["a"] * 3, "split": ["train", "val", "test"]}
    source = written(tmp_path, columns)
    assert [image.split for image in read_all(source, own_splits=True)] == ["train", "validation", "test"]


def test_an_image_is_named_by_its_file_and_its_own_path_or_its_row(tmp_path: Path) -> None:
    write_embedded(tmp_path, IMAGES[:1], files=1)
    written(tmp_path, {"image": images_in([b"x", b"y"]), "label": [1, 2]}, "validation.parquet")
    assert [image.path for image in read_all(f"parquet:{tmp_path}/t*.parquet")] == [
        "train-00000-of-00001.parquet/0000.png"
    ]
    paths = [image.path for image in read_all(f"parquet:{tmp_path}/v*.parquet")]
    assert paths == ["validation.parquet/0000001", "validation.parquet/0000002"]


CAT = {"names": ["cat", "dog"], "_type": "ClassLabel"}


@pytest.mark.parametrize(
    ("column", "labels", "features", "class_names"),
    [
        ("label", pa.array([1, 0]), {}, ["1", "0"]),
        ("label", pa.array([1, 0]), {"label": CAT}, ["dog", "cat"]),
        ("label", pa.array([1, 0]), {"label": {"dtype": "int64", "_type": "Value"}}, ["1", "0"]),
        ("label", pa.array(["x", "1"]), {}, ["x", "1"]),
        ("label", pa.array(["x", "y"]).dictionary_encode(), {}, ["x", "y"]),
        ("labels", pa.array([1, 0], pa.uint8()), {"labels": CAT}, ["dog", "cat"]),
    ],
)
@pytest.mark.parametrize("image", ["image", "img"])
def test_labels_are_numbers_or_names(
    image: str, column: str, labels: pa.Array, features: dict[str, Any], class_names: list[str], tmp_path: Path
) -> None:
    schema = pa.schema([(image, IMAGE_TYPE), ("width", pa.int64()), (column, labels.type)])
    metadata = {"huggingface": json.dumps({"info": {"features": {**features, image: {"_type": "Image"}}}})}
    table = pa.table([images_in([b"x", b"y"]), pa.array([1, 2]), labels], schema=schema.with_metadata(metadata))
    pq.write_table(table, tmp_path / "x.parquet")
    assert found(f"parquet:{tmp_path}/x.parquet") == list(zip(class_names, [b"x", b"y"], strict=True))


@pytest.mark.parametrize("kind", [pa.binary(), pa.large_binary()])
def test_images_may_be_plain_bytes(kind: pa.DataType, tmp_path: Path) -> None:
    columns = {"label": ["a", "b"], "picture": pa.array([b"x", b"y"], kind)}
    assert found(written(tmp_path, columns)) == [("a", b"x"), ("b", b"y")]


def test_of_several_columns_the_one_named_image_is_read(tmp_path: Path) -> None:
    columns = {"depth": images_in([b"no"]), "image": images_in([b"yes"]), "label": ["a"]}
    assert found(written(tmp_path, columns)) == [("a", b"yes")]


def test_a_table_of_paths_with_bytes_beside_them_is_still_one_of_paths(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"A")
    columns = {"path": ["a.png"], "label": ["cat"], "thumbnail": pa.array([b"small"])}
    assert found(written(tmp_path, columns)) == [("cat", b"A")]


def test_tables_of_paths_may_be_several_files(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / f"{name}.png").write_bytes(name.encode())
        written(tmp_path, {"path": [f"{name}.png"], "label": [name]}, f"train-{name}.parquet")
    assert found(f"parquet:{tmp_path}") == [("a", b"a"), ("b", b"b")]


def test_a_row_without_bytes_is_an_empty_file(tmp_path: Path) -> None:
    image = pa.array([{"bytes": None, "path": "x.png"}, None, {"bytes": b"y", "path": "y.png"}], IMAGE_TYPE)
    assert found(written(tmp_path, {"image": image, "label": [1, 1, 1]})) == [("1", b""), ("1", b""), ("1", b"y")]


def the_error(source: str, *, own_splits: bool = False) -> str:
    with pytest.raises(DataError) as raised:
        read_all(source, own_splits=own_splits)
    assert "\n" not in str(raised.value)
    return str(raised.value)


X = images_in([b"x", b"y"])


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        (
            {"image": X},
            "images in its column 'image', and no column 'label' beside it, but nothing; expected the classes",
        ),
        ({"image": X, "fine": [1, 2], "coarse": [1, 2]}, "no column 'label' beside it, but fine, coarse; expected"),
        ({"image": X, "label": [1, None]}, "line 2 lacks a label; expected a class"),
        ({"image": X, "label": ["", "b"]}, "line 1 lacks a label"),
        ({"image": X, "label": ["a", "nan"]}, "line 2 has the label 'nan'"),
        (
            {"image": X, "label": [[1], [2]]},
            "its column 'label' holds list<element: int64>; expected the number or the",
        ),
        ({"image": X, "label": [0.5, 1.5]}, "its column 'label' holds double; expected the number or the name"),
        (
            {"left": X, "right": X, "label": [1, 2]},
            "several columns of images, left, right; expected one, or one of them",
        ),
        ({"pixels": [[1], [2]], "label": [1, 2]}, "expected path, label; add 'path'"),
    ],
)
def test_what_cannot_be_told_is_one_line(columns: dict[str, Any], said: str, tmp_path: Path) -> None:
    message = the_error(written(tmp_path, columns, "x.parquet"))
    assert said in message
    assert "x.parquet" in message


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (["cat"], "line 2 is of class 1; expected 0 to 0, for '"),
        (["cat", "cat"], "names class 1 'cat', as class 0; expected a name of its own for each"),
        (["cat", ""], "names class 1 nothing"),
    ],
)
def test_names_that_do_not_fit_are_one_line(names: list[str], said: str, tmp_path: Path) -> None:
    features = {"label": {"_type": "ClassLabel", "names": names}}
    table = embedded([("a", b"x"), ("b", b"y")], ["a", "b"], {"info": {"features": features}})
    pq.write_table(table, tmp_path / "x.parquet")
    assert said in the_error(f"parquet:{tmp_path}/x.parquet")


@pytest.mark.parametrize(
    "metadata", [{}, {"info": None}, {"info": {"features": []}}, {"info": {"features": {"label": 1}}}]
)
def test_metadata_of_another_kind_is_as_none(metadata: dict[str, Any], tmp_path: Path) -> None:
    pq.write_table(embedded([("a", b"x"), ("b", b"y")], ["a", "b"], metadata), tmp_path / "x.parquet")
    assert found(f"parquet:{tmp_path}/x.parquet") == [("0", b"x"), ("1", b"y")]


def test_an_image_that_is_not_labeled_is_one_line(tmp_path: Path) -> None:
    table = embedded([("a", b"x")], ["a"])
    table = table.set_column(1, "label", pa.array([-1]))
    pq.write_table(table, tmp_path / "test.parquet")
    assert "line 1 is of class -1; expected 0 to 0" in the_error(f"parquet:{tmp_path}/test.parquet")


def test_files_of_several_data_sets_are_one_line(tmp_path: Path) -> None:
    write_embedded(tmp_path, [("cat", b"x"), ("dog", b"y")], files=1, name="a")
    write_embedded(tmp_path, [("cat", b"x"), ("owl", b"y")], files=1, name="b")
    assert "b-00000-of-00001.parquet' names 2 classes, not those 2" in the_error(f"parquet:{tmp_path}")


def test_own_splits_that_nothing_tells_are_one_line(tmp_path: Path) -> None:
    source = written(tmp_path, {"image": X, "label": [1, 2]}, "images.parquet")
    assert "images.parquet' tells no split" in the_error(source, own_splits=True)


@pytest.mark.parametrize("place", [0.1, 0.5, 0.9])
def test_a_damaged_or_cut_file_is_one_line_that_names_it(place: float, tmp_path: Path) -> None:
    contents = [np.random.default_rng(number).bytes(2000) for number in range(60)]
    source = write_embedded(tmp_path, [("cat", content) for content in contents], files=1, group=10)
    path = tmp_path / "train-00000-of-00001.parquet"
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * place)])
    assert path.name in the_error(source)


def test_a_damaged_page_is_one_line_that_names_the_file(tmp_path: Path) -> None:
    source = write_embedded(tmp_path, [("cat", os.urandom(2000)) for _ in range(60)], files=1, group=60)
    path = tmp_path / "train-00000-of-00001.parquet"
    content = bytearray(path.read_bytes())
    content[4:40] = b"\xff" * 36  # the header of the first page
    path.write_bytes(content)
    assert path.name in the_error(source)


def test_a_file_that_changes_after_the_listing_is_one_line(tmp_path: Path) -> None:
    source = write_embedded(tmp_path, IMAGES, files=1)
    images = list_source(source, tmp_path).images
    write_embedded(tmp_path, IMAGES[:30], files=1)
    with pytest.raises(DataError, match=r"train-00000-of-00001\.parquet' changed while the source was read"):
        images[35].location.read()
    (tmp_path / "train-00000-of-00001.parquet").unlink()
    with pytest.raises(DataError, match=r"cannot read .*train-00000-of-00001\.parquet"):
        images[0].location.read()


@given(st.permutations(range(40)), st.integers(1, 50))
def test_images_may_be_read_in_any_order_and_elsewhere(order: list[int], group: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        source = write_embedded(Path(folder), IMAGES, files=2, group=group)
        images = pickle.loads(pickle.dumps(list_source(source, Path(folder)).images))
        expected = IMAGES[0::2] + IMAGES[1::2]
        for number in order:
            assert images[number].location.read() == expected[number][1]


def test_a_row_group_is_read_forward_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = write_embedded(tmp_path, IMAGES, files=1, group=20)
    images = list_source(source, tmp_path).images
    begun, iter_batches = [], pq.ParquetFile.iter_batches

    def recording(file: pq.ParquetFile, *arguments: Any, **options: Any) -> Any:
        begun.append(options["row_groups"])
        return iter_batches(file, *arguments, **options)

    monkeypatch.setattr(pq.ParquetFile, "iter_batches", recording)
    assert [image.location.read() for image in images] == [content for _, content in IMAGES]
    assert begun == [[0], [1]]
    assert all(isinstance(image.location, ParquetImage) for image in images)
