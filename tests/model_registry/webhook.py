"""An HTTP server that takes what others are told."""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from typing import Any

from http_in_thread import serving

SECRET = "T0CANARY/B0CANARY"  # of the address; shown nowhere


@dataclass
class Webhook:
    """``requests``: method, path and content type of each; ``bodies``: what they brought."""

    address: str
    requests: list[tuple[str, str, str | None]] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)

    @property
    def told(self) -> list[dict[str, Any]]:
        return [json.loads(body) for body in self.bodies]


@contextmanager
def listening(statuses: Sequence[int] = ()) -> Iterator[Webhook]:
    """Answers with these, one after another, and with 200 from then on."""
    answers = iter(statuses)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            hook.requests.append((self.command, self.path, self.headers["Content-Type"]))
            hook.bodies.append(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(next(answers, 200))
            self.send_header("Content-Length", "0")
            self.send_header("Location", "/elsewhere")
            self.send_header("Retry-After", "3600")
            self.end_headers()

        def do_GET(self) -> None:
            self.do_POST()

        def log_message(self, *_: object) -> None:
            pass

    with serving(Handler) as host:
        hook = Webhook(f"http://{host}/services/{SECRET}?token={SECRET}")
        yield hook
