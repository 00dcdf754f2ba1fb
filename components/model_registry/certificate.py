"""Write the certificate of a version among the files of its run, and sign it."""

import json
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from pydantic import ValidationError

from sanefit.components.foundation.errors import RunFailedError, SanefitError, first_line
from sanefit.components.foundation.identity.digests import digest_of
from sanefit.components.foundation.identity.training_identity import TrainingIdentity
from sanefit.components.foundation.schemas.certificates import (
    SIGNING_KEY,
    Certificate,
    CertifiedAccuracy,
    CertifiedDigests,
    CertifiedRun,
)
from sanefit.components.foundation.schemas.checks import CheckReport
from sanefit.components.foundation.schemas.final_model import TrainedModel
from sanefit.components.foundation.schemas.runs import Registration, RunReference
from sanefit.components.foundation.step_lines.step_log import Say
from sanefit.components.foundation.storage.content import digest_of_content
from sanefit.components.foundation.tracking.attached_files import attach_file, read_attached
from sanefit.components.foundation.tracking.connection import Client, connect
from sanefit.components.foundation.tracking.models import name_of_files_model, tags_of_version
from sanefit.components.foundation.tracking.runs import run_tags
from sanefit.components.foundation.tracking.tags import FILES_TAG, JOB_TAG
from sanefit.components.foundation.tracking.version_files import digest_version_files
from sanefit.components.foundation.training.inputs import TrainingInputs
from sanefit.components.model_registry.drift.reference import REFERENCE_FILE
from sanefit.components.model_registry.provenance import container_images, git_commit, hardware, versions
from sanefit.components.model_registry.run_lifecycle import SETTINGS_FILE
from sanefit.components.model_registry.seen_images import SEEN_FILE
from sanefit.components.model_registry.signature import fingerprint_of, is_signed, read_signing_key, sign

FOLDER = "certificate"  # among the files of a version's run
CERTIFICATE_FILE = f"{FOLDER}/certificate.json"
SIGNATURE_FILE = f"{CERTIFICATE_FILE}.sig"


@dataclass(frozen=True)
class Evidence:
    """What a version was made from and judged by; ``checks``: before the search; ``identity``: of its run."""

    inputs: TrainingInputs
    trained: TrainedModel
    checks: CheckReport
    identity: TrainingIdentity


def certify(
    registration: Registration,
    evidence: Evidence,
    run: RunReference,
    environment: Mapping[str, str],
    now: datetime,
    say: Say,
) -> None:
    """Keep a certificate with the run of a version, signed where a key is given; one that is there already stays.

    Args:
        registration: of the version, with its alias.
        evidence: what it was made from.
        run: the parent run.
        environment: holds the key that signs, and names the container images.
        now: the time.
        say: prints a line.

    Raises:
        SettingsError: when the key cannot be read.
        RunFailedError: when the artifact store does not take it.
    """
    key, tracking = read_signing_key(environment), connect(run.tracking_uri)
    by = f"signed by key {fingerprint_of(key.public_key())[:16]}" if key else f"unsigned: {SIGNING_KEY} is not set"
    try:
        if _is_kept(tracking, registration, run, key):
            say(f"the certificate is there already, {by}")
            return
        content = as_bytes(_certificate(tracking, registration, evidence, run, environment, now))
        _keep(tracking, run.tracking_run_id, content, sign(content, key) if key else None)
    except SanefitError:
        raise
    except Exception as error:  # of whichever artifact store it is
        raise RunFailedError(
            f"the certificate of {registration.model_uri} cannot be kept in MLflow at {run.tracking_uri!r}: "
            f"{first_line(error)}; expected an artifact store that takes it; mend it, and run again: the version stays"
        ) from error
    say(f"certificate of {registration.model_uri}, {by}")


def as_bytes(certificate: Certificate) -> bytes:
    """JSON that is the same for equal certificates: keys sorted, indented by one space, UTF-8."""
    text = json.dumps(certificate.model_dump(mode="json"), sort_keys=True, indent=1, ensure_ascii=False)
    return f"{text}\n".encode()


def _is_kept(tracking: Client, registration: Registration, run: RunReference, key: Ed25519PrivateKey | None) -> bool:
    """Whether an earlier try of this step left one.

    Where there is a key it must have signed it: nothing that lies in the store is signed for its own sake.
    """
    name, version = registration.model_name, registration.model_version
    content = read_attached(tracking, name, version, CERTIFICATE_FILE)
    if content is None:
        return False
    signature = read_attached(tracking, name, version, SIGNATURE_FILE)
    if key is not None and not (signature and is_signed(content, signature, key.public_key())):
        return False
    try:
        known = Certificate.model_validate_json(content)
    except ValidationError:
        return False
    kept = (known.registration.model_name, known.registration.model_version, known.run.tracking_run_id)
    return kept == (name, version, run.tracking_run_id)


def _keep(tracking: Client, run_id: str, content: bytes, signature: bytes | None) -> None:
    """The certificate first: a reader between the two finds it unsigned."""
    with tempfile.TemporaryDirectory(prefix="sanefit-") as folder:
        for path, written in ((CERTIFICATE_FILE, content), (SIGNATURE_FILE, signature)):
            if written is not None:
                file = Path(folder) / Path(path).name
                file.write_bytes(written)
                attach_file(tracking, run_id, file, FOLDER)


def _certificate(
    tracking: Client,
    registration: Registration,
    evidence: Evidence,
    run: RunReference,
    environment: Mapping[str, str],
    now: datetime,
) -> Certificate:
    inputs, trained, manifest = evidence.inputs, evidence.trained, evidence.inputs.manifest
    tags = run_tags(tracking, run.tracking_run_id)
    images = {split: sum(counts.values()) for split, counts in manifest.images_per_class.items()}
    files_version = tags_of_version(tracking, registration.model_name, registration.model_version)[FILES_TAG]
    return Certificate(
        time=now.isoformat(timespec="seconds"),
        registration=registration,
        files_version=files_version,
        run=CertifiedRun(run_name=run.run_name, tracking_run_id=run.tracking_run_id, job_id=tags.get(JOB_TAG, "")),
        dataset=inputs.dataset,
        class_count=inputs.classes,
        image_shape=manifest.image_shape,
        images=images,
        weights_uri=trained.weights_uri,
        digests=_digests(tracking, registration, files_version, inputs, trained),
        identity=evidence.identity.parts,
        validation=CertifiedAccuracy(
            accuracy=trained.validation_accuracy, images=images["validation"], judgement=trained.validation
        ),
        test=CertifiedAccuracy(accuracy=trained.test_accuracy, images=trained.test_images, judgement=trained.test),
        checks=evidence.checks.gates,
        settings=read_settings(tracking, registration.model_name, registration.model_version) or {},
        seed=inputs.seed,
        network=inputs.network.model_dump(mode="json"),
        members=trained.members,
        best_epoch=trained.best_epoch,
        versions=versions(),
        hardware=hardware(tags),
        git_commit=git_commit(),
        container_images=container_images(environment),
    )


def _digests(
    tracking: Client, registration: Registration, files_version: str, inputs: TrainingInputs, trained: TrainedModel
) -> CertifiedDigests:
    name, version = registration.model_name, registration.model_version
    return CertifiedDigests(
        weights=digest_of_content(trained.weights_uri),
        pixels_model=digest_version_files(tracking, name, version).digest,
        files_model=digest_version_files(tracking, name_of_files_model(name), files_version).digest,
        seen_images=sha256(read_attached(tracking, name, version, SEEN_FILE) or b"").hexdigest(),
        drift_reference=sha256(read_attached(tracking, name, version, REFERENCE_FILE) or b"").hexdigest(),
        class_names=digest_of(inputs.manifest.class_names),
        splits={split: index.index_sha256 for split, index in inputs.manifest.splits.items()},
    )


def read_settings(tracking: Client, model_name: str, version: str) -> dict[str, str] | None:
    """The flat settings that a version's run kept; None where there are none."""
    content = read_attached(tracking, model_name, version, SETTINGS_FILE)
    return None if content is None else dict(json.loads(content))
