"""What the lean index says of an archive is what tarfile says; what it cannot tell, it leaves to tarfile."""

import io
import tarfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sanefit.components.foundation.errors import DataError
from sanefit.components.foundation.image_dataset.sources import tar_archive, tar_headers
from sanefit.components.foundation.image_dataset.sources.source_image import SourceListing
from sanefit.components.foundation.image_dataset.sources.tar_headers import read_headers

FORMATS = {"ustar": tarfile.USTAR_FORMAT, "gnu": tarfile.GNU_FORMAT, "pax": tarfile.PAX_FORMAT}
folders = st.sampled_from(["", "cat/", "./cat/", "dog//", "dog/../cat/", ".hidden/", "long" * 30 + "/", "ä/", "a/b/"])
bases = st.sampled_from(["1.jpg", "2.JPG", "notes.txt", ".x.jpg", "ü.png", "n" * 99 + ".jpg", "3.jpg"])
kinds = st.sampled_from([tarfile.REGTYPE, tarfile.AREGTYPE, tarfile.REGTYPE, tarfile.DIRTYPE])
rare = st.sampled_from([tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.CONTTYPE, *[tarfile.REGTYPE] * 20])
members = st.lists(st.tuples(folders, bases, kinds, rare, st.integers(0, 1500), st.integers(0, 10)), max_size=12)


def packed(drawn: list[tuple[str, str, bytes, bytes, int, int]], form: str) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=FORMATS[form]) as tar:
        for folder, base, kind, other, size, odd in drawn:
            member = tarfile.TarInfo(folder + base)
            member.type = kind if other == tarfile.REGTYPE else other
            member.size = size if member.isreg() else 0
            member.uid = 2**40 if odd == 9 else 1000
            member.linkname = "cat/1.jpg" if odd < 5 else "nowhere"
            try:
                tar.addfile(member, io.BytesIO(bytes(member.size)))
            except ValueError:  # a name or a number that this form cannot hold
                continue
    return buffer.getvalue()


def listed(archive: Path, *, lean: bool) -> SourceListing | str:
    with pytest.MonkeyPatch.context() as patch:
        if not lean:
            patch.setattr(tar_archive, "read_headers", lambda _: None)
        try:
            return tar_archive.list_tar(archive, archive.parent, folders="nothing", origin="x")
        except DataError as error:
            return str(error)


def require_equal(archive: Path) -> None:
    lean, whole = listed(archive, lean=True), listed(archive, lean=False)
    if isinstance(lean, str) or isinstance(whole, str):
        assert lean == whole
        return
    assert list(lean.images) == list(whole.images)
    assert (lean.passed_over, lean.example_of) == (whole.passed_over, whole.example_of)


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("archives") / "x.tar"


@given(members, st.sampled_from(sorted(FORMATS)), st.integers(1, 5))
def test_an_archive_is_listed_as_tarfile_lists_it(
    archive: Path, drawn: list[tuple[str, str, bytes, bytes, int, int]], form: str, at_once: int
) -> None:
    archive.write_bytes(packed(drawn, form))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tar_headers, "HEADERS_AT_ONCE", at_once)
        require_equal(archive)


@given(members, st.data())
def test_a_damaged_archive_is_refused_as_tarfile_refuses_it(
    archive: Path, drawn: list[tuple[str, str, bytes, bytes, int, int]], data: st.DataObject
) -> None:
    content = bytearray(packed(drawn, "ustar").rstrip(b"\0") + bytes(1024))
    place = data.draw(st.integers(0, min(len(content) - 1, 700)))
    content[place] = data.draw(st.integers(0, 255))
    if data.draw(st.booleans()) and len(content) >= tar_headers.BLOCK:  # so that the checksum is right
        header = np.frombuffer(bytes(content[: tar_headers.BLOCK]), dtype=np.uint8)[np.newaxis]
        content[148:156] = b"%06o\0 " % int(tar_headers._checksums(header)[0])
    archive.write_bytes(content[: data.draw(st.integers(len(content) // 2, len(content)))])
    require_equal(archive)


def test_each_byte_of_a_header_counts_as_it_does_for_tarfile(archive: Path) -> None:
    whole = packed([("cat/", f"{number}.jpg", tarfile.REGTYPE, tarfile.REGTYPE, 9, 0) for number in (1, 2)], "ustar")
    left_to_tarfile = 0
    for place in range(2 * tar_headers.BLOCK, 3 * tar_headers.BLOCK):
        content = bytearray(whole)
        content[place] ^= 1
        archive.write_bytes(content)
        require_equal(archive)
        left_to_tarfile += read_headers(archive) is None
    assert left_to_tarfile >= tar_headers.BLOCK - len(b"\0 ")  # all but what ends the checksum


@pytest.mark.parametrize("form", FORMATS)
def test_ordinary_files_and_folders_need_no_tarfile(form: str, tmp_path: Path) -> None:
    root = tmp_path / "images"
    for name in ("cat", "dog"):
        (root / name).mkdir(parents=True)
        for number in range(20):
            (root / name / f"{number}.jpg").write_bytes(bytes(number * 100))
    archive = tmp_path / "x.tar"
    with tarfile.open(archive, "w", format=FORMATS[form]) as tar:
        for path in sorted(root.rglob("*")):
            member = tar.gettarinfo(path, str(path.relative_to(root)))
            member.mtime = int(member.mtime)  # pax would write an extra member for its fraction
            tar.addfile(member, io.BytesIO(path.read_bytes()) if path.is_file() else None)
    headers = read_headers(archive)
    assert headers is not None
    assert sorted(headers.folders) == ["cat", "dog"]
    with tarfile.open(archive) as tar:
        assert headers.names == [member.name for member in tar if member.isfile()]
        assert list(headers.starts) == [member.offset_data for member in tar if member.isfile()]
        assert list(headers.sizes) == [member.size for member in tar if member.isfile()]


def test_an_archive_without_an_end_is_left_to_tarfile(tmp_path: Path) -> None:
    content = packed([("cat/", "1.jpg", tarfile.REGTYPE, tarfile.REGTYPE, 100, 0)], "ustar")
    (tmp_path / "x.tar").write_bytes(content[:1024])
    assert read_headers(tmp_path / "x.tar") is None
    (tmp_path / "x.tar").write_bytes(content[:1536])
    assert read_headers(tmp_path / "x.tar") is not None
