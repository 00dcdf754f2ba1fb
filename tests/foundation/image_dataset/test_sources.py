import io
import os
import tarfile
import tempfile
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from listed_sources import files_passed_over, read_all
from sklearn.datasets import load_digits

from sanefit.components.foundation.errors import DataError

Files = dict[str, bytes]


def make_folder(root: Path, files: Files) -> str:
    for name, content in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content)
    return f"folder:{root}"


def make_tar(path: Path, files: Files, mode: str = "w") -> str:
    with tarfile.open(path, mode) as tar:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return f"tar:{path}"


def found(source: str) -> Counter[tuple[str, bytes]]:
    return Counter((image.class_name, image.content) for image in read_all(source))


def ignored(source: str) -> int:
    return files_passed_over(source)


def the_error(source: str) -> str:
    with pytest.raises(DataError) as raised:
        read_all(source)
    return str(raised.value)


FILES: Files = {"dog/2.png": b"d2", "cat/1.png": b"c1", "cat/b/3.JPG": b"c3", "dog/4.webp": b"d4"}
EXPECTED = Counter([("cat", b"c1"), ("cat", b"c3"), ("dog", b"d2"), ("dog", b"d4")])


def test_a_folder_has_one_class_per_subfolder(tmp_path: Path) -> None:
    assert found(make_folder(tmp_path, FILES)) == EXPECTED


def test_a_folder_train_above_the_classes_is_not_a_class(tmp_path: Path) -> None:
    assert found(make_folder(tmp_path / "f", {f"train/{k}": v for k, v in FILES.items()})) == EXPECTED
    assert found(make_tar(tmp_path / "t", {f"train/{k}": v for k, v in FILES.items()})) == EXPECTED


@pytest.mark.parametrize("mode", ["w", "w:gz", "w:bz2", "w:xz"])
@pytest.mark.parametrize("prefix", ["", "./", "train/", "./train/"])
def test_a_tar_is_read_however_it_is_packed(mode: str, prefix: str, tmp_path: Path) -> None:
    assert found(make_tar(tmp_path / "images", {prefix + k: v for k, v in FILES.items()}, mode)) == EXPECTED


names = st.text("abcXYZ019 _é-", min_size=1, max_size=5)
suffixes = st.sampled_from([".png", ".jpg", ".JPEG", ".Tif", ".tiff", ".bmp", ".gif", ".webp", ".txt", "", ".npy"])
paths = st.builds(lambda parts, suffix: "/".join(parts) + suffix, st.lists(names, min_size=1, max_size=3), suffixes)
trees = st.dictionaries(paths.map(str.casefold), st.binary(max_size=8), max_size=12).filter(
    lambda tree: not any(parent != path and path.startswith(f"{parent}/") for parent in tree for path in tree)
)
IMAGE_ENDINGS = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp", ".gif", ".webp")


@settings(max_examples=40)
@given(trees, st.booleans(), st.booleans())
@example({"preview.png": b"", "photos/cat/1.png": b"", "photos/dog/1.png": b""}, False, False)
def test_folder_and_tar_of_the_same_files_hold_the_same_images(tree: Files, in_train: bool, dot: bool) -> None:
    images = {path: content for path, content in tree.items() if "/" in path and path.endswith(IMAGE_ENDINGS)}
    parts = [path.split("/") for path in images]
    around = not in_train and all(len(p) == 3 for p in parts) and len({p[0] for p in parts}) == 1
    passed_through = around and len({p[1] for p in parts}) > 1
    expected = Counter((path.split("/")[1 if passed_through else 0], content) for path, content in images.items())
    if in_train and not images:  # no class folder below train/: then train is a class itself
        expected = Counter(("train", content) for path, content in tree.items() if path.endswith(IMAGE_ENDINGS))
    inside = {("train/" if in_train else "") + path: content for path, content in tree.items()}
    with tempfile.TemporaryDirectory() as temporary:
        folder = make_folder(Path(temporary) / "folder", inside or {"train/note.txt": b""})
        tar = make_tar(Path(temporary) / "tar", {("./" if dot else "") + k: v for k, v in inside.items()})
        assert found(folder) == found(tar) == expected
        if inside:
            assert ignored(folder) == ignored(tar) == len(tree) - expected.total()


def test_what_is_hidden_is_passed_over_without_counting(tmp_path: Path) -> None:
    hidden = {".git/a.png": b"1", "cat/.DS_Store": b"2", "cat/._1.png": b"3", "cat/.thumbs/1.png": b"4"}
    for source in (make_folder(tmp_path / "f", FILES | hidden), make_tar(tmp_path / "t", FILES | hidden)):
        assert found(source) == EXPECTED
        assert ignored(source) == 0


def test_other_files_are_counted(tmp_path: Path) -> None:
    others = {"README.txt": b"1", "loose.png": b"2", "cat/labels.csv": b"3", "cat/b/model.npy": b"4"}
    for source in (make_folder(tmp_path / "f", FILES | others), make_tar(tmp_path / "t", FILES | others)):
        assert found(source) == EXPECTED
        assert ignored(source) == 4


def test_the_order_does_not_change_between_calls(tmp_path: Path) -> None:
    for source in (make_folder(tmp_path / "f", FILES), make_tar(tmp_path / "t", FILES), "digits"):
        assert read_all(source) == read_all(source)


def test_the_order_of_a_folder_is_that_of_its_names(tmp_path: Path) -> None:
    source = make_folder(tmp_path, FILES)
    expected = ["cat/1.png", "cat/b/3.JPG", "dog/2.png", "dog/4.webp"]
    assert [image.path for image in read_all(source)] == [str(tmp_path / p) for p in expected]


def test_an_image_may_be_a_symbolic_link(tmp_path: Path) -> None:
    source = make_folder(tmp_path / "f", FILES)
    (tmp_path / "elsewhere.bin").write_bytes(b"linked")
    (tmp_path / "f" / "cat" / "link.png").symlink_to(tmp_path / "elsewhere.bin")
    assert found(source) == EXPECTED + Counter([("cat", b"linked")])


def test_the_digits_are_those_of_scikit_learn() -> None:
    scans, labels = load_digits(return_X_y=True)
    images = read_all("digits")
    assert [int(image.class_name) for image in images] == labels.tolist()
    pixels = np.stack([np.frombuffer(image.content, np.uint8).reshape(8, 8, 1) for image in images])
    assert pixels.shape == (1797, 8, 8, 1)
    assert pixels.dtype == np.uint8
    assert (pixels.min(), pixels.max()) == (0, 255)
    np.testing.assert_allclose(pixels.reshape(1797, 64), scans * 255 / 16, atol=0.5)


@pytest.mark.parametrize("kind", ["folder", "tar"])
def test_a_missing_path_is_named(kind: str, tmp_path: Path) -> None:
    message = the_error(f"{kind}:{tmp_path / 'nowhere'}")
    assert str(tmp_path / "nowhere") in message
    assert "\n" not in message


def test_a_file_is_no_folder_and_a_folder_no_tar(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    for source in (f"folder:{tmp_path / 'file'}", f"tar:{tmp_path}"):
        message = the_error(source)
        assert source.partition(":")[2] in message
        assert "\n" not in message


def some_tar(path: Path, mode: str) -> bytes:
    random = np.random.default_rng(0)
    make_tar(path, {f"{name}/{n}.png": random.bytes(700) for name in ("cat", "dog") for n in range(40)}, mode)
    return path.read_bytes()


@pytest.mark.parametrize("share", [0.3, 0.6, 0.95])
@pytest.mark.parametrize("mode", ["w:gz", "w:xz"])
def test_a_truncated_compressed_tar_is_an_error_that_names_it(mode: str, share: float, tmp_path: Path) -> None:
    path = tmp_path / "images"
    content = some_tar(path, mode)
    path.write_bytes(content[: int(len(content) * share)])
    message = the_error(f"tar:{path}")
    assert str(path) in message
    assert "\n" not in message


def test_a_tar_cut_inside_an_image_is_an_error_that_names_it(tmp_path: Path) -> None:
    path = tmp_path / "images.tar"
    content = some_tar(path, "w")
    path.write_bytes(content[: 10 * 1536 + 512 + 300])  # an image: a header of 512 bytes and 2 blocks
    message = the_error(f"tar:{path}")
    assert str(path) in message
    assert "\n" not in message


def test_a_file_that_is_no_tar_is_an_error_that_names_it(tmp_path: Path) -> None:
    (tmp_path / "images.tar").write_bytes(b"this is no archive " * 100)
    assert str(tmp_path / "images.tar") in the_error(f"tar:{tmp_path / 'images.tar'}")


def test_a_file_that_is_no_tar_is_an_error_of_one_line(tmp_path: Path) -> None:
    (tmp_path / "images.tar").write_bytes(b"this is no archive " * 100)
    assert "\n" not in the_error(f"tar:{tmp_path / 'images.tar'}")


def test_a_damaged_xz_tar_is_an_error_that_names_it(tmp_path: Path) -> None:
    path = tmp_path / "images.tar.xz"
    content = some_tar(path, "w:xz")
    middle = len(content) // 2
    path.write_bytes(content[:middle] + b"\xff" * 8 + content[middle + 8 :])
    assert str(path) in the_error(f"tar:{path}")


def test_a_damaged_gz_tar_is_an_error_that_names_it(tmp_path: Path) -> None:
    path = tmp_path / "images.tar.gz"
    content = some_tar(path, "w:gz")
    for place in range(100, len(content) - 100, len(content) // 17):
        path.write_bytes(
            content[:place] + bytes(byte ^ 0xFF for byte in content[place : place + 8]) + content[place + 8 :]
        )
        assert str(path) in the_error(f"tar:{path}")


def test_a_damaged_header_is_an_error_and_not_an_end(tmp_path: Path) -> None:
    path = tmp_path / "images.tar"
    content = some_tar(path, "w")
    path.write_bytes(content[: 50 * 1536] + b"\xff" * 512 + content[50 * 1536 + 512 :])
    assert str(path) in the_error(f"tar:{path}")


def test_a_tar_cut_between_two_images_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "images.tar"
    content = some_tar(path, "w")
    path.write_bytes(content[: 50 * 1536])
    assert str(path) in the_error(f"tar:{path}")


def test_folder_and_tar_agree_when_test_stands_beside_train(tmp_path: Path) -> None:
    files = {"train/cat/1.png": b"1", "train/dog/1.png": b"2", "test/cat/1.png": b"3"}
    assert found(make_tar(tmp_path / "t", files)) == found(make_folder(tmp_path / "f", files))


def test_folder_and_tar_agree_on_hard_links(tmp_path: Path) -> None:
    source = make_folder(tmp_path / "f", FILES)
    os.link(tmp_path / "f" / "cat" / "1.png", tmp_path / "f" / "dog" / "same.png")
    with tarfile.open(tmp_path / "t", "w") as tar:
        tar.add(tmp_path / "f", arcname=".")
    assert found(f"tar:{tmp_path / 't'}") == found(source)


def test_a_class_folder_may_be_a_symbolic_link(tmp_path: Path) -> None:
    make_folder(tmp_path / "elsewhere", {"cow/1.png": b"moo"})
    source = make_folder(tmp_path / "f", FILES)
    (tmp_path / "f" / "cow").symlink_to(tmp_path / "elsewhere" / "cow")
    assert found(source) == EXPECTED + Counter([("cow", b"moo")])


def test_an_image_that_the_disk_cannot_give_is_named(tmp_path: Path) -> None:
    source = make_folder(tmp_path, FILES)
    (tmp_path / "cat" / "bad.png").symlink_to("/proc/self/mem")  # opens; reading it is an input/output error
    assert "bad.png" in the_error(source)
