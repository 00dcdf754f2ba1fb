"""Which files a path, a folder or a pattern names."""

import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sanefit.components.foundation.errors import DataError
from sanefit.components.foundation.image_dataset.sources.file_splits import files_to_read
from sanefit.components.foundation.image_dataset.sources.named_files import NamedFile, named_files, without_braces
from sanefit.components.foundation.image_dataset.sources.source_image import SourceListing


def touch(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"x")


def names_of(place: str) -> list[str]:
    return [file.name for file in named_files(place, ".tar")[1]]


def test_a_folder_names_its_files_with_the_suffix_and_no_hidden_ones(tmp_path: Path) -> None:
    touch(tmp_path, "b.tar", "a.tar", "c.TAR", ".hidden.tar", "notes.txt", "below/d.tar")
    for place in (f"{tmp_path}", f"{tmp_path}/"):
        assert names_of(place) == ["a.tar", "b.tar", "c.TAR"]


def test_a_pattern_names_files_in_its_order(tmp_path: Path) -> None:
    touch(tmp_path, *(f"{split}/s-{number:03d}.tar" for split in ("train", "val") for number in range(12)))
    assert names_of(f"{tmp_path}/{{val,train}}/s-{{008..011}}.tar") == [
        f"{split}/s-{number:03d}.tar" for split in ("val", "train") for number in range(8, 12)
    ]
    assert names_of(f"{tmp_path}/train/s-00?.tar") == [f"s-{number:03d}.tar" for number in range(10)]
    assert names_of(f"{tmp_path}/{{train,val}}/*1.tar") == [
        f"{s}/s-{n}.tar" for s in ("train", "val") for n in ("001", "011")
    ]


@given(st.integers(0, 120), st.integers(0, 120), st.integers(1, 4), st.integers(1, 4), st.sampled_from(["a,b", "x,,y"]))
def test_braces_mean_what_they_mean_to_a_shell(first: int, last: int, digits: int, more: int, choices: str) -> None:
    first, last = sorted((first, last))
    pattern = f"p{{{choices}}}-{{{first:0{digits}d}..{last:0{more}d}}}.tar"
    expected = subprocess.run(["bash", "-c", f"printf '%s\\n' {pattern}"], capture_output=True, text=True, check=True)
    assert list(without_braces(pattern)) == expected.stdout.split()


def test_a_file_may_be_named_as_a_pattern_is(tmp_path: Path) -> None:
    touch(tmp_path, "{1..3}.tar", "what?.tar")
    assert names_of(f"{tmp_path}/{{1..3}}.tar") == ["{1..3}.tar"]
    assert names_of(f"{tmp_path}/what?.tar") == ["what?.tar"]


def test_a_relative_place_begins_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    touch(tmp_path, "s-0.tar", "s-1.tar", "below/s-2.tar")
    monkeypatch.chdir(tmp_path)
    assert names_of("s-{0..1}.tar") == names_of("*.tar") == names_of(".") == ["s-0.tar", "s-1.tar"]
    assert names_of("below") == ["s-2.tar"]


@pytest.mark.parametrize(
    ("place", "said"),
    [
        ("nowhere", "no .tar file at '.*nowhere'; expected one, a folder of them, or a pattern, as in train-{000"),
        ("absent.tar", "no .tar file at"),
        ("no-*.tar", "no .tar file at"),
        ("s-{5..4}.tar", "no .tar file at"),
        ("s-{0..4}.tar", r"no file '.*s-2\.tar': 3 of the 5 that '.*' names are missing; expected all of them"),
        ("*/s-0.tar", r"has \* or \? in a folder's name; .* braces"),
        ("s-{0..9999999}.tar", "names more than 1,000,000 files"),
        ("notes", "no .tar file at"),
    ],
)
def test_what_names_nothing_is_one_line(place: str, said: str, tmp_path: Path) -> None:
    touch(tmp_path, "s-0.tar", "s-1.tar", "notes/readme.md")
    with pytest.raises(DataError, match=said) as caught:
        named_files(f"{tmp_path}/{place}", ".tar")
    assert "\n" not in str(caught.value)


SPLIT_OF = {
    "train-00000-of-00012.parquet": "train",
    "imagenet1k-validation-07.tar": "validation",
    "val/000.tar": "validation",
    "Training/test/000.tar": "test",
    "TEST_3.tar": "test",
    "trainer-0.tar": None,
    "train-test-0.tar": None,
    "train/test-val.tar": "train",
    "000.tar": None,
}


@pytest.mark.parametrize("name", SPLIT_OF)
def test_a_split_is_a_word_of_a_name(name: str) -> None:
    files = [NamedFile(f"/x/{name}", name), NamedFile("/x/train.tar", "train.tar")]
    if SPLIT_OF[name] is None:
        with pytest.raises(DataError, match=f"'/x/{name}' tells no split; expected one of the words"):
            files_to_read(files, SourceListing(), own_splits=True)
    else:
        assert files_to_read(files, SourceListing(), own_splits=True)[0][1] == SPLIT_OF[name]


def test_without_own_splits_only_training_is_read_where_there_is_one() -> None:
    files = [NamedFile(f"/x/{name}.tar", f"{name}.tar") for name in ("test-0", "train-0", "train-1", "more")]
    listing = SourceListing()
    assert files_to_read(files, listing, own_splits=False) == [(files[1], None), (files[2], None)]
    assert listing.passed_over.total() == 2
    assert "set data.splits=own" in " ".join(listing.passed_over)
    for others in (files[:1], files[3:]):
        assert files_to_read(others, listing, own_splits=False) == [(file, None) for file in others]


def test_own_splits_without_training_are_one_line() -> None:
    with pytest.raises(DataError, match="none is named train"):
        files_to_read([NamedFile("/x/val.tar", "val.tar")], SourceListing(), own_splits=True)
