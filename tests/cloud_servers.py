"""Servers that speak as Google Cloud Storage and Azure Blob Storage do, on this machine."""

import base64
import hashlib
import hmac
import http.client
import json
import shutil
import subprocess
import threading
import time
import urllib.parse
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import MappingProxyType

from free_ports import free_port

REPOSITORY = Path(__file__).parents[1]
# The account that Azurite has, as Microsoft publishes it.
ACCOUNT = "devstoreaccount1"
KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
READY_WITHIN = 60.0


def azurite() -> str | None:
    """Microsoft's emulator of Azure's storage, which `make azurite` installs."""
    return shutil.which("azurite-blob", path=str(REPOSITORY / "build" / "azurite" / "node_modules" / ".bin"))


@contextmanager
def running_azurite(folder: Path, container: str) -> Iterator[dict[str, str]]:
    """The environment of its users; it has one container.

    Args:
        folder: for its data.
        container: that it has.
    """
    command = azurite()
    assert command is not None
    port = free_port()
    endpoint = f"http://127.0.0.1:{port}/{ACCOUNT}"
    started = [command, "--silent", "--location", str(folder), "--blobHost", "127.0.0.1", "--blobPort", str(port)]
    with subprocess.Popen([*started, "--skipApiVersionCheck"], cwd=folder, stdout=subprocess.DEVNULL) as process:
        try:
            _create_container(port, container, process)
            yield {
                "AZURE_STORAGE_ACCOUNT_NAME": ACCOUNT,
                "AZURE_STORAGE_ACCOUNT_KEY": KEY,
                "AZURE_STORAGE_ENDPOINT": endpoint,
            }
        finally:
            process.kill()


def _create_container(port: int, container: str, process: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + READY_WITHIN
    while True:
        date = formatdate(usegmt=True)
        signed = f"PUT{chr(10) * 12}x-ms-date:{date}\nx-ms-version:2021-08-06\n/{ACCOUNT}/{ACCOUNT}/{container}"
        digest = hmac.new(base64.b64decode(KEY), f"{signed}\nrestype:container".encode(), hashlib.sha256).digest()
        headers = {
            "x-ms-date": date,
            "x-ms-version": "2021-08-06",
            "Authorization": f"SharedKey {ACCOUNT}:{base64.b64encode(digest).decode()}",
        }
        connection = http.client.HTTPConnection("127.0.0.1", port)
        try:
            connection.request("PUT", f"/{ACCOUNT}/{container}?restype=container", headers=headers)
            status = connection.getresponse().status
        except OSError as error:
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError("Azurite did not start") from error
            time.sleep(0.05)
        else:
            assert status == 201, status
            return
        finally:
            connection.close()


@contextmanager
def google_storage(s3_endpoint: str, paid_by: str = "") -> Iterator[dict[str, str]]:
    """The environment of users of Google's storage: its XML interface, whose requests a server of S3 answers.

    There is no emulator that can be had here. Both interfaces are one, but for the header that says that nothing may
    be overwritten; that is translated. Google's generations of objects are not there.

    Args:
        s3_endpoint: of a server of S3 that wants no signature.
        paid_by: the project without which nothing is read.
    """
    translated = {"x-goog-if-generation-match": ("If-None-Match", "*")}
    demanded = {"x-goog-user-project": paid_by} if paid_by else {}
    with proxy(s3_endpoint, demanded, translated, left_out=("authorization",)) as base:
        account = {"gcs_base_url": base, "disable_oauth": True, "client_email": "", "private_key": ""}
        key = json.dumps({**account, "private_key_id": ""})
        yield {"GOOGLE_SERVICE_ACCOUNT_KEY": key, "GOOGLE_BASE_URL": base}


@contextmanager
def proxy(
    server: str,
    demanded: Mapping[str, str],
    translated: Mapping[str, tuple[str, str]] = MappingProxyType({}),
    left_out: Sequence[str] = (),
) -> Iterator[str]:
    """The URL of a server that passes requests on to another.

    Args:
        server: the URL of the other.
        demanded: headers without which a request to read is refused, as a bucket refuses it whose readers pay.
        translated: name and value of the header that takes a header's place.
        left_out: headers that are not passed on.
    """
    handler = _passing_on(urllib.parse.urlsplit(server).netloc, demanded, translated, left_out)
    here = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=here.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{here.server_address[1]}"
    finally:
        here.shutdown()
        here.server_close()
        thread.join()


def _passing_on(
    address: str, demanded: Mapping[str, str], translated: Mapping[str, tuple[str, str]], left_out: Sequence[str]
) -> type[BaseHTTPRequestHandler]:
    class PassingOn(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _pass_on(self) -> None:
            content = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            if self.command in ("GET", "HEAD") and any(self.headers.get(name) != demanded[name] for name in demanded):
                self.send_response(403)
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            unwanted = ("connection", *left_out, *translated)
            headers = {name: value for name, value in self.headers.items() if name.lower() not in unwanted}
            headers |= dict(replaced for name, replaced in translated.items() if self.headers.get(name) is not None)
            connection = http.client.HTTPConnection(address)
            connection.request(self.command, self.path, content, headers)
            answer = connection.getresponse()
            body = answer.read()
            self.send_response(answer.status)
            for name, value in answer.getheaders():
                if name.lower() not in ("content-length", "transfer-encoding", "connection"):
                    self.send_header(name, value)
            length = answer.getheader("Content-Length") if self.command == "HEAD" else None
            self.send_header("Content-Length", length or str(len(body)))
            self.end_headers()
            self.wfile.write(body)
            connection.close()

        do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = _pass_on  # noqa: N815

        def log_message(self, *_: object) -> None:
            """Nothing: tests read what is printed."""

    return PassingOn
