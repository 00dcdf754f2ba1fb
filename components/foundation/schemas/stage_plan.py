"""What all packs of a stage of the search are told."""

from sanefit.components.foundation.schemas.bases import Artifact
from sanefit.components.foundation.schemas.runs import RunReference
from sanefit.components.foundation.schemas.search import Stage
from sanefit.components.foundation.schemas.training import TrainingParameters


class StagePlan(Artifact):
    """A stage of the search: all that its packs are told, each by the same reference.

    ``packs``: a text of ``foundation/storage/packs.py`` for each pack that has trials. ``inputs``: what they train.
    """

    run: RunReference
    stage: Stage
    packs: list[str]
    inputs: TrainingParameters
