"""Ports of 127.0.0.1 for the servers of the tests, which run in several processes at once."""

import fcntl
import os
import random
import socket
import tempfile
from pathlib import Path
from typing import IO

# Below the ports that the kernel hands out to clients, which may take one between the look and the server's start.
FIRST, LAST = 11_000, 20_999
CLAIMS = Path(tempfile.gettempdir()) / f"sanefit-test-ports-{os.getuid()}"  # another user's could not be opened

_claimed: list[IO[bytes]] = []  # a lock is held for as long as its file is open


def free_ports(count: int, offset: int = 0) -> list[int]:
    """Ports on which nothing listens and that no other test process has been given, until this process ends.

    Args:
        count: of ports.
        offset: a port is given only where the one ``offset`` above it is free as well.
    """
    CLAIMS.mkdir(exist_ok=True)
    candidates = random.SystemRandom().sample(range(FIRST, LAST + 1), LAST + 1 - FIRST)
    ports: list[int] = []
    for port in candidates:
        if len(ports) == count:
            break
        if _is_free(port) and _is_free(port + offset) and _claim(port):
            ports.append(port)
    assert len(ports) == count, f"only {len(ports)} of the {count} ports asked for are free"
    return ports


def free_port() -> int:
    """One of ``free_ports``."""
    [port] = free_ports(1)
    return port


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def _claim(port: int) -> bool:
    claim = (CLAIMS / str(port)).open("wb")
    try:
        fcntl.flock(claim, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        claim.close()
        return False
    _claimed.append(claim)
    return True
