"""Columns of listed images give back each image as it was listed."""

from hypothesis import given
from hypothesis import strategies as st

from sanefit.components.foundation.image_dataset.sources.local_file import LocalFile, PartOfFile
from sanefit.components.foundation.image_dataset.sources.location import InMemory
from sanefit.components.foundation.image_dataset.sources.source_image import SourceImage, SourceImages
from sanefit.components.foundation.schemas.images import SPLITS

text = st.text(st.characters(), max_size=9)  # lone surrogates too, as names that are not UTF-8 have them
number = st.integers(0, 2**62)
locations = st.one_of(
    st.builds(PartOfFile, st.sampled_from(["a.tar", "b.tar"]), number, number, st.sampled_from(["now", "then"])),
    st.builds(LocalFile, text, number, number),
    st.builds(InMemory, st.binary(max_size=5)),
)
splits = st.sampled_from([*SPLITS, None])
images = st.builds(SourceImage, st.sampled_from(["cat", "dog", "ü", ""]), text, locations, splits, st.none() | text)
beside = st.builds(
    lambda path, modified, size: SourceImage("cat", path, LocalFile(path, modified, size)), text, number, number
)


@given(st.lists(images | beside, max_size=20), st.data())
def test_images_come_back_as_they_were_listed(listed: list[SourceImage], data: st.DataObject) -> None:
    found = SourceImages(listed)
    assert len(found) == len(listed)
    assert list(found) == found[:] == found.chosen(range(len(listed))) == listed
    assert [found[place] for place in range(-len(listed), len(listed))] == listed + listed
    assert found[1::3] == listed[1::3]
    assert [found.path(place) for place in range(len(listed))] == [image.path for image in listed]
    assert [found.split(place) for place in range(len(listed))] == [image.split for image in listed]
    names, labels = found.classes()
    assert names == sorted({image.class_name for image in listed})
    assert [names[label] for label in labels.tolist()] == [image.class_name for image in listed]
    chosen = data.draw(st.lists(st.sampled_from(range(len(listed))))) if listed else []
    assert found.chosen(chosen) == [listed[place] for place in chosen]
