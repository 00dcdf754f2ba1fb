"""Signatures of a file's exact bytes: Ed25519, by a key from the environment.

A signature's file has two lines: the signature in base64, and the fingerprint of the public key.
"""

import base64
import re
from collections.abc import Mapping
from pathlib import Path

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.hashes import SHA256, Hash
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)

from sanefit.components.foundation.errors import SettingsError
from sanefit.components.foundation.schemas.certificates import SIGNING_KEY

BEGINS = "-----BEGIN"
EXPECTED_PRIVATE = "expected an Ed25519 private key in PEM, without a password"
MAKE = "`openssl genpkey -algorithm ed25519` makes one"


def read_signing_key(environment: Mapping[str, str]) -> Ed25519PrivateKey | None:
    """The key that signs; None where none is given.

    Args:
        environment: ``SANEFIT_SIGNING_KEY`` is the key in PEM, or the path of a file with it.

    Raises:
        SettingsError: when it cannot be read. No message says what was given, for it may be a key.
    """
    given = environment.get(SIGNING_KEY, "").strip()
    if not given:
        return None
    try:
        content = given.encode() if given.startswith(BEGINS) else Path(given).read_bytes()
        key = load_pem_private_key(content, password=None)
    except OSError as error:
        raise SettingsError(
            f"{SIGNING_KEY} is no key in PEM, nor the path of a file that can be read ({error.strerror}); "
            f"{EXPECTED_PRIVATE}; {MAKE}"
        ) from None
    except TypeError:  # how cryptography asks for a password
        raise SettingsError(f"{SIGNING_KEY} has a password; {EXPECTED_PRIVATE}; `openssl pkey` takes it off") from None
    except (ValueError, UnsupportedAlgorithm):
        raise SettingsError(f"{SIGNING_KEY} holds no private key; {EXPECTED_PRIVATE}; {MAKE}") from None
    if not isinstance(key, Ed25519PrivateKey):
        raise SettingsError(f"{SIGNING_KEY} holds a key of another kind; {EXPECTED_PRIVATE}; {MAKE}")
    return key


def read_public_key(file: Path) -> Ed25519PublicKey:
    """The key that verifies.

    Raises:
        SettingsError: when the file holds none.
    """
    expected = "expected an Ed25519 public key in PEM; `openssl pkey -pubout` writes that of a private key"
    try:
        key = load_pem_public_key(file.read_bytes())
    except OSError as error:
        raise SettingsError(f"--public-key {str(file)!r}: {error.strerror}; {expected}") from None
    except (ValueError, UnsupportedAlgorithm):
        raise SettingsError(f"--public-key {str(file)!r} holds no public key; {expected}") from None
    if not isinstance(key, Ed25519PublicKey):
        raise SettingsError(f"--public-key {str(file)!r} holds a key of another kind; {expected}")
    return key


def fingerprint_of(key: Ed25519PublicKey) -> str:
    """SHA-256, in hex, of the key in DER: what ``openssl pkey -pubin -outform DER | sha256sum`` prints."""
    digest = Hash(SHA256())
    digest.update(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo))
    return digest.finalize().hex()


def sign(content: bytes, key: Ed25519PrivateKey) -> bytes:
    """The signature's file."""
    return _file_of(key.sign(content), key.public_key())


def is_signed(content: bytes, signature: bytes, key: Ed25519PublicKey) -> bool:
    """Whether both files are, to the last byte, what the owner of the key wrote."""
    try:
        raw = base64.b64decode(signature.split(b"\n")[0], validate=True)
        key.verify(raw, content)
    except (ValueError, InvalidSignature):
        return False
    return signature == _file_of(raw, key)  # base64 knows several texts for the same bytes


def signer_of(signature: bytes) -> str:
    """The fingerprint that a signature's file names, unverified; empty when it names none."""
    found = re.fullmatch(rb"[^\n]*\n([0-9a-f]{64})\n", signature)
    return found[1].decode() if found else ""


def _file_of(raw: bytes, key: Ed25519PublicKey) -> bytes:
    return base64.b64encode(raw) + b"\n" + fingerprint_of(key).encode() + b"\n"
