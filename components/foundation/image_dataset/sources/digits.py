"""``digits``: nothing to download."""

import gzip
from importlib import resources

import numpy as np

from sanefit.components.foundation.image_dataset.sources.location import InMemory
from sanefit.components.foundation.image_dataset.sources.source_image import (
    ListingRequest,
    SourceImage,
    SourceImages,
    SourceListing,
)

SCANS = "digits.csv.gz"


def list_images(_: ListingRequest) -> SourceListing:
    """1,797 scans of handwritten digits; the content of each is its uint8 pixels, (8, 8, 1).

    E. Alpaydin and C. Kaynak, "Optical Recognition of Handwritten Digits", UCI Machine Learning Repository, 1998,
    https://doi.org/10.24432/C50P49, CC BY 4.0: its test part, as scikit-learn gives it.
    """
    packed = resources.files(__package__).joinpath(SCANS).read_bytes()
    table = np.loadtxt(gzip.decompress(packed).decode().splitlines(), delimiter=",", dtype=np.int64)
    pixels = np.rint(table[:, :-1] * (255 / 16)).astype(np.uint8)  # the scans hold 0..16
    return SourceListing(
        SourceImages(
            SourceImage(str(label), f"{label}/{number:04d}", InMemory(scan.tobytes()))
            for number, (scan, label) in enumerate(zip(pixels, table[:, -1], strict=True))
        )
    )
