"""``s3://BUCKET/PREFIX``, ``gs://…``, ``az://…``: one folder per class, or a tar or zip archive."""

from sanefit.components.foundation.image_dataset.sources import tar_archive, zip_archive
from sanefit.components.foundation.image_dataset.sources.class_folders import Entries
from sanefit.components.foundation.image_dataset.sources.image_classes import with_class
from sanefit.components.foundation.image_dataset.sources.object_in_store import ObjectInStore
from sanefit.components.foundation.image_dataset.sources.source_image import ListingRequest, SourceImage, SourceListing
from sanefit.components.foundation.schemas.sources import TAR_SUFFIXES
from sanefit.components.foundation.storage.stored_objects import list_objects, pinned


def list_images(request: ListingRequest) -> SourceListing:
    """Every image below a prefix, in the order of the keys; or in an archive, when the address names one.

    Raises:
        StorageError: when the bucket cannot be listed, or the archive not be read, or there is no room for it.
    """
    if request.place.endswith(TAR_SUFFIXES):
        return tar_archive.list_images(request)
    if request.place.endswith(".zip"):
        return zip_archive.list_images(request)
    prefix = request.place.rstrip("/") + "/"
    objects = {found.uri.removeprefix(prefix): found for found in pinned(list_objects(prefix))}
    listing = SourceListing()
    entries = Entries(list(objects))
    classified = with_class(entries, listing, folders=request.folders, class_from=request.class_from)
    for name, class_name, split in classified:
        listing.images.append(SourceImage(class_name, objects[name].uri, ObjectInStore(objects[name]), split))
        listing.objects.append(objects[name])
    return listing
