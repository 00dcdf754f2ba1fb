"""Which snapshots nobody may remove the pixels of."""

from sanefit.components.foundation.storage.disposable import Needed
from sanefit.components.foundation.tracking.connection import connect, explained, store_exists
from sanefit.components.foundation.tracking.needed_snapshots import needed_snapshots


def needed_snapshots_of(tracking_uri: str) -> Needed:
    """Those of registered versions and of runs in progress; none where no run has made a store.

    Raises:
        StorageError: when MLflow cannot be asked.
    """
    if not store_exists(tracking_uri):  # asking would create it
        return Needed()
    with explained(tracking_uri):
        return needed_snapshots(connect(tracking_uri))
