"""The certificate of a registered version: what was registered, what it was made from, and how good it is.

Nothing in it grows with classes, images, epochs or trials.
"""

from typing import Any, Final, Literal

from sanefit.components.foundation.schemas.bases import Artifact
from sanefit.components.foundation.schemas.checks import GateResult
from sanefit.components.foundation.schemas.final_model import Judgement
from sanefit.components.foundation.schemas.images import DatasetReference, SplitName
from sanefit.components.foundation.schemas.runs import Registration
from sanefit.components.foundation.schemas.search import TrialSetting

# Variables of the environment: the key that signs, PEM or the path of a file; the images that the steps run in.
SIGNING_KEY: Final = "SANEFIT_SIGNING_KEY"
DATA_IMAGE: Final = "SANEFIT_DATA_IMAGE"
TRAINER_IMAGE: Final = "SANEFIT_TRAINER_IMAGE"


class CertifiedRun(Artifact):
    """``job_id``: of the orchestrator's run; empty where it has none. ``tracking_run_id``: of the MLflow run."""

    run_name: str
    tracking_run_id: str
    job_id: str


class CertifiedAccuracy(Artifact):
    """On a split, with what it is worth."""

    accuracy: float
    images: int
    judgement: Judgement


class CertifiedDigests(Artifact):
    """SHA-256, in hex.

    ``weights``: of the file of weights. ``pixels_model``, ``files_model``: of all files of the two registered models
    (``tracking/version_files.py``). ``seen_images``: of the record of the images that it was trained and chosen on.
    ``drift_reference``: of what later images are compared with; empty in earlier certificates. ``class_names``: of
    their list. ``splits``: of the index of each split, which holds the digests of its images.
    """

    weights: str
    pixels_model: str
    files_model: str
    seen_images: str
    drift_reference: str = ""
    class_names: str
    splits: dict[SplitName, str]


class Certificate(Artifact):
    """``time``: when it was made, in UTC.

    ``files_version``: of the model that takes image files. ``image_shape``: (height, width, channels). ``images``: of
    each split. ``identity``: the parts of what determined the training (``TrainingIdentity``). ``checks``: the sanity
    checks before the search. ``settings``: flat, as in the configuration. ``network``: before a trial's own values took
    their places; ``members``: those values. ``hardware``: of the step that trained, and of the one that registered.
    ``git_commit``: of the working directory, with ``-dirty`` where files had changed; empty without one.
    ``container_images``: that the steps ran in; empty on a laptop.
    """

    format_version: Literal[1] = 1
    time: str
    registration: Registration
    files_version: str
    run: CertifiedRun
    dataset: DatasetReference
    class_count: int
    image_shape: tuple[int, int, int]
    images: dict[SplitName, int]
    weights_uri: str
    digests: CertifiedDigests
    identity: dict[str, str]
    validation: CertifiedAccuracy
    test: CertifiedAccuracy
    checks: list[GateResult]
    settings: dict[str, str]
    seed: int
    network: dict[str, Any]
    members: list[TrialSetting]
    best_epoch: int
    versions: dict[str, str]
    hardware: dict[str, str]
    git_commit: str
    container_images: dict[str, str]
