"""What boto3 and the operating system raise, in one line for the user."""

from collections.abc import Iterator
from contextlib import contextmanager

from sanefit.components.foundation.errors import StorageError


@contextmanager
def explained(action: str, uri: str) -> Iterator[None]:
    """Turn what boto3 and the operating system raise into one line."""
    try:
        yield
    except OSError as error:
        raise storage_error(action, uri, error.strerror or str(error)) from error
    except Exception as error:
        if type(error).__module__.split(".")[0] not in ("boto3", "botocore", "s3transfer"):
            raise
        raise storage_error(action, uri, " ".join(str(error).split())) from error


def storage_error(action: str, uri: str, reason: str) -> StorageError:
    """What could not be done, with what, and why."""
    return StorageError(f"cannot {action} {uri!r}: {reason}; expected storage that can be read and written; check it")
