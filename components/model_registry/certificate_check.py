"""What of a version's certificate can be recomputed, and what differs."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Literal

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from pydantic import ValidationError

from sanefit.components.foundation.errors import RunFailedError, SanefitError, StorageError, first_line
from sanefit.components.foundation.identity.digests import digest_of
from sanefit.components.foundation.schemas.certificates import Certificate
from sanefit.components.foundation.tracking.attached_files import read_attached
from sanefit.components.foundation.tracking.connection import Client
from sanefit.components.foundation.tracking.models import model_metadata, name_of_files_model
from sanefit.components.foundation.tracking.runs import run_tags
from sanefit.components.foundation.tracking.tags import (
    FILES_TAG,
    FINGERPRINT_TAG,
    IDENTITY_TAG,
    JOB_TAG,
    RUN_TAG,
    TEST_ACCURACY_TAG,
)
from sanefit.components.foundation.tracking.version_files import (
    RegisteredVersion,
    digest_version_files,
    find_version,
)
from sanefit.components.model_registry.certificate import CERTIFICATE_FILE, SIGNATURE_FILE, read_settings
from sanefit.components.model_registry.certified_snapshot import storage_items
from sanefit.components.model_registry.checked_items import NOTHING, CheckedItem, compared, failed, recomputed
from sanefit.components.model_registry.drift.reference import REFERENCE_FILE
from sanefit.components.model_registry.seen_images import SEEN_FILE
from sanefit.components.model_registry.signature import fingerprint_of, is_signed, signer_of


@dataclass(frozen=True)
class CheckedCertificate:
    """``signature``: ``not verified`` where there is one and no key was given. ``key``: the signer's fingerprint."""

    certificate: Certificate
    signature: Literal["valid", "not verified", "unsigned"]
    key: str
    items: list[CheckedItem]

    @property
    def differing(self) -> list[str]:
        """The names of what differs."""
        return [item.name for item in self.items if item.state == "differs"]


def check_certificate(tracking: Client, model_uri: str, public_key: Ed25519PublicKey | None) -> CheckedCertificate:
    """Verify a version's certificate, and recompute what is within reach from here.

    The model is loaded, and scores the test split again, only where its files are those that were certified.

    Args:
        tracking: a client.
        model_uri: of the model that takes pixels, or of the one that takes image files.
        public_key: of whom it must be signed by; None verifies no signature.

    Raises:
        SettingsError: when there is no such version.
        StorageError: when the artifact store cannot be read.
        RunFailedError: when there is no certificate, or the signature is not that of the key.
    """
    version = find_version(tracking, model_uri)
    content, signature = (_attached(tracking, version, path) for path in (CERTIFICATE_FILE, SIGNATURE_FILE))
    if content is None:
        raise RunFailedError(
            f"{model_uri}: no certificate can be read among the files of its run; expected {CERTIFICATE_FILE}; "
            "do not trust the version, or register it anew"
        )
    if public_key is not None:
        _require_signed(model_uri, content, signature, public_key)
    try:
        certificate = Certificate.model_validate_json(content)
    except ValidationError as error:
        raise RunFailedError(
            f"{model_uri}: its certificate is none of this version of sanefit ({error.error_count()} errors in it); "
            "expected what the registration wrote; do not trust the version, or verify with the sanefit that made it"
        ) from None
    state: Literal["valid", "not verified"] = "valid" if public_key else "not verified"
    return CheckedCertificate(
        certificate,
        "unsigned" if signature is None else state,
        "" if signature is None else signer_of(signature),
        list(_items(tracking, version, certificate)),
    )


def _require_signed(model_uri: str, content: bytes, signature: bytes | None, key: Ed25519PublicKey) -> None:
    if signature is None:
        raise RunFailedError(
            f"{model_uri}: its certificate is not signed; expected a signature by key {fingerprint_of(key)[:16]}; "
            "do not trust the version, or leave out --public-key"
        )
    if is_signed(content, signature, key):
        return
    signer = signer_of(signature)
    if signer and signer != fingerprint_of(key):
        found = f"it names key {signer[:16]}"
    else:
        found = "the certificate or its signature was changed afterwards"
    raise RunFailedError(
        f"{model_uri}: its certificate is not what key {fingerprint_of(key)[:16]} signed: {found}; expected the very "
        "bytes; do not trust the version, or give the signer's --public-key"
    )


def _items(tracking: Client, version: RegisteredVersion, certificate: Certificate) -> Iterator[CheckedItem]:
    registered, digests = certificate.registration, certificate.digests
    name, files_name = registered.model_name, name_of_files_model(registered.model_name)
    yield from _registry_items(tracking, version, certificate)
    pixels, *byte_code = _files_of(tracking, name, registered.model_version, digests.pixels_model)
    yield from (pixels, *byte_code)
    yield from _files_of(tracking, files_name, certificate.files_version, digests.files_model)
    kept = {"record of seen images": (digests.seen_images, SEEN_FILE)}
    if digests.drift_reference:
        kept["drift reference"] = (digests.drift_reference, REFERENCE_FILE)
    for what, (digest, path) in kept.items():
        content = _attached(tracking, version, path)
        yield compared(what, digest, NOTHING if content is None else sha256(content).hexdigest())
    yield from _settings(certificate.settings, read_settings(tracking, version.model_name, version.version) or {})
    yield recomputed("class names", digests.class_names, lambda: _noted(registered.model_uri, "class_names"))
    shape = str(list(certificate.image_shape))
    yield recomputed("image shape", shape, lambda: _noted(registered.model_uri, "image_shape"))
    yield from storage_items(certificate, pixels.state == "same")


def _registry_items(tracking: Client, version: RegisteredVersion, certificate: Certificate) -> Iterator[CheckedItem]:
    registered, run = certificate.registration, certificate.run
    name, files_name = registered.model_name, name_of_files_model(registered.model_name)
    certified = {name: registered.model_version, files_name: certificate.files_version}
    asked = version.model_name if version.model_name in certified else name
    yield compared("version", f"{asked} {certified[asked]}", f"{version.model_name} {version.version}")
    yield compared("MLflow run", run.tracking_run_id, version.run_id)
    tags = run_tags(tracking, version.run_id)
    yield compared("run", run.run_name, tags.get(RUN_TAG, NOTHING))
    yield compared("job", run.job_id or NOTHING, tags.get(JOB_TAG, NOTHING))
    for part, value in certificate.identity.items():
        yield compared(f"identity: {part}", value, tags.get(f"{IDENTITY_TAG}.{part}", NOTHING))
    expected = {
        FINGERPRINT_TAG: certificate.dataset.fingerprint,
        TEST_ACCURACY_TAG: f"{registered.test_accuracy:.6f}",
        **({FILES_TAG: certificate.files_version} if asked == name else {}),
    }
    for tag, value in expected.items():
        yield compared(f"tag {tag.removeprefix('sanefit.')}", value, version.tags.get(tag, NOTHING))


def _files_of(tracking: Client, model: str, version: str, digest: str) -> list[CheckedItem]:
    """The digest of a version's files; a second item where there is byte code among them."""
    name = f"files of {model}"
    try:
        files = digest_version_files(tracking, model, version)
    except StorageError as error:
        return [failed(name, digest, error)]
    items = [compared(name, digest, files.digest)]
    if files.byte_code:
        why = (
            f"{files.byte_code} files in __pycache__ are not certified; to be sure, remove them: Python makes new ones"
        )
        items.append(CheckedItem(f"byte code of {model}", "not available", NOTHING, why=why))
    return items


def _noted(model_uri: str, key: str) -> str:
    """What a model's metadata say."""
    try:
        value = model_metadata(model_uri).get(key)
    except Exception as error:  # of whichever artifact store it is
        raise StorageError(f"cannot read what {model_uri} notes: {first_line(error)}") from error
    return digest_of(value) if key == "class_names" else str(value)


def _settings(certified: Mapping[str, str], found: Mapping[str, str]) -> Iterator[CheckedItem]:
    """One item for each that differs, or one for all."""
    differing = [name for name in {**certified, **found} if certified.get(name) != found.get(name)]
    for name in differing:
        yield compared(f"setting {name}", certified.get(name, NOTHING), found.get(name, NOTHING))
    if not differing:
        yield compared("settings", f"{len(certified)} values", f"{len(found)} values")


def _attached(tracking: Client, version: RegisteredVersion, path: str) -> bytes | None:
    try:
        return read_attached(tracking, version.model_name, version.version, path)
    except SanefitError:
        raise
    except Exception as error:  # of whichever artifact store it is
        raise StorageError(
            f"cannot read the files of MLflow's run {version.run_id!r}: {first_line(error)}; expected its artifact "
            "store in reach; check it"
        ) from error
