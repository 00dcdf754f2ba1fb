"""A snapshot's manifest that tests make up: how many images there are, and of what."""

from collections.abc import Mapping

from sanefit.components.foundation.schemas.images import Manifest


def made_up_manifest(per_class: Mapping[str, Mapping[str, int]], image_shape: tuple[int, int, int]) -> Manifest:
    """Of these images of each class in each split; no file of it exists."""
    return Manifest.model_validate(
        {
            "fingerprint": "f" * 64,
            "class_names": list(per_class["train"]),
            "image_shape": image_shape,
            "images_per_class": per_class,
            "splits": {},
            "shards": [],
        }
    )
