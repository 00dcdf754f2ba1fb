"""What one step hands to the next: a file in the storage, and a short text that says where it is and what it holds.

A parameter of a task travels in a command line, which holds 128 KiB at most, and is stored several times over by Argo.
So nothing that grows with classes, epochs, trials, packs or layers is a parameter.
"""

import hashlib
import uuid
from collections.abc import Callable
from typing import TypeVar

from pydantic import ValidationError

from sanefit.components.foundation.errors import StorageError
from sanefit.components.foundation.schemas.bases import Artifact
from sanefit.components.foundation.schemas.runs import ResultReference
from sanefit.components.foundation.storage import object_store
from sanefit.components.foundation.storage.layout import Storage

Schema = TypeVar("Schema", bound=Artifact)


def store_result(uri: str, result: Artifact) -> str:
    """Write a result; the text that refers to it.

    Raises:
        StorageError: when it cannot be written.
    """
    content = result.model_dump_json().encode()
    object_store.write_bytes(uri, content)
    return ResultReference(uri=uri, sha256=hashlib.sha256(content).hexdigest()).model_dump_json()


def store_cached_result(storage: str, kind: str, result: Artifact, key: str = "") -> str:
    """The same for a step whose result other runs may take: equal results have one place and one text.

    Args:
        storage: shared by the runs.
        kind: of the result.
        result: to be kept.
        key: by which ``find_cached_result`` finds it; empty where the orchestrator remembers it.
    """
    text = store_cached_content(storage, kind, result.model_dump_json().encode(), "json").model_dump_json()
    if key:
        object_store.write_bytes(Storage(storage).cached_reference(kind, key), text.encode())
    return text


def find_cached_result(storage: str, kind: str, key: str) -> str:
    """The text of a result that a run kept under this key; empty when there is none.

    Raises:
        StorageError: when the storage cannot be read.
    """
    uri = Storage(storage).cached_reference(kind, key)
    if not object_store.exists(uri):
        return ""
    text = object_store.read_bytes(uri).decode()
    return text if object_store.exists(ResultReference.model_validate_json(text).uri) else ""


def store_cached_content(storage: str, kind: str, content: bytes, ending: str) -> ResultReference:
    """Write a file that is named by its content.

    Raises:
        StorageError: when it cannot be written.
    """
    sha256 = hashlib.sha256(content).hexdigest()
    uri = Storage(storage).cached_result(kind, sha256, ending)
    object_store.write_bytes(uri, content)
    return ResultReference(uri=uri, sha256=sha256)


def cache_token(storage: str, make: Callable[[], str] = lambda: uuid.uuid4().hex) -> str:
    """A word that lies beside the results of cached steps, made when there is none.

    It is an input of the cached steps: when the results are deleted it goes too, and the steps find their results anew.

    Raises:
        StorageError: when it cannot be read or written.
    """
    uri = Storage(storage).cache_token
    if not object_store.exists(uri):
        object_store.write_bytes(uri, make().encode())
    return object_store.read_bytes(uri).decode()


def load_result(schema: type[Schema], reference: str) -> Schema:
    """What ``store_result`` wrote.

    Raises:
        StorageError: when it is gone, or not what was written.
    """
    told = ResultReference.model_validate_json(reference)
    return parse_result(schema, told.uri, told.sha256)


def load_optional_result(schema: type[Schema], reference: str) -> Schema | None:
    """None for an empty text: the step has not run."""
    return load_result(schema, reference) if reference else None


def parse_result(schema: type[Schema], uri: str, digest: str) -> Schema:
    """The content at a place, whose SHA-256 begins with ``digest``.

    Raises:
        StorageError: when it is gone, or another.
    """
    return parse_content(schema, uri, object_store.read_bytes(uri), digest)


def parse_content(schema: type[Schema], uri: str, content: bytes, digest: str = "") -> Schema:
    """The same of content that was read already; without a ``digest`` whatever its SHA-256 is.

    Raises:
        StorageError: when it is another, or damaged.
    """
    seen = hashlib.sha256(content).hexdigest()
    try:
        if not seen.startswith(digest):
            raise ValueError(f"SHA-256 {seen[:12]}…, not {digest[:12]}…")
        return schema.model_validate_json(content)
    except (ValueError, ValidationError) as error:
        reason = str(error).splitlines()[0]
        raise StorageError(
            f"{uri!r} is not what the step before wrote ({reason}); something changed it; run again"
        ) from None
