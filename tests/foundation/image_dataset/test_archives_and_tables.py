"""zip archives and tables of paths and labels."""

import io
import os
import tarfile
import zipfile
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from listed_sources import read_all

from sanefit.components.foundation.errors import DataError, StorageError
from sanefit.components.foundation.image_dataset.sources.listing import list_source

FILES = {f"{name}/{number}.png": f"{name}{number}".encode() * 99 for name in ("cat", "dog") for number in range(4)}


def make_zip(path: Path, files: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path


def found(source: str) -> list[tuple[str, bytes]]:
    return [(image.class_name, image.content) for image in read_all(source)]


@pytest.mark.parametrize("above", ["", "train/"])
def test_a_zip_is_read_as_a_folder_is(above: str, tmp_path: Path) -> None:
    archive = make_zip(tmp_path / "x.zip", {f"{above}{name}": content for name, content in FILES.items()})
    assert found(f"zip:{archive}") == [(name.split("/")[0], content) for name, content in FILES.items()]


def test_nothing_in_an_archive_is_written_to_disk(tmp_path: Path) -> None:
    files = {**FILES, "../outside.png": b"x", "/absolute.png": b"x", "cat/../../up.png": b"x"}
    archive = make_zip(tmp_path / "in" / "x.zip" if (tmp_path / "in").mkdir() is None else tmp_path, files)
    assert {content for _, content in found(f"zip:{archive}")} >= set(FILES.values())
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["in", "x.zip"]


@pytest.mark.parametrize("content", [b"", b"no zip", b"PK\x03\x04 but not whole"])
def test_what_is_no_zip_is_one_line(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "x.zip").write_bytes(content)
    with pytest.raises(DataError, match=r"x\.zip.*expected a whole zip archive") as caught:
        found(f"zip:{tmp_path}/x.zip")
    assert "\n" not in str(caught.value)


def test_a_damaged_member_is_an_error(tmp_path: Path) -> None:
    archive = make_zip(tmp_path / "x.zip", FILES)
    content = bytearray(archive.read_bytes())
    content[42] ^= 0xFF  # in the first image
    archive.write_bytes(content)
    with pytest.raises(DataError, match="expected a whole zip archive"):
        found(f"zip:{archive}")


@pytest.mark.parametrize(
    ("left", "said"), [(None, r"cannot read .*x\.tar.*No such file"), (600, r"x\.tar.* changed while")]
)
def test_a_tar_that_goes_or_shrinks_while_it_is_read_is_named(left: int | None, said: str, tmp_path: Path) -> None:
    archive = tmp_path / "x.tar"
    with tarfile.open(archive, "w") as tar:
        for name, content in FILES.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    image = list_source(f"tar:{archive}", tmp_path).images[0]
    if left is None:
        archive.unlink()
    else:
        os.truncate(archive, left)
    with pytest.raises(DataError, match=said):
        image.location.read()


def test_a_missing_zip_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no file .*missing\.zip"):
        found(f"zip:{tmp_path}/missing.zip")


def table(folder: Path, text: str) -> str:
    (folder / "images.csv").write_text(text, encoding="utf-8")
    return f"csv:{folder}/images.csv"


def test_a_table_gives_labels_to_paths(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"A")
    (tmp_path / "b.png").write_bytes(b"B")
    source = table(tmp_path, f'label,other,path\n"cat, big",1,a.png\ndog,2,{tmp_path}/b.png\n')
    assert found(source) == [("cat, big", b"A"), ("dog", b"B")]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "expected path, label;"),
        ("path,class\na.png,cat\n", "add 'label' to its first line"),
        ("path,label\na.png\n", "line 2 lacks a path or a label"),
    ],
)
def test_a_table_that_lacks_something_is_one_line(text: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"A")
    with pytest.raises(DataError, match=said):
        found(table(tmp_path, text))


def test_a_path_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match=r"absent\.png"):
        found(table(tmp_path, "path,label\nabsent.png,cat\n"))


def parquet(folder: Path, columns: dict[str, list[object]]) -> str:
    pq.write_table(pa.table(columns), folder / "images.parquet")
    return f"parquet:{folder}/images.parquet"


def test_a_parquet_table_gives_labels_to_paths_as_csv_does(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"A")
    (tmp_path / "b.png").write_bytes(b"B")
    source = parquet(tmp_path, {"label": ["cat, big", "dog"], "other": [1, 2], "path": ["a.png", f"{tmp_path}/b.png"]})
    assert found(source) == [("cat, big", b"A"), ("dog", b"B")]


def test_labels_in_parquet_may_be_numbers_and_dictionaries(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"A")
    for labels, name in ((pa.array([7]), "7"), (pa.array(["x"]).dictionary_encode(), "x")):
        pq.write_table(pa.table({"path": ["a.png"], "label": labels}), tmp_path / "images.parquet")
        assert found(f"parquet:{tmp_path}/images.parquet") == [(name, b"A")]


def test_a_parquet_table_may_name_the_splits(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"A")
    source = parquet(tmp_path, {"path": ["a.png"] * 3, "label": ["c"] * 3, "split": ["train", "val", "test"]})
    assert [image.split for image in read_all(source, own_splits=True)] == ["train", "validation", "test"]
    assert [image.split for image in read_all(source)] == [None] * 3


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        ({"path": ["a.png"], "class": ["cat"]}, "expected path, label; add 'label'"),
        ({"path": ["a.png", None], "label": ["cat", "cat"]}, "line 2 lacks a path or a label"),
    ],
)
def test_a_parquet_table_that_lacks_something_is_one_line(
    columns: dict[str, list[object]], said: str, tmp_path: Path
) -> None:
    (tmp_path / "a.png").write_bytes(b"A")
    with pytest.raises(DataError, match=said) as caught:
        found(parquet(tmp_path, columns))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("content", [b"", b"no table", b"PAR1 and more PAR1"])
def test_what_is_no_parquet_is_one_line(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "x.parquet").write_bytes(content)
    with pytest.raises(DataError, match=r"x\.parquet.*expected a Parquet file") as caught:
        found(f"parquet:{tmp_path}/x.parquet")
    assert "\n" not in str(caught.value)
