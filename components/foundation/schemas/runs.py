"""A run, what it registered, and its short form."""

from typing import Final, Literal

from pydantic import AliasChoices, Field

from sanefit.components.foundation.schemas.bases import Artifact
from sanefit.components.foundation.schemas.final_model import Judgement
from sanefit.components.foundation.schemas.registry import Comparison

CHAMPION: Final = "champion"
CHALLENGER: Final = "challenger"
NEWS: Final = "news"
NOTHING_NEW: Final = "nothing new"
Alias = Literal["champion", "challenger"]


class ResultReference(Artifact):
    """What a step found, in a file; ``sha256``: of its content, in hex."""

    uri: str
    sha256: str


class RunReference(Artifact):
    """One run: where its folder is (``foundation/storage/layout.py``) and its MLflow run."""

    run_name: str
    storage: str
    tracking_uri: str
    tracking_run_id: str


class Registration(Artifact):
    """The registered version and the alias that it took.

    ``comparison``: with the champion before it, where there was one that could be compared; ``look``: how often the
    test split has compared versions, this time included.
    """

    model_name: str
    model_version: str
    model_uri: str
    alias: Alias
    test_accuracy: float
    champion_version_before: str | None
    reason: str
    comparison: Comparison | None = None
    look: int = 0


class RunSummary(Artifact):
    """The short form of a report, for programs. Earlier files say ``val_accuracy``.

    ``validation``, ``test``: what the accuracies are worth. ``suspected_labels``: how many, None where they were not
    judged.
    """

    run_name: str
    fingerprint: str
    failed_checks: list[str]
    validation_accuracy: float | None = Field(
        default=None, validation_alias=AliasChoices("validation_accuracy", "val_accuracy")
    )
    test_accuracy: float | None = None
    validation: Judgement | None = None
    test: Judgement | None = None
    suspected_labels: int | None = None
    model_name: str | None = None
    model_version: str | None = None
    model_uri: str | None = None
    alias: str | None = None
    promotion_reason: str | None = None
