"""Variables of the environment: which this project sets, and how they are set for a while."""

import contextlib
import os
from collections.abc import Iterator, Mapping

EPHEMERAL_STORAGE = "SANEFIT_EPHEMERAL_STORAGE"  # as in ``cluster.search_packs.ephemeral_storage=21474836480``, bytes
GPUS_ASKED_FOR = "SANEFIT_ASKED_FOR"  # as in ``nvidia.com/gpu: 1``: what this container has from its cluster


@contextlib.contextmanager
def variables_set(values: Mapping[str, str]) -> Iterator[None]:
    """While it lasts, these variables have these values."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
