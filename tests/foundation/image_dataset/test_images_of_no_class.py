"""Sources of which nothing is asked but images: what would tell a class may be missing."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from packed_images import IMAGE_TYPE, write_embedded, write_shard, write_tar

from sanefit.components.foundation.errors import DataError
from sanefit.components.foundation.image_dataset.sources.listing import list_source

CONTENTS = [f"image {number}".encode() * 9 for number in range(5)]


def found(source: str, scratch: Path) -> list[tuple[str, bytes]]:
    images = list_source(source, scratch, folders="nothing").images
    return [(image.class_name, image.location.read()) for image in images]


def unlabeled(folder: Path) -> dict[str, str]:
    """A source of each kind that has a place for classes, without any."""
    for number, content in enumerate(CONTENTS):
        (folder / f"{number}.png").write_bytes(content)
    paths = [f"{number}.png" for number in range(len(CONTENTS))]
    (folder / "paths.csv").write_text("path\n" + "\n".join(paths))
    (folder / "empty.csv").write_text("path,label\n" + "\n".join(f"{path}," for path in paths))
    pq.write_table(pa.table({"path": paths}), folder / "paths.parquet")
    images = pa.array([{"bytes": content, "path": None} for content in CONTENTS], IMAGE_TYPE)
    pq.write_table(pa.table({"image": images}), folder / "images.parquet")
    write_tar(folder / "images.tar", [(f"{number}.jpg", content) for number, content in enumerate(CONTENTS)])
    return {
        "csv": f"csv:{folder}/paths.csv",
        "csv without values": f"csv:{folder}/empty.csv",
        "parquet of paths": f"parquet:{folder}/paths.parquet",
        "parquet of images": f"parquet:{folder}/images.parquet",
        "webdataset": f"webdataset:{folder}/images.tar",
    }


def test_images_without_classes_are_listed_where_none_are_asked_for(tmp_path: Path) -> None:
    for kind, source in unlabeled(tmp_path).items():
        assert found(source, tmp_path) == [("", content) for content in CONTENTS], kind
        with pytest.raises(DataError, match=r"label|class"):
            list_source(source, tmp_path)


def test_classes_that_are_there_are_left_out(tmp_path: Path) -> None:
    images = [("cat", content) for content in CONTENTS]
    write_shard(tmp_path / "000.tar", images)
    parquet = write_embedded(tmp_path / "parquet", images, files=1, group=2)
    for source in (f"webdataset:{tmp_path}/000.tar", parquet):
        assert found(source, tmp_path) == [("", content) for content in CONTENTS]
    (tmp_path / "numbers.csv").write_text("path,label\na.png,nan\n")
    (tmp_path / "a.png").write_bytes(b"a")
    assert found(f"csv:{tmp_path}/numbers.csv", tmp_path) == [("", b"a")]


def test_a_path_is_needed_all_the_same(tmp_path: Path) -> None:
    (tmp_path / "no-path.csv").write_text("file\na.png\n")
    with pytest.raises(DataError, match="expected path; add 'path'"):
        list_source(f"csv:{tmp_path}/no-path.csv", tmp_path, folders="nothing")
