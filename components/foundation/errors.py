"""Exceptions with a message for the user.

::

    SanefitError
    ├── BadInputError            exit status 2: nothing ran, or nothing that is kept
    │   ├── SettingsError        a configuration value
    │   ├── DataError            the images
    │   └── StorageError         the work directory or bucket
    └── RunFailedError           exit status 1: it ran, and failed
        ├── ChecksFailedError    the network failed the sanity checks
        └── StoppedError         it was told to end before its work was done

Every message becomes one line: what, the value, what was expected, the fix.
"""

import re

PASSWORD = re.compile(r"(://[^/\s:@]*:)[^/\s@]*@")  # in an address; no message shows one


TOLD_TO_END = "told to end (SIGTERM)"  # how the reason of a step begins that somebody stopped


class SanefitError(Exception):
    """Base of all errors whose message is meant for the user."""

    exit_status = 1

    def __init__(self, message: str) -> None:
        super().__init__(PASSWORD.sub(r"\1…@", " ".join(message.split())))


class BadInputError(SanefitError):
    """The user gave something that cannot be used."""

    exit_status = 2


class SettingsError(BadInputError):
    """A configuration value is missing, unknown or out of range."""


class DataError(BadInputError):
    """The images cannot be read, or are not enough to train on."""


class StorageError(BadInputError):
    """The work directory or bucket cannot be read or written."""


class RunFailedError(SanefitError):
    """The run started and did not succeed."""


class ChecksFailedError(RunFailedError):
    """The network failed at least one sanity check."""


class StoppedError(RunFailedError):
    """The process was told to end, as Kubernetes tells a pod that it takes away; the message goes on from that."""

    def __init__(self, message: str) -> None:
        super().__init__(message if message.startswith(TOLD_TO_END) else f"{TOLD_TO_END} {message}")


def first_line(error: BaseException) -> str:
    """What another library's error says first; its kind when it says nothing."""
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__


def first_cause(error: BaseException) -> str:
    """What was wrong to begin with, in one line: an HTTP client wraps ``Connection refused`` in half a page."""
    while (cause := error.__cause__ or error.__context__) is not None:
        error = cause
    return first_line(error)
