"""What is taken of a folder or an archive, and what is said of the rest: the same tree as folder, tar and zip."""

import io
import os
import stat
import tarfile
import zipfile
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from listed_sources import read_all

from sanefit.components.foundation.errors import DataError
from sanefit.components.foundation.image_dataset.sources.class_folders import IMAGE_SUFFIXES, OTHER_PICTURES
from sanefit.components.foundation.image_dataset.sources.listing import list_source
from sanefit.components.foundation.image_dataset.sources.source_image import SourceListing


@dataclass
class Tree:
    """``links``: path → where it leads, relative to its folder."""

    files: dict[str, bytes]
    folders: list[str] = field(default_factory=list)
    links: dict[str, str] = field(default_factory=dict)


def as_folder(tree: Tree, home: Path) -> str:
    root = home / "tree"
    for name in tree.folders:
        (root / name).mkdir(parents=True, exist_ok=True)
    for name, content in tree.files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content)
    for name, target in tree.links.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).symlink_to(target)
    return f"folder:{root}"


def as_tar(tree: Tree, home: Path) -> str:
    as_folder(tree, home)
    with tarfile.open(home / "tree.tar", "w") as tar:
        tar.add(home / "tree", ".")
    return f"tar:{home / 'tree.tar'}"


def as_zip(tree: Tree, home: Path, separator: str = "/") -> str:
    with zipfile.ZipFile(home / "tree.zip", "w") as archive:
        for name in tree.folders:
            archive.writestr(f"{name}/".replace("/", separator) if separator != "/" else f"{name}/", b"")
        for name, content in tree.files.items():
            member = zipfile.ZipInfo("x")
            member.filename = name.replace("/", separator)
            archive.writestr(member, content)
        for name, target in tree.links.items():
            member = zipfile.ZipInfo(name)
            member.create_system = 3
            member.external_attr = (stat.S_IFLNK | 0o777) << 16
            archive.writestr(member, target)
    return f"zip:{home / 'tree.zip'}"


Pack = Callable[[Tree, Path], str]
PACKS: list[Pack] = [as_folder, as_tar, as_zip]
packed = pytest.mark.parametrize("pack", PACKS, ids=["folder", "tar", "zip"])
PETS = {"cat/1.png": b"c1", "cat/2.png": b"c2", "dog/1.png": b"d1"}


def listed(source: str, scratch: Path, *, own_splits: bool = False) -> SourceListing:
    return list_source(source, scratch, folders="own_splits" if own_splits else "classes")


def found(source: str, *, own_splits: bool = False) -> Counter[tuple[str, bytes]]:
    return Counter((image.class_name, image.content) for image in read_all(source, own_splits=own_splits))


EXPECTED = Counter({("cat", b"c1"): 1, ("cat", b"c2"): 1, ("dog", b"d1"): 1})


@packed
@pytest.mark.parametrize("suffix", sorted(IMAGE_SUFFIXES))
@pytest.mark.parametrize("change", [str, str.upper])
def test_a_class_of_any_kind_of_picture_that_is_read_is_a_class(
    pack: Pack, suffix: str, change: Callable[[str], str], tmp_path: Path
) -> None:
    tree = Tree({**PETS, f"fox/1{change(suffix)}": b"f1"})
    assert found(pack(tree, tmp_path)) == EXPECTED + Counter({("fox", b"f1"): 1})


@packed
@pytest.mark.parametrize("suffix", sorted(OTHER_PICTURES))
def test_a_class_of_pictures_that_cannot_be_read_stops_the_run(pack: Pack, suffix: str, tmp_path: Path) -> None:
    tree = Tree({**PETS, f"fox/1{suffix.upper()}": b"f1", f"fox/2{suffix}": b"f2"})
    with pytest.raises(DataError, match=rf"class folder 'fox' holds no image that can be read \(2 × {suffix}\)"):
        found(pack(tree, tmp_path))
    # The advice: convert, or remove.
    assert len(found(pack(Tree({**tree.files, "fox/3.png": b"f3"}), tmp_path))) == 4


@packed
def test_single_pictures_that_cannot_be_read_are_counted(pack: Pack, tmp_path: Path) -> None:
    tree = Tree({**PETS, "cat/3.jxl": b"", "dog/4.JXL": b"", "cat/notes.txt": b"", "cat/README": b""})
    listing = listed(pack(tree, tmp_path), tmp_path)
    assert len(listing.images) == 3
    assert listing.passed_over == {
        "pictures that cannot be decoded (.jxl)": 2,
        "no picture (.txt)": 1,
        "no picture (no suffix)": 1,
    }
    assert listing.example_of["no picture (.txt)"].endswith("cat/notes.txt")


@packed
@pytest.mark.parametrize("above", ["", "train/", "photos/"])
def test_an_empty_class_folder_stops_the_run(pack: Pack, above: str, tmp_path: Path) -> None:
    files = {f"{above}{name}": content for name, content in PETS.items()}
    with pytest.raises(DataError, match=r"class folder 'fox' holds no image that can be read \(it is empty\)"):
        found(pack(Tree(files, [f"{above}fox"]), tmp_path))
    (tmp_path / "full").mkdir()
    assert found(pack(Tree(files, [f"{above}cat/empty"]), tmp_path / "full")) == EXPECTED


@packed
def test_a_folder_of_notes_is_no_class(pack: Pack, tmp_path: Path) -> None:
    tree = Tree(
        {**PETS, "annotations/1.xml": b"", "scripts/convert.py": b"", ".git/config": b"", "__MACOSX/cat/._1.png": b""}
    )
    listing = listed(pack(tree, tmp_path), tmp_path)
    assert len(listing.images) == 3
    assert listing.passed_over == {"no picture (.xml)": 1, "no picture (.py)": 1}


@packed
@pytest.mark.parametrize("around", ["photos", "my photos", "2026"])
def test_one_folder_around_everything_is_passed_through(pack: Pack, around: str, tmp_path: Path) -> None:
    tree = Tree({**{f"{around}/{name}": content for name, content in PETS.items()}, "README.txt": b""})
    source = pack(tree, tmp_path)
    assert found(source) == EXPECTED
    assert listed(source, tmp_path).passed_through == around


@packed
def test_a_class_of_folders_is_no_folder_around_everything(pack: Pack, tmp_path: Path) -> None:
    tree = Tree({"cat/a/1.png": b"c1", "cat/b/2.png": b"c2", "dog/a/1.png": b"d1"})
    assert found(pack(tree, tmp_path)) == EXPECTED


@packed
@pytest.mark.parametrize(
    "names", [("train", "test"), ("Training", "Testing"), ("TRAIN", "Validation"), ("train", "val")]
)
@pytest.mark.parametrize("around", ["", "set/"])
def test_held_out_folders_are_splits_or_said(pack: Pack, names: tuple[str, str], around: str, tmp_path: Path) -> None:
    train, held_out = names
    files = {f"{around}{train}/{name}": content for name, content in PETS.items()}
    source = pack(Tree({**files, f"{around}{held_out}/cat/9.png": b"c9"}), tmp_path)
    assert found(source) == EXPECTED
    [(reason, count)] = listed(source, tmp_path).passed_over.items()
    assert count == 1
    assert held_out in reason
    assert "data.splits=own" in reason
    # The advice, followed:
    assert found(source, own_splits=True) == EXPECTED + Counter({("cat", b"c9"): 1})
    splits = Counter(image.split for image in read_all(source, own_splits=True))
    assert splits["train"] == 3
    assert splits.total() == 4


@packed
def test_held_out_folders_alone_are_refused(pack: Pack, tmp_path: Path) -> None:
    files = {f"{split}/{name}": content for split in ("val", "Testing") for name, content in PETS.items()}
    with pytest.raises(DataError, match="Testing, val look like held-out splits"):
        found(pack(Tree(files), tmp_path))


@packed
def test_own_splits_without_a_train_folder_say_what_is_there(pack: Pack, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no folder train with class folders.*by_content"):
        found(pack(Tree(PETS), tmp_path), own_splits=True)


@packed
def test_links_inside_are_followed(pack: Pack, tmp_path: Path) -> None:
    tree = Tree({**PETS, "all/1.png": b"f1"}, links={"fox/1.png": "../all/1.png", "fox/2.png": "1.png"})
    expected = EXPECTED + Counter({("all", b"f1"): 1, ("fox", b"f1"): 1 if pack is as_zip else 2})
    if pack is as_zip:  # a link to a link is not followed there
        tree.links.pop("fox/2.png")
    assert found(pack(tree, tmp_path)) == expected


@packed
def test_a_class_of_links_to_nowhere_stops_the_run(pack: Pack, tmp_path: Path) -> None:
    tree = Tree(PETS, links={"fox/1.png": "../gone/1.png", "fox/2.png": "2.png"})
    with pytest.raises(DataError, match=r"class folder 'fox' .*\(2 × a link to nowhere\)"):
        found(pack(tree, tmp_path))


@packed
def test_a_class_folder_that_is_a_link_to_nowhere_stops_the_run(pack: Pack, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"class folder 'fox' .*a link to nowhere"):
        found(pack(Tree(PETS, links={"fox": "gone"}), tmp_path))


def test_pipes_are_not_waited_for(tmp_path: Path) -> None:
    source = as_folder(Tree(PETS), tmp_path)
    os.mkfifo(tmp_path / "tree" / "cat" / "3.png")
    listing = listed(source, tmp_path)
    assert len(listing.images) == 3
    assert listing.passed_over == {"neither file nor folder": 1}


def test_a_zip_of_windows_has_backslashes(tmp_path: Path) -> None:
    assert found(as_zip(Tree(PETS), tmp_path, "\\")) == EXPECTED


def test_a_member_without_its_zeros_is_read_whole(tmp_path: Path) -> None:
    """A sparse member as GNU tar writes it in the PAX format: a map of what is there, then that alone."""
    content = b"head" + bytes(4096) + b"tail" + bytes(508)
    stored = b"2\n0\n512\n4096\n512\n".ljust(512, b"\0") + content[:512] + content[4096:4608]
    with tarfile.open(tmp_path / "sparse.tar", "w", format=tarfile.PAX_FORMAT) as tar:
        for name, data in PETS.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
        member = tarfile.TarInfo("GNUSparseFile.0/1.png")
        member.size = len(stored)
        member.pax_headers = {
            "GNU.sparse.major": "1",
            "GNU.sparse.minor": "0",
            "GNU.sparse.name": "fox/1.png",
            "GNU.sparse.realsize": str(len(content)),
        }
        tar.addfile(member, io.BytesIO(stored))
    assert found(f"tar:{tmp_path / 'sparse.tar'}") == EXPECTED + Counter({("fox", content): 1})
