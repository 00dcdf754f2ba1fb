"""What ``data.exclude`` may be."""

import csv
import io
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sanefit.components.foundation.errors import DataError
from sanefit.components.foundation.image_dataset.excluded_names import read_excluded_names

NAMES = st.text(st.characters(exclude_characters="\r\n\0", exclude_categories=["Cs"]), min_size=1).filter(
    lambda name: name.strip() != "" and not name.startswith("\ufeff")
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("excluded")


@given(
    st.lists(NAMES, min_size=1), st.sampled_from([",", ";", "\t"]), st.sampled_from(["utf-8", "utf-8-sig", "utf-16"])
)
def test_a_table_s_paths_are_read_however_it_is_saved(
    folder: Path, names: list[str], delimiter: str, encoding: str
) -> None:
    text = io.StringIO(newline="")
    writer = csv.writer(text, delimiter=delimiter)
    writer.writerows([["path", "label", "score"], *([name, "cat", "0.1"] for name in names)])
    (folder / "table.csv").write_bytes(text.getvalue().encode(encoding))
    assert read_excluded_names(str(folder / "table.csv")) == set(names)


@given(st.lists(NAMES, min_size=1), st.sampled_from(["\n", "\r\n"]))
def test_plain_text_is_a_name_in_each_line(folder: Path, names: list[str], end: str) -> None:
    lines = ["a/first.png", *names]
    (folder / "plain.txt").write_bytes((end.join(lines) + end).encode())
    assert read_excluded_names(str(folder / "plain.txt")) == set(lines)


def test_the_column_may_stand_anywhere_and_rows_may_be_short(folder: Path) -> None:
    (folder / "edited.csv").write_text("label,path\ncat,a.png\ndog\n\ncat,b.png,more\n")
    assert read_excluded_names(str(folder / "edited.csv")) == {"a.png", "b.png"}


def test_a_name_of_other_bytes_is_as_the_system_gives_it(folder: Path) -> None:
    (folder / "latin.csv").write_bytes(b"path,label\nd\xf6g/1.png,dog\n")
    assert read_excluded_names(str(folder / "latin.csv")) == {b"d\xf6g/1.png".decode("utf-8", "surrogateescape")}


@pytest.mark.parametrize("content", [b"", b"\n \n", b"path,label\n", b"path;label\n\n"])
def test_a_file_that_names_nothing_is_refused(folder: Path, content: bytes) -> None:
    file = folder / "empty.csv"
    file.write_bytes(content)
    with pytest.raises(DataError, match=re.escape(f"data.exclude={str(file)!r} names no image; expected")):
        read_excluded_names(str(file))


@pytest.mark.parametrize("content", [None, b"\xff\xfea"])
def test_a_file_that_cannot_be_read_is_refused_in_one_line(folder: Path, content: bytes | None) -> None:
    file = folder / "unreadable"
    file.unlink(missing_ok=True)
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(DataError) as error:
        read_excluded_names(str(file))
    assert re.fullmatch(r"data\.exclude='[^']+' cannot be read: .+; expected .+; correct it, or .+", str(error.value))
