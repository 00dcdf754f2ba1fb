"""What a location says of itself: snapshots find images that earlier ones read by it, so it never changes."""

import hashlib
import pickle

import pytest

from sanefit.components.dataset_snapshot.decoded_images import folder_of
from sanefit.components.foundation.image_dataset.sources.local_file import LocalFile, PartOfFile
from sanefit.components.foundation.image_dataset.sources.location import InMemory, Location, identity_of
from sanefit.components.foundation.image_dataset.sources.object_in_store import ObjectInStore
from sanefit.components.foundation.image_dataset.sources.parquet_image import ImageColumn, ParquetImage
from sanefit.components.foundation.image_dataset.sources.torchvision_dataset import TorchvisionItem
from sanefit.components.foundation.image_dataset.sources.zip_archive import ZipMember
from sanefit.components.foundation.schemas.data_settings import DataSettings
from sanefit.components.foundation.storage.remote_stores import StoredObject

STATES: list[tuple[Location, str]] = [
    (InMemory(b"abc"), "content abc"),
    (LocalFile("/a'b", 5, 7), """LocalFile(path="/a'b", modified=5, size=7)"""),
    (PartOfFile("/tmp/x", 512, 9, "LocalFile(…)"), "part LocalFile(…) 512 9"),
    (ZipMember("/x.zip", "a/b.png", "origin"), "member origin a/b.png"),
    (ParquetImage(ImageColumn(LocalFile("/x", 5, 7), "image.bytes", "origin"), 2, 9), "row origin image.bytes 2 9"),
    (TorchvisionItem("CIFAR10", "train", 3), "TorchvisionItem(name='CIFAR10', split='train', number=3)"),
    (ObjectInStore(StoredObject("s3://b/k", '"e"', 4)), 'object http://127.0.0.1:9/ s3://b/k "e" 4'),
]


@pytest.fixture(autouse=True)
def endpoint(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "sanefit.components.foundation.image_dataset.sources.object_in_store.endpoint", lambda _: "http://127.0.0.1:9/"
    )


@pytest.mark.parametrize(("location", "state"), STATES, ids=lambda value: type(value).__name__)
def test_the_identity_is_the_digest_of_what_the_source_says(location: Location, state: str) -> None:
    assert identity_of(location) == hashlib.sha256(state.encode()).digest()


@pytest.mark.parametrize("location", [location for location, _ in STATES], ids=lambda value: type(value).__name__)
def test_a_location_can_be_sent_to_another_process(location: Location) -> None:
    assert pickle.loads(pickle.dumps(location)) == location


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (DataSettings(), "3 digits None (255, 255, 255) 16"),
        (DataSettings(source="folder:x", image_size=32), "3 image files 32 (255, 255, 255) 16"),
        (DataSettings(source="folder:x", image_size=[32, 32]), "3 image files 32 (255, 255, 255) 16"),
        (DataSettings(source="folder:x", image_size=[32, 48]), "3 image files (32, 48) (255, 255, 255) 16"),
        (DataSettings(source="s3://b/x", background=(0, 1, 2)), "3 image files None (0, 1, 2) 16"),
    ],
    ids=str,
)
def test_decoded_images_lie_where_earlier_versions_put_them(settings: DataSettings, words: str) -> None:
    key = hashlib.sha256(words.encode()).hexdigest()[:16]
    assert folder_of(settings) == f"decoded/{key}"
