"""Which images a compiled pipeline names."""

import json
from pathlib import Path

import pytest

from sanefit import __version__
from sanefit.components.foundation.errors import SettingsError
from sanefit.pipeline.container_images import ContainerImages, container_images
from sanefit.pipeline.settings.cluster_settings import OwnImages

DATA = "registry.example.com/team/sanefit-data@sha256:" + "0a" * 32
TRAINER = "registry.example.com:5000/sanefit-trainer@sha256:" + "9f" * 32
PUSHED = {"version": __version__, "data": DATA, "trainer": TRAINER}


def test_images_that_were_never_pushed_are_named_by_version(tmp_path: Path) -> None:
    images = container_images(pushed=tmp_path / "pushed_images.json")
    assert images == ContainerImages(f"sanefit-data:{__version__}", f"sanefit-trainer:{__version__}")


def test_pushed_images_are_named_by_digest(tmp_path: Path) -> None:
    pushed = tmp_path / "pushed_images.json"
    pushed.write_text(json.dumps(PUSHED))
    assert container_images(pushed=pushed) == ContainerImages(DATA, TRAINER)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "content: Invalid JSON"),
        ("[]", "content: Input should be an object"),
        (json.dumps({**PUSHED, "version": "0.0.1"}), f"version '0.0.1', where this is '{__version__}'"),
        (json.dumps({**PUSHED, "data": "registry.example.com/sanefit-data:1"}), "data: String should match"),
        (json.dumps({**PUSHED, "trainer": DATA[:-1]}), "trainer: String should match"),
        (json.dumps({**PUSHED, "worker": DATA}), "worker: Extra inputs"),
        (json.dumps({"version": __version__, "data": DATA}), "trainer: Field required"),
    ],
)
def test_what_make_push_did_not_write_is_refused(tmp_path: Path, content: str, said: str) -> None:
    pushed = tmp_path / "pushed_images.json"
    pushed.write_text(content)
    with pytest.raises(SettingsError) as caught:
        container_images(pushed=pushed)
    line = str(caught.value)
    assert line.startswith(f"pushed images {str(pushed)!r}: {said}")
    assert line.endswith("; run make push REGISTRY=… again, or remove the file to use the images of this machine")
    assert "\n" not in line


def test_a_configuration_may_name_images_of_its_own(tmp_path: Path) -> None:
    pushed = tmp_path / "pushed_images.json"
    pushed.write_text(json.dumps(PUSHED))
    own = "registry.example.com/mine@sha256:" + "1b" * 32
    assert container_images(OwnImages(trainer=own), pushed) == ContainerImages(DATA, own)
    assert container_images(OwnImages(data=own), pushed) == ContainerImages(own, TRAINER)
    assert container_images(OwnImages(data=own, trainer=own), tmp_path) == ContainerImages(own, own)


def test_what_cannot_be_read_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="Is a directory"):
        container_images(pushed=tmp_path)
    (tmp_path / "bytes").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(SettingsError, match="can't decode"):
        container_images(pushed=tmp_path / "bytes")
