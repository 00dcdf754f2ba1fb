"""What stores' libraries and the operating system raise, in one line for the user."""

from collections.abc import Iterator
from contextlib import contextmanager

from sanefit.components.foundation.errors import StorageError

LIBRARIES = ("boto3", "botocore", "s3transfer", "obstore")
PRECONDITION_FAILED = 412  # of HTTP


@contextmanager
def explained(action: str, uri: str) -> Iterator[None]:
    """Turn what stores' libraries and the operating system raise into one line."""
    try:
        yield
    except OSError as error:
        raise storage_error(action, uri, error.strerror or _first_line(error)) from error
    except Exception as error:
        if type(error).__module__.split(".")[0] not in LIBRARIES:
            raise
        if _has_changed(error):
            raise StorageError(
                f"cannot {action} {uri!r}: it has changed since it was listed; expected objects that stay as they are "
                "while they are read; run again, or let the bucket keep versions"
            ) from error
        raise storage_error(action, uri, _first_line(error)) from error


def _has_changed(error: Exception) -> bool:
    """Whether a store refuses to give an object because it is not the one that was asked for."""
    status = getattr(error, "response", {}).get("ResponseMetadata", {}).get("HTTPStatusCode")
    return status == PRECONDITION_FAILED or type(error).__name__ == "PreconditionError"  # boto3's, and obstore's


def _first_line(error: Exception) -> str:
    """In one line; obstore's is followed by the server's page, and by what its own parts look like."""
    if isinstance(error, FileNotFoundError):
        return "there is no such object"
    return " ".join(str(error).partition(": <?xml")[0].partition("\n\nDebug source:")[0].split())


def storage_error(action: str, uri: str, reason: str) -> StorageError:
    """What could not be done, with what, and why."""
    return StorageError(f"cannot {action} {uri!r}: {reason}; expected storage that can be read and written; check it")
