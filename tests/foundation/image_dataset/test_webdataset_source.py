"""Tar shards of samples, as webdataset reads them."""

import json
import tarfile
import tempfile
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from listed_sources import files_passed_over, read_all
from packed_images import write_shard, write_shards, write_tar

from sanefit.components.foundation.errors import DataError
from sanefit.components.foundation.image_dataset.sources.listing import list_source

IMAGES = [(("cat", "dog")[number % 2], f"image {number}".encode() * 99) for number in range(20)]
Members = list[tuple[str, bytes]]


def found(source: str) -> list[tuple[str, bytes]]:
    return [(image.class_name, image.content) for image in read_all(source)]


def the_error(source: str, *, own_splits: bool = False) -> str:
    with pytest.raises(DataError) as raised:
        read_all(source, own_splits=own_splits)
    assert "\n" not in str(raised.value)
    assert len(str(raised.value)) < 600
    return str(raised.value)


def shard(folder: Path, members: Members) -> str:
    return f"webdataset:{write_tar(folder / 'shards' / '000.tar', members)}"


def test_every_shard_of_a_pattern_a_folder_and_a_glob_is_read_in_order(tmp_path: Path) -> None:
    pattern = write_shards(tmp_path, IMAGES, 6)
    assert found(pattern) == found(f"webdataset:{tmp_path}") == found(f"webdataset:{tmp_path}/train-*.tar") == IMAGES


def test_a_single_shard_may_be_compressed(tmp_path: Path) -> None:
    plain = write_shard(tmp_path / "plain.tar", IMAGES)
    with tarfile.open(plain) as tar, tarfile.open(tmp_path / "packed.tar.gz", "w:gz") as packed:
        for member in tar:
            packed.addfile(member, tar.extractfile(member))
    assert found(f"webdataset:{tmp_path}/packed.tar.gz") == IMAGES


keys = st.text("ab0é -", min_size=1, max_size=4).filter(lambda key: key.strip())
samples = st.dictionaries(st.tuples(st.sampled_from(["", "x/", "x/y/"]), keys), st.sampled_from(["cat", "7", "Ä b"]))


@settings(max_examples=60)
@given(samples.filter(bool), st.sampled_from(["jpg", "PNG", "webp"]), st.booleans(), st.randoms(use_true_random=False))
def test_neither_order_nor_companions_change_what_is_read(samples_drawn, suffix, as_json, random) -> None:  # type: ignore[no-untyped-def]
    members: Members = []
    for (folder, key), class_name in samples_drawn.items():
        label = json.dumps({"label": class_name, "width": 3}) if as_json else f" {class_name}\n"
        name = folder + key
        members += [(f"{name}.{suffix}", name.encode()), (f"{name}.{'json' if as_json else 'CLS'}", label.encode())]
        members += [(f"{name}.txt", b"a caption"), (f"{name}.mask.png", b"a mask")]
    random.shuffle(members)
    with tempfile.TemporaryDirectory() as temporary:
        source = shard(Path(temporary), members)
        expected = Counter((class_name, (folder + key).encode()) for (folder, key), class_name in samples_drawn.items())
        assert Counter(found(source)) == expected
        assert files_passed_over(source) == 2 * len(samples_drawn)


def test_members_are_named_by_shard_and_name(tmp_path: Path) -> None:
    write_shard(tmp_path / "a" / "train-0.tar", IMAGES[:1])
    write_shard(tmp_path / "b" / "train-0.tar", IMAGES[:1])
    paths = [image.path for image in read_all(f"webdataset:{tmp_path}/{{a,b}}/train-0.tar")]
    assert paths == [f"{folder}/train-0.tar/000000000.png" for folder in "ab"]


@pytest.mark.parametrize(
    ("members", "class_name"),
    [
        ({"0.cls": b"007"}, "007"),
        ({"0.cls": b"cat\n", "0.json": b"no JSON"}, "cat"),
        ({"0.json": b'{"label": 3, "class": "cat"}'}, "3"),
        ({"0.json": b'{"class": "cat"}'}, "cat"),
        ({"0.cls": b" ", "0.json": b'{"label": "dog"}'}, "dog"),
    ],
)
def test_the_class_is_that_of_cls_else_of_json(members: dict[str, bytes], class_name: str, tmp_path: Path) -> None:
    assert found(shard(tmp_path, [("0.jpg", b"x"), *members.items()])) == [(class_name, b"x")]


@pytest.mark.parametrize("file", ["classes.txt", "classnames.txt"])
def test_a_file_beside_the_shards_names_numbered_classes(file: str, tmp_path: Path) -> None:
    source = shard(tmp_path, [("0.cls", b"1"), ("0.jpg", b"0"), ("1.cls", b"0"), ("1.jpg", b"1")])
    assert [class_name for class_name, _ in found(source)] == ["1", "0"]
    (tmp_path / "shards" / file).write_text("\ufeffcat\n big dog \r\n", encoding="utf-8")
    assert [class_name for class_name, _ in found(source)] == ["big dog", "cat"]
    assert [class_name for class_name, _ in found(f"webdataset:{tmp_path}/shards")] == ["big dog", "cat"]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"cat", r"sample '0' is of class 1; expected 0 to 0, for '.*classes\.txt' lists 1 names"),
        (b"cat\ndog\ncat\n", r"classes\.txt' names class 2 'cat', as class 0; expected a name of its own"),
        (b"cat\n\ndog\n", r"classes\.txt' names class 1 nothing"),
        (b"", r"classes\.txt' names class 0 nothing"),
        (b"c\xe4t\ndog", r"classes\.txt' is not UTF-8"),
    ],
)
def test_names_that_do_not_fit_are_one_line(content: bytes, said: str, tmp_path: Path) -> None:
    source = shard(tmp_path, [("0.cls", b"1"), ("0.jpg", b"0")])
    (tmp_path / "shards" / "classes.txt").write_bytes(content)
    with pytest.raises(DataError, match=said):
        found(source)


def test_the_name_of_a_shard_tells_the_split(tmp_path: Path) -> None:
    for number, split in enumerate(("train", "val", "test")):
        write_shards(tmp_path, IMAGES[6 * number : 6 * number + 6], 3, name=f"cats-{split}")
    images = read_all(f"webdataset:{tmp_path}", own_splits=True)
    assert Counter(image.split for image in images) == {"train": 6, "validation": 6, "test": 6}
    assert found(f"webdataset:{tmp_path}") == IMAGES[:6]
    assert files_passed_over(f"webdataset:{tmp_path}") == 4


def test_what_belongs_to_no_sample_is_counted(tmp_path: Path) -> None:
    others = [("README", b"1"), ("s.cls", b"3"), ("t.jp2", b"4"), ("._0.jpg", b"hidden"), (".x/0.jpg", b"hidden")]
    source = shard(tmp_path, [("0.jpg", b"x"), ("0.cls", b"cat"), *others])
    assert found(source) == [("cat", b"x")]
    with tempfile.TemporaryDirectory() as scratch:
        passed_over = list_source(source, Path(scratch)).passed_over
    assert passed_over == {
        "no picture (no suffix)": 1,
        "no picture (.cls)": 1,
        "pictures that cannot be decoded (.jp2)": 1,
    }


def test_folders_and_links_in_a_shard_are_no_images(tmp_path: Path) -> None:
    write_tar(tmp_path / "x.tar", [("0.jpg", b"x"), ("0.cls", b"cat")])
    with tarfile.open(tmp_path / "x.tar", "a") as tar:
        for name, kind in (("folder.jpg", tarfile.DIRTYPE), ("link.jpg", tarfile.SYMTYPE)):
            member = tarfile.TarInfo(name)
            member.type, member.linkname = kind, "0.jpg"
            tar.addfile(member)
    assert found(f"webdataset:{tmp_path}/x.tar") == [("cat", b"x")]
    assert files_passed_over(f"webdataset:{tmp_path}/x.tar") == 1


IMAGE = ("0.jpg", b"x")


@pytest.mark.parametrize(
    ("members", "said"),
    [
        (
            [IMAGE],
            "sample '0' tells no class (.jpg); expected .cls with a number or a name, or .json with label or class",
        ),
        ([IMAGE, ("0.txt", b"cat")], "sample '0' tells no class (.jpg, .txt)"),
        ([IMAGE, ("0.cls", b"")], "sample '0' tells no class"),
        ([IMAGE, ("0.json", b'{"caption": "cat"}')], "sample '0' tells no class"),
        ([IMAGE, ("0.json", b"[1]")], "sample '0' tells no class"),
        ([IMAGE, ("0.json", b"{")], "'0.json' tells no class: Expecting property name"),
        ([IMAGE, ("0.json", b"[" * 100_000)], "'0.json' tells no class: "),
        ([IMAGE, ("0.json", b'{"label": [1, 2]}')], "'0.json' tells no class: it is [1, 2]; expected one whole number"),
        ([IMAGE, ("0.json", b'{"label": null}')], "'0.json' tells no class: it is None"),
        ([IMAGE, ("0.json", b'{"label": true}')], "'0.json' tells no class: it is True"),
        ([IMAGE, ("0.json", b'{"label": 0.5}')], "'0.json' tells no class: it is 0.5"),
        ([IMAGE, ("0.cls", b"cat\ndog")], "'0.cls' tells no class: it has several lines"),
        ([IMAGE, ("0.cls", b"\xff\xfe")], "'0.cls' tells no class: 'utf-8' codec"),
        ([IMAGE, ("0.cls", b"1"), IMAGE], "has 0.jpg 2 times; expected each key once in a shard"),
        ([IMAGE, ("0.cls", b"1"), ("0.cls", b"2")], "has 0.cls 2 times"),
        ([IMAGE, ("0.cls", b"1"), ("0.png", b"y")], "sample '0' has several images, .jpg, .png; expected one"),
        ([("0.a.jpg", b""), ("0.cls", b"1"), ("0.b.jpg", b"")], "several images, .a.jpg, .b.jpg; expected one"),
        ([], "000.tar' holds no image; expected samples as 000.jpg and 000.cls"),
        ([("0.cls", b"1"), ("0.txt", b"x")], "000.tar' holds no image"),
    ],
)
def test_what_cannot_be_told_is_one_line_that_names_the_shard(members: Members, said: str, tmp_path: Path) -> None:
    message = the_error(shard(tmp_path, members))
    assert said in message
    assert "000.tar" in message


def test_a_damaged_shard_is_one_line_that_names_it(tmp_path: Path) -> None:
    pattern = write_shards(tmp_path, IMAGES, 10)
    whole = (tmp_path / "train-000001.tar").read_bytes()
    for content in (b"", b"no tar" * 999, whole[:5000], whole[: 4 * 512], whole[:2560] + b"\xff" * 512 + whole[3072:]):
        (tmp_path / "train-000001.tar").write_bytes(content)
        assert "train-000001.tar" in the_error(pattern)


def test_a_missing_shard_is_one_line_that_names_it(tmp_path: Path) -> None:
    pattern = write_shards(tmp_path, IMAGES, 5)
    (tmp_path / "train-000002.tar").unlink()
    assert "train-000002.tar': 1 of the 4 that" in the_error(pattern)
    assert "no .tar file at" in the_error(f"webdataset:{tmp_path}/nowhere")
    assert "tells no split" in the_error(f"webdataset:{write_shard(tmp_path / 'x.tar', IMAGES)}", own_splits=True)
