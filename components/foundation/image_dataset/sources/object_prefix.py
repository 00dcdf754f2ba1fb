"""``s3://BUCKET/PREFIX``, ``gs://…``, ``az://…``: one folder per class, or a tar or zip archive."""

from sanefit.components.foundation.image_dataset.sources.class_folders import Entries
from sanefit.components.foundation.image_dataset.sources.image_classes import with_class
from sanefit.components.foundation.image_dataset.sources.object_in_store import ObjectInStore
from sanefit.components.foundation.image_dataset.sources.source_image import ListingRequest, SourceImage, SourceListing
from sanefit.components.foundation.image_dataset.sources.tar_archive import list_tar
from sanefit.components.foundation.image_dataset.sources.zip_archive import list_zip
from sanefit.components.foundation.schemas.sources import TAR_SUFFIXES
from sanefit.components.foundation.storage.object_store import local_cache
from sanefit.components.foundation.storage.room import require_room_for
from sanefit.components.foundation.storage.stored_objects import fetch, list_objects, object_at


def list_images(request: ListingRequest) -> SourceListing:
    """Every image below a prefix, in the order of the keys; or in an archive, when the URI names one.

    An archive is fetched; a later listing on this machine takes the copy, as long as the object's ETag and size are
    the same.

    Raises:
        StorageError: when the bucket cannot be listed, or the archive not be read, or there is no room for it.
    """
    uri = request.place
    if uri.endswith((*TAR_SUFFIXES, ".zip")):
        archive = object_at(uri)
        require_room_for([archive], local_cache())
        copy = fetch(archive, local_cache())
        if uri.endswith(".zip"):
            return list_zip(copy, folders=request.folders, class_from=request.class_from, origin=repr(archive))
        return list_tar(
            copy, request.scratch, folders=request.folders, class_from=request.class_from, origin=repr(archive)
        )
    prefix = uri.rstrip("/") + "/"
    objects = {found.uri.removeprefix(prefix): found for found in list_objects(prefix)}
    listing = SourceListing()
    entries = Entries(
        [name for name in objects if not name.endswith("/")], [name for name in objects if name.endswith("/")]
    )
    for name, class_name, split in with_class(entries, listing, folders=request.folders, class_from=request.class_from):
        listing.images.append(SourceImage(class_name, objects[name].uri, ObjectInStore(objects[name]), split))
    return listing
