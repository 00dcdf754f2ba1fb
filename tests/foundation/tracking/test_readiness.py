"""What MLflow may be instead of what registration needs: found in the first minute, in one line."""

import os
import stat
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from sanefit.components.foundation.errors import SanefitError, SettingsError, StorageError
from sanefit.components.foundation.tracking.connection import Client, connect
from sanefit.components.foundation.tracking.readiness import (
    require_free_name,
    require_server,
    require_writable_artifacts,
    why_champion_not_loaded,
)

Serve = Callable[[int, bytes], str]


@pytest.fixture
def serve(monkeypatch: pytest.MonkeyPatch) -> Iterator[Serve]:
    """An HTTP server that answers everything alike; its address."""
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    servers: list[ThreadingHTTPServer] = []

    def start(status: int, body: bytes) -> str:
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        servers.append(ThreadingHTTPServer(("127.0.0.1", 0), Handler))
        threading.Thread(target=servers[-1].serve_forever, daemon=True).start()
        return f"http://127.0.0.1:{servers[-1].server_port}"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.fixture
def client(tmp_path: Path) -> Client:
    found = connect(f"sqlite:///{tmp_path / 'mlflow.db'}")
    found.create_experiment("pets", (tmp_path / "artifacts").as_uri())
    return found


def said(raised: pytest.ExceptionInfo[SanefitError]) -> str:
    text = str(raised.value)
    assert "\n" not in text
    assert len(text.split("; ")) >= 3  # what, what was expected, the fix
    return text


@pytest.mark.parametrize(
    ("status", "body", "what"),
    [
        (200, b"<html>sign in</html>", "it answers with a page, as of a login"),
        (200, b"{}", "is no MLflow"),
        (401, b"", "it asks who you are (HTTP 401)"),
        (403, b'{"error_code": "PERMISSION_DENIED", "message": "no"}', "it refuses this user (HTTP 403)"),
        (404, b"no such page", "it has no such address (HTTP 404)"),
        (500, b"oops", "cannot use MLflow"),
        (302, b"", "cannot use MLflow"),
    ],
)
def test_what_is_no_usable_server_is_named(serve: Serve, status: int, body: bytes, what: str) -> None:
    uri = serve(status, body)
    with pytest.raises(StorageError) as raised:
        require_server(connect(uri), "pets")
    assert what in said(raised)
    assert uri in said(raised)


def test_a_password_in_the_address_is_not_shown(serve: Serve) -> None:
    uri = serve(401, b"").replace("//", "//ada:lovelace@")
    with pytest.raises(StorageError) as raised:
        require_server(connect(uri), "pets")
    assert "lovelace" not in said(raised)


def test_a_store_that_is_fine_passes(client: Client) -> None:
    require_server(client, "pets")
    require_server(client, "none yet")
    require_free_name(client, "pets")
    client.create_registered_model("pets")
    require_free_name(client, "pets")
    assert why_champion_not_loaded(client, "pets") == why_champion_not_loaded(client, "none yet") == ""


def test_a_deleted_experiment_is_told_with_the_way_back(client: Client) -> None:
    found = client.get_experiment_by_name("pets")
    assert found is not None
    client.delete_experiment(found.experiment_id)
    with pytest.raises(SettingsError) as raised:
        require_server(client, "pets")
    assert f"mlflow experiments restore -x {found.experiment_id}" in said(raised)
    client.restore_experiment(found.experiment_id)
    require_server(client, "pets")


def test_a_prompt_s_name_is_refused(client: Client) -> None:
    client.register_prompt("pets", "Describe the animal.")
    with pytest.raises(SettingsError) as raised:
        require_free_name(client, "pets")
    assert "name='pets' is a prompt's" in said(raised)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_an_artifact_store_that_cannot_be_written_is_told(client: Client, tmp_path: Path) -> None:
    _require_refusal(client, tmp_path)


def test_an_artifact_store_that_is_a_file_is_told(client: Client, tmp_path: Path) -> None:
    (tmp_path / "artifacts").write_text("in the way")
    _require_refusal(client, tmp_path)


def _require_refusal(client: Client, tmp_path: Path) -> None:
    (tmp_path / "artifacts").touch()
    (tmp_path / "artifacts").chmod(stat.S_IRUSR)
    found = client.get_experiment_by_name("pets")
    assert found is not None
    run = client.create_run(found.experiment_id)
    with pytest.raises(StorageError) as raised:
        require_writable_artifacts(client, run.info.run_id, "settings.json", "{}")
    assert "artifact store" in said(raised)


def test_a_champion_without_files_is_told(client: Client, tmp_path: Path) -> None:
    client.create_registered_model("pets")
    version = client.create_model_version("pets", source=(tmp_path / "gone").as_uri())
    client.set_registered_model_alias("pets", "champion", version.version)
    reason = why_champion_not_loaded(client, "pets")
    assert reason.startswith("champion version 1 cannot be loaded (")
    assert "\n" not in reason


PROGRAM = """
import sys
from sanefit.components.foundation.tracking.connection import connect
print(len(connect(sys.argv[1]).search_experiments()))
"""


@pytest.mark.slow
def test_processes_that_make_a_store_at_once_all_can(tmp_path: Path) -> None:
    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"

    def make(_: int) -> subprocess.CompletedProcess[str]:
        return subprocess.run([sys.executable, "-c", PROGRAM, uri], capture_output=True, text=True, check=False)

    with ThreadPoolExecutor(4) as pool:
        made = list(pool.map(make, range(4)))
    assert [ran.stdout.strip() for ran in made] == ["1"] * 4, [ran.stderr[-2000:] for ran in made]
