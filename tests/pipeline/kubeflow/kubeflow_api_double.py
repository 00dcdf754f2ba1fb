"""A server that speaks Kubeflow Pipelines' API v2beta1, for tests: real HTTP, an invented cluster.

What it accepts is checked against the API document (api_schema.py); how it behaves follows the
server's source, 2.14 to 2.17, and the recordings beside this file. It can be told to fail in many ways.
"""

import email.message
import email.parser
import email.policy
import json
import re
import threading
import urllib.parse
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from copy import deepcopy
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from api_schema import SchemaError
from kubeflow_routes import ROUTES, Asked
from kubeflow_store import RefusedError, Store

LOGIN_PAGE = "<!DOCTYPE html><html><head><title>Dex</title></head><body><h2>Log in to Your Account</h2></body></html>"


@dataclass(frozen=True)
class Request:
    """One that was received. ``writes``: it changes something."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: Any

    @property
    def writes(self) -> bool:
        return self.method != "GET"


@dataclass
class Fault:
    """How to fail requests that match: ``skip`` some, then fail ``times``."""

    method: str
    pattern: str
    how: str | int  # a status, or hang, drop, lose (done, and the answer lost), a kind of page, redirect
    times: int = 1
    skip: int = 0
    headers: dict[str, str] = field(default_factory=dict)

    def takes(self, request: Request) -> bool:
        if not re.fullmatch(self.method, request.method) or not re.search(self.pattern, request.path):
            return False
        if self.skip:
            self.skip -= 1
            return False
        self.times -= 1
        return self.times >= 0


LOG = re.compile(r"/apis/v1alpha1/runs/([^/]+)/nodes/([^/]+)/log")  # in no document
OLDER_RUN = re.compile(r"/apis/v1beta1/runs/([^/:]+)")  # in a document of its own


@dataclass
class KubeflowDouble:
    """The server's side: ``store`` is its memory, ``requests`` all that it received."""

    url: str
    store: Store = field(default_factory=Store)
    requests: list[Request] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    tokens: set[str] = field(default_factory=set)
    cookies: set[str] = field(default_factory=set)
    before: Callable[[Request], None] | None = None
    lock: threading.RLock = field(default_factory=threading.RLock)
    closing: threading.Event = field(default_factory=threading.Event)

    def fail(self, method: str, pattern: str, how: str | int, **options: Any) -> None:
        self.faults.append(Fault(method, pattern, how, **options))

    @property
    def written(self) -> list[str]:
        return [f"{request.method} {request.path}" for request in self.requests if request.writes]

    def answer(self, request: Request) -> tuple[int, dict[str, Any]]:
        """Status and JSON of an answer."""
        try:
            if (older := OLDER_RUN.fullmatch(request.path)) and self.store.older_api:
                with self.lock:
                    return 200, self.store.older_run(older[1])
            for route in ROUTES:
                if (at := route.match(request.method, request.path)) is not None:
                    route.check(request.query, request.body)
                    with self.lock:
                        return 200, deepcopy(route.handle(self.store, Asked(at, request.query, request.body)))
            return 404, {"code": 5, "message": "Not Found", "details": []}
        except RefusedError as refused:
            if refused.code < 0:  # uploads answer in a form of their own
                return refused.status, {"error_message": str(refused), "error_details": str(refused)}
            return refused.status, _status(refused.code, str(refused))
        except SchemaError as error:
            return 400, _status(3, f"proto: {error}")

    def signed_in(self, request: Request) -> bool:
        token = request.headers.get("authorization", "").removeprefix("Bearer ")
        if self.cookies:
            return request.headers.get("cookie", "") in self.cookies
        return not self.tokens or token in self.tokens


@contextmanager
def running_double() -> Iterator[KubeflowDouble]:
    """Serve on a free port of this machine."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    server.daemon_threads = True
    double = KubeflowDouble(f"http://127.0.0.1:{server.server_address[1]}")
    server.double = double  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield double
    finally:
        double.closing.set()
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def log_message(self, *_: Any) -> None:
        pass

    def handle_any(self) -> None:
        double: KubeflowDouble = self.server.double  # type: ignore[attr-defined]
        request = self.read_request()
        with double.lock:
            double.requests.append(request)
            fault = next((fault for fault in double.faults if fault.takes(request)), None)
        if double.before is not None:
            double.before(request)
        if fault is not None:
            self.fail(double, request, fault)
        elif not double.signed_in(request) and double.cookies:
            self.redirect("/dex/auth?client_id=kubeflow-oidc-authservice")
        elif not double.signed_in(request):
            self.send(401, json.dumps(_status(16, "Failed to check authorization. User identity is empty")))
        elif match := LOG.fullmatch(request.path):
            missing = json.dumps({"error_message": f"Failed to read logs for run {match[1]}"})
            self.send(200, double.store.logs.get(match[2], missing), "text/plain")
        else:
            status, body = double.answer(request)
            self.send(status, json.dumps(body))

    do_GET = do_POST = do_DELETE = handle_any  # noqa: N815

    def read_request(self) -> Request:
        address = urllib.parse.urlsplit(self.path)
        raw = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        kind = self.headers.get("Content-Type", "")
        body: Any = None
        if kind.startswith("multipart/form-data"):
            body = _uploaded(kind, raw)
        elif raw:
            body = json.loads(raw)
        headers = {name.lower(): value for name, value in self.headers.items()}
        query = dict(urllib.parse.parse_qsl(address.query))
        return Request(self.command, urllib.parse.unquote(address.path), query, headers, body)

    def fail(self, double: KubeflowDouble, request: Request, fault: Fault) -> None:
        if fault.how == "hang":
            double.closing.wait(30)
        elif fault.how == "lose":
            double.answer(request)
        if fault.how in ("hang", "lose", "drop"):
            self.close_connection = True
            with suppress(OSError):
                self.connection.shutdown(2)
        elif fault.how == "redirect":
            self.redirect(fault.headers["Location"])
        elif fault.how == "login page":
            self.send(200, LOGIN_PAGE, "text/html")
        elif fault.how == "text":
            self.send(200, "OK", "text/plain")
        elif fault.how == "not found page":
            self.send(404, "404 page not found", "text/plain")
        elif fault.how == "latin-1 page":
            self.send(502, "<html>Passerelle d\u00e9fectueuse</html>", "text/html", encoding="latin-1")
        else:
            page = fault.how == 502  # a proxy's
            body = (
                "<html><body>502 Bad Gateway</body></html>"
                if page
                else json.dumps(_status(13, f"made to fail: {fault.how}"))
            )
            self.send(int(fault.how), body, "text/html" if page else "application/json", fault.headers)

    def redirect(self, location: str) -> None:
        self.send(302, "", "text/html", {"Location": location})

    def send(
        self,
        status: int,
        text: str,
        kind: str = "application/json",
        headers: dict[str, str] | None = None,
        encoding: str = "utf-8",
    ) -> None:
        body = text.encode(encoding)
        with suppress(BrokenPipeError, ConnectionResetError):
            self.send_response(status)
            for name, value in {"Content-Type": kind, "Content-Length": str(len(body)), **(headers or {})}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)


def _status(code: int, message: str) -> dict[str, Any]:
    detail = {"@type": "type.googleapis.com/google.rpc.Status", "code": code, "message": message}
    return {"code": code, "message": f"Failed: UserError: {message}", "details": [detail]}


def _uploaded(kind: str, raw: bytes) -> bytes | None:
    parser = email.parser.BytesParser(policy=email.policy.HTTP)
    message = parser.parsebytes(f"Content-Type: {kind}\r\n\r\n".encode() + raw)
    for part in message.iter_parts():  # type: ignore[attr-defined]
        if part.get_param("name", header="content-disposition") == "uploadfile":
            return bytes(part.get_payload(decode=True))
    return None
