"""A server that answers a few questions as the Kubernetes API does, for tests."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import yaml
from http_in_thread import serving


@dataclass
class KubernetesDouble:
    """``objects`` by path; a number there is a status to refuse with; what is missing is 404."""

    url: str
    objects: dict[str, Any] = field(default_factory=dict)
    allowed: set[tuple[str, str]] = field(default_factory=set)

    def kubeconfig(self, path: Path) -> Path:
        """Write a kubeconfig whose current context is this server."""
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "double",
            "contexts": [{"name": "double", "context": {"cluster": "double", "user": "nobody"}}],
            "clusters": [{"name": "double", "cluster": {"server": self.url}}],
            "users": [{"name": "nobody", "user": {}}],
        }
        path.write_text(yaml.safe_dump(config))
        return path

    def answer(self, path: str) -> tuple[int, Any]:
        """Status and body of a GET."""
        found = self.objects.get(path, 404)
        return (found, {"kind": "Status", "code": found}) if isinstance(found, int) else (200, found)

    def review(self, body: dict[str, Any]) -> dict[str, Any]:
        """The answer to a SelfSubjectAccessReview."""
        asked = body["spec"]["resourceAttributes"]
        assert asked["group"] == "pipelines.kubeflow.org"
        return {**body, "status": {"allowed": (asked["verb"], asked["resource"]) in self.allowed}}


@contextmanager
def running_kubernetes_double() -> Iterator[KubernetesDouble]:
    """Listen on a free port until the body ends."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._send(*double.answer(self.path.partition("?")[0]))

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            self._send(201, double.review(body))

        def _send(self, status: int, body: Any) -> None:
            content = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: Any) -> None:
            """Quiet."""

    with serving(Handler) as host:
        double = KubernetesDouble(f"http://{host}")
        yield double
