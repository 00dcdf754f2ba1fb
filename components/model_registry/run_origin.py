"""What a run is made from: images, code, configuration; and whether the champion is made from the same."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from sanefit.components.foundation.identity import STEPS, digest_of_code
from sanefit.components.foundation.schemas.images import DatasetReference
from sanefit.components.foundation.step_lines.step_log import Say
from sanefit.components.foundation.tracking.models import champion_origin
from sanefit.components.foundation.tracking.tags import CODE_TAG, CONFIGURATION_TAG, FINGERPRINT_TAG, TAG_PREFIX


@dataclass(frozen=True)
class RunOrigin:
    """Three SHA-256 digests in hex; the same three and the same machine give the same model."""

    fingerprint: str
    code: str
    configuration: str

    def tags(self) -> dict[str, str]:
        """As MLflow tags of the run."""
        return {
            FINGERPRINT_TAG: self.fingerprint,
            CODE_TAG: self.code,
            CONFIGURATION_TAG: self.configuration,
        }


def origin_of(dataset: DatasetReference, settings: Mapping[str, str], code_folder: Path = STEPS) -> RunOrigin:
    """The origin of a run.

    Args:
        dataset: the snapshot.
        settings: flat, all of them, the seed too.
        code_folder: the steps' source.
    """
    configuration = hashlib.sha256(json.dumps(dict(settings), sort_keys=True).encode()).hexdigest()
    return RunOrigin(dataset.fingerprint, digest_of_code(code_folder), configuration)


def compare(origin: RunOrigin, model_name: str, tracking_uri: str, say: Say) -> Literal["news", "nothing new"]:
    """Whether a run of this origin has anything that the champion does not have yet.

    Args:
        origin: of this run.
        model_name: the registered model.
        tracking_uri: of MLflow.
        say: prints a line.
    """
    champion = champion_origin(tracking_uri, model_name)
    if champion is None:
        say("news: there is no champion")
        return "news"
    changed = [tag.removeprefix(TAG_PREFIX) for tag, value in origin.tags().items() if champion.tags.get(tag) != value]
    if changed:
        say(f"news since the champion, version {champion.version}: {', '.join(changed)}")
        return "news"
    say(f"nothing new: images, code and configuration are those of the champion, version {champion.version}")
    return "nothing new"
