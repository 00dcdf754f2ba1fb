"""Suspected label errors."""

from sanefit.components.foundation.schemas.bases import Artifact
from sanefit.components.foundation.schemas.images import SplitName


class SuspectedLabel(Artifact):
    """An image whose label may be wrong.

    ``path``: its name in the source. ``class_name``: as it is labelled. ``suggested``: the class that the model names.
    ``score``: the probability, in [0, 1], that a model that was not trained on the image gives to its label.
    ``place``: its shard and row.
    """

    path: str
    class_name: str
    suggested: str
    score: float
    split: SplitName
    place: tuple[int, int]


class LabelErrors(Artifact):
    """What was found. ``uri``: a CSV file of all suspects, the worst first; ``sha256``: of its content, in hex.

    ``judged``, ``suspected``: how many images of each split. ``worst``: those that the page shows.
    """

    uri: str
    sha256: str
    judged: dict[SplitName, int]
    suspected: dict[SplitName, int]
    worst: list[SuspectedLabel]

    @property
    def count(self) -> int:
        """Of suspects in all splits."""
        return sum(self.suspected.values())
