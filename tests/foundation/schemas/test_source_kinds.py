"""The table of sources: which texts it takes, and that its facts agree with the files that list them."""

import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from sanefit.components.foundation.image_dataset.sources.listing import list_source, module_of
from sanefit.components.foundation.schemas.data_settings import DataSettings
from sanefit.components.foundation.schemas.sources import SOURCES, SourceKind, kind_of

EXAMPLES = {
    "digits": ("digits", ""),
    "folder:a/b c": ("folder", "a/b c"),
    "tar:~/x.tar": ("tar", "~/x.tar"),
    "zip:a:b": ("zip", "a:b"),
    "csv:s3://bucket/t.csv": ("csv", "s3://bucket/t.csv"),
    "parquet:/t": ("parquet", "/t"),
    "webdataset:x-{0..9}.tar": ("webdataset", "x-{0..9}.tar"),
    "torchvision:CIFAR10": ("torchvision", "CIFAR10"),
    "s3://bucket/a/b": ("s3", "s3://bucket/a/b"),
    "gs://bucket/a/b": ("gs", "gs://bucket/a/b"),
    "az://container/a/b": ("az", "az://container/a/b"),
    "webdataset:gs://bucket/x.tar": ("webdataset", "gs://bucket/x.tar"),
}
REFUSED = (
    *("", "digit", "digits:", "digits2", "Digits", "folder", "folder:", "rar:x", "tar:a\nb"),
    *("torchvision:", "torchvision:a b", "s3:b/x", "s3://b", "s3://b/", "s3:///x", "gs://b", "az:///x", "gcs://b/x"),
)
HEAVY = {"numpy", "torch", "torchvision", "pyarrow", "boto3", "obstore", "PIL"}


@pytest.mark.parametrize("source", EXAMPLES)
def test_a_source_is_of_one_kind(source: str) -> None:
    kind = kind_of(source)
    assert (kind.name, kind.place(source)) == EXAMPLES[source]
    assert [other for other in SOURCES if other.fits(source)] == [kind]
    assert DataSettings(source=source).source_kind == kind


@pytest.mark.parametrize("source", REFUSED)
def test_any_other_text_is_refused_with_all_forms(source: str) -> None:
    with pytest.raises(ValidationError) as caught:
        DataSettings(source=source)
    [detail] = caught.value.errors()
    assert detail["msg"].startswith("Value error, expected digits, folder:PATH, tar:PATH, ")
    assert all(kind.form in detail["msg"] for kind in SOURCES)


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("photos", "folder:photos"),
        ("../my photos", "folder:../my photos"),
        ("/data/p.tar.gz", "tar:/data/p.tar.gz"),
        ("p.TGZ", "tar:p.TGZ"),
        ("p.zip", "zip:p.zip"),
        ("labels.csv", "csv:labels.csv"),
        ("labels.parquet", "parquet:labels.parquet"),
        ("digits", "digits"),
    ],
)
def test_a_path_alone_gets_its_kind(path: str, source: str) -> None:
    assert DataSettings(source=path).source == source


@given(
    st.sampled_from(["folder", "tar", "zip", "csv", "parquet", "webdataset"]), st.from_regex(r"[^\n]+", fullmatch=True)
)
def test_a_path_may_be_anything_and_stays_as_it_is(name: str, path: str) -> None:
    kind = kind_of(f"{name}:{path}")
    assert (kind.name, kind.place(f"{name}:{path}")) == (name, path)


@pytest.mark.parametrize(
    ("source", "here"),
    [
        ("folder:photos", True),
        ("parquet:/t", True),
        ("zip:s3://bucket/x.zip", False),
        ("webdataset:s3://bucket/x-{0..9}.tar", False),
        ("webdataset:x-{0..9}.tar", True),
        ("s3://bucket/x", False),
        ("torchvision:MNIST", False),
        ("digits", False),
    ],
)
def test_only_a_path_that_is_no_uri_is_on_this_machine(source: str, here: bool) -> None:
    assert kind_of(source).on_this_machine(source) is here


@pytest.mark.parametrize("kind", SOURCES, ids=lambda kind: kind.name)
def test_every_kind_has_a_file_that_lists_it(kind: SourceKind) -> None:
    assert callable(module_of(kind).list_images)


@pytest.mark.parametrize(
    "kind", [kind for kind in SOURCES if kind.pixels and kind.form == kind.name], ids=lambda kind: kind.name
)
def test_a_source_of_pixels_gives_as_many_as_the_table_says(kind: SourceKind, tmp_path: Path) -> None:
    assert kind.pixels is not None
    height, width, channels = kind.pixels
    images = list_source(kind.form, tmp_path).images
    assert {len(image.location.read()) for image in images} == {height * width * channels}


def test_reading_the_settings_loads_nothing_heavy() -> None:
    code = "import sys, sanefit.components.foundation.schemas.images; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert HEAVY & set(loaded) == set()
