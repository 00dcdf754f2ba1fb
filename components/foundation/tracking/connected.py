"""Whether this process holds a connection to MLflow; asked where MLflow is not to be loaded."""

_connected = False


def note_connection() -> None:
    """There is one from now on."""
    global _connected
    _connected = True


def is_connected() -> bool:
    """Whether this process has asked for a client, which may hold connections open."""
    return _connected
