"""Signatures, beside RFC 8032 and OpenSSL."""

import base64
import hashlib
import subprocess
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from hypothesis import given
from hypothesis import strategies as st

from sanefit.components.foundation.errors import SettingsError
from sanefit.components.model_registry.signature import (
    fingerprint_of,
    is_signed,
    read_public_key,
    read_signing_key,
    sign,
    signer_of,
)

# RFC 8032, 7.1, test 3.
RFC_KEY = "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7"
RFC_MESSAGE = "af82"
RFC_SIGNATURE = (
    "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac"
    "18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a"
)
KEY = Ed25519PrivateKey.from_private_bytes(bytes.fromhex(RFC_KEY))
OTHER = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))


def pem(key: Ed25519PrivateKey | rsa.RSAPrivateKey, password: bytes = b"") -> str:
    hidden = BestAvailableEncryption(password) if password else NoEncryption()
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, hidden).decode()


def public_pem(key: Ed25519PrivateKey | rsa.RSAPrivateKey) -> bytes:
    return key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def test_the_signature_is_that_of_the_standard() -> None:
    first, second, rest = sign(bytes.fromhex(RFC_MESSAGE), KEY).split(b"\n")
    assert base64.b64decode(first).hex() == RFC_SIGNATURE
    assert (second.decode(), rest) == (fingerprint_of(KEY.public_key()), b"")


def flips(content: bytes) -> list[bytes]:
    """Every single bit turned, every byte taken out, and one put in anywhere."""
    turned = [
        content[:place] + bytes([content[place] ^ 1 << bit]) + content[place + 1 :]
        for place in range(len(content))
        for bit in range(8)
    ]
    shorter = [content[:place] + content[place + 1 :] for place in range(len(content))]
    longer = [content[:place] + extra + content[place:] for place in range(len(content) + 1) for extra in (b"\n", b"A")]
    return [*turned, *shorter, *longer]


def test_whatever_is_changed_in_either_file_is_found() -> None:
    content = '{"accuracy": 0.91, "class": "café"}\n'.encode()
    signature = sign(content, KEY)
    assert is_signed(content, signature, KEY.public_key())
    assert not any(is_signed(changed, signature, KEY.public_key()) for changed in flips(content) if changed != content)
    changes = [changed for changed in flips(signature) if changed != signature]
    assert len(changes) > 1000
    assert not any(is_signed(content, changed, KEY.public_key()) for changed in changes)


@given(st.binary(max_size=300), st.binary(max_size=300))
def test_a_signature_is_for_these_bytes_by_this_key(content: bytes, other: bytes) -> None:
    signature = sign(content, KEY)
    assert is_signed(content, signature, KEY.public_key())
    assert is_signed(other, signature, KEY.public_key()) == (other == content)
    assert not is_signed(content, signature, OTHER.public_key())
    assert not is_signed(content, other, KEY.public_key())
    assert signer_of(signature) == fingerprint_of(KEY.public_key()) != fingerprint_of(OTHER.public_key())


def openssl(*arguments: str | Path, given: bytes = b"") -> bytes:
    return subprocess.run(["openssl", *arguments], input=given, capture_output=True, check=True).stdout


def test_openssl_makes_the_key_verifies_the_signature_and_names_the_same_fingerprint(tmp_path: Path) -> None:
    private, public = tmp_path / "key.pem", tmp_path / "key.pub.pem"
    openssl("genpkey", "-algorithm", "ed25519", "-out", private)
    openssl("pkey", "-in", private, "-pubout", "-out", public)
    key = read_signing_key({"SANEFIT_SIGNING_KEY": str(private)})
    assert key is not None
    content, raw = tmp_path / "certificate.json", tmp_path / "raw"
    content.write_bytes(b"{}\n")
    signature = sign(b"{}\n", key)
    raw.write_bytes(openssl("base64", "-d", "-A", given=signature.split(b"\n")[0]))
    verified = ("pkeyutl", "-verify", "-pubin", "-inkey", public, "-rawin", "-in", content, "-sigfile", raw)
    assert b"Successfully" in openssl(*verified)
    der = openssl("pkey", "-pubin", "-in", public, "-outform", "DER")
    assert signer_of(signature) == hashlib.sha256(der).hexdigest()
    assert is_signed(b"{}\n", signature, read_public_key(public))


def test_the_key_is_the_variable_or_the_file_that_it_names(tmp_path: Path) -> None:
    file = tmp_path / "key.pem"
    file.write_text(pem(KEY))
    for value in (pem(KEY), f"\n{pem(KEY)}\n", str(file)):
        found = read_signing_key({"SANEFIT_SIGNING_KEY": value})
        assert found is not None
        assert found.private_bytes_raw() == KEY.private_bytes_raw()
    assert read_signing_key({}) is None
    assert read_signing_key({"SANEFIT_SIGNING_KEY": " "}) is None


RSA = rsa.generate_private_key(65537, 2048)


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (RFC_KEY, "is no key in PEM, nor the path of a file that can be read (No such file or directory)"),
        (RFC_KEY * 100, "nor the path of a file that can be read (File name too long)"),
        (pem(KEY).replace("BEGIN", "BEGIN A"), "holds no private key"),
        (pem(KEY)[:70], "holds no private key"),
        (pem(KEY, b"secret"), "has a password"),
        (pem(RSA), "holds a key of another kind"),
        (public_pem(KEY).decode(), "holds no private key"),
    ],
    ids=["raw", "long", "label", "cut off", "encrypted", "rsa", "public"],
)
def test_a_key_that_cannot_sign_is_refused_without_being_shown(value: str, said: str) -> None:
    with pytest.raises(SettingsError) as raised:
        read_signing_key({"SANEFIT_SIGNING_KEY": value})
    assert said in str(raised.value)
    assert "expected an Ed25519 private key in PEM, without a password" in str(raised.value)
    assert not any(line in str(raised.value) for line in value.splitlines())
    assert raised.value.__cause__ is None


@pytest.mark.parametrize(
    ("content", "said"),
    [(b"", "holds no public key"), (pem(KEY).encode(), "holds no public key"), (public_pem(RSA), "of another kind")],
    ids=["empty", "private", "rsa"],
)
def test_what_is_no_public_key_is_refused(content: bytes, said: str, tmp_path: Path) -> None:
    file = tmp_path / "key.pem"
    file.write_bytes(content)
    with pytest.raises(SettingsError, match=said):
        read_public_key(file)
    with pytest.raises(SettingsError, match="No such file"):
        read_public_key(tmp_path / "none.pem")
