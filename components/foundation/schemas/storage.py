"""The section ``storage`` of a configuration."""

from pydantic import PositiveInt

from sanefit.components.foundation.schemas.bases import Settings


class StorageSettings(Settings):
    """``keep_days``: ``sanefit gc`` removes what can be made again once it has not been used for so long."""

    keep_days: PositiveInt = 30
