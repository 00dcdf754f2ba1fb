"""Files by their content, on this machine and on a real S3 server."""

import hashlib
from pathlib import Path

import pytest
from foundation.conftest import s3, s3_server  # noqa: F401

from sanefit.components.foundation.errors import StorageError
from sanefit.components.foundation.storage import object_store
from sanefit.components.foundation.storage.content import current_copy, digest_of_content


@pytest.fixture(params=["local", "s3"])
def uri(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    folder = str(tmp_path) if request.param == "local" else f"{request.getfixturevalue('s3')}/{tmp_path.name}"
    return f"{folder}/weights.pt"


def test_it_is_the_content_that_is_there_now(uri: str, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    for content in (b"one", b"two", b"x" * 3_000_000):
        object_store.write_bytes(uri, content)
        assert current_copy(uri, cache).read_bytes() == content
        assert digest_of_content(uri, cache) == hashlib.sha256(content).hexdigest()


def test_what_is_not_there_is_said(uri: str, tmp_path: Path) -> None:
    with pytest.raises(StorageError, match=r"cannot read .*weights\.pt'"):
        digest_of_content(uri, tmp_path / "cache")
