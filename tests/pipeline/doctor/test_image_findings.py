"""Registries of images, asked over http and https, and what lies in an image."""

import gzip
import hashlib
import http.server
import io
import json
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import pytest
from http_in_thread import serving

from sanefit.components.foundation.schemas.networks import ModuleSettings
from sanefit.pipeline.container_images import ContainerImages
from sanefit.pipeline.doctor.image_findings import image_finding, image_findings, module_finding
from sanefit.pipeline.doctor.image_registry import ImageReference, is_loopback, split_reference
from sanefit.pipeline.settings.run_config import DEFAULT_CONFIG, load_config

NETWORK = ModuleSettings(kind="module", path="my_nets.small:Net")


@pytest.mark.parametrize(
    ("image", "parts"),
    [
        ("sanefit-data:0.1.0", ("", "sanefit-data", "0.1.0")),
        ("team/sanefit-data:1", ("", "team/sanefit-data", "1")),
        ("example.com/team/data:1", ("example.com", "team/data", "1")),
        ("localhost:5000/data@sha256:ab", ("localhost:5000", "data", "sha256:ab")),
        ("example.com/data:1@sha256:ab", ("example.com", "data", "sha256:ab")),
    ],
)
def test_image_references(image: str, parts: tuple[str, str, str]) -> None:
    assert split_reference(image) == ImageReference(*parts)


@pytest.mark.parametrize(
    ("registry", "expected"),
    [
        ("localhost:5001", True),
        ("kind.localhost", True),
        ("127.0.0.1:5000", True),
        ("127.8.0.1", True),
        ("[::1]:5000", True),
        ("registry.example.com", False),
        ("10.0.0.7:5000", False),
        ("localhost.example.com", False),
    ],
)
def test_which_registries_engines_take_on_plain_http(registry: str, expected: bool) -> None:
    assert is_loopback(registry) is expected


@dataclass
class RegistryDouble:
    """A registry on plain http; ``status``: of every answer but for what it has."""

    host: str
    status: int = 404
    content: dict[str, bytes] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)

    def put(self, kind: str, content: bytes, name: str = "") -> str:
        digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
        self.content[f"/v2/team/trainer/{kind}/{name or digest}"] = content
        return digest

    def put_image(self, tag: str, *layers: bytes, index: bool = False) -> str:
        """Its reference by tag."""
        entries = [{"digest": self.put("blobs", layer), "size": len(layer)} for layer in layers]
        manifest = json.dumps({"layers": entries}).encode()
        if index:
            digest = self.put("manifests", manifest)
            platforms = [("unknown", "sha256:0"), ("linux", digest)]
            manifest = json.dumps(
                {"manifests": [{"digest": found, "platform": {"os": system}} for system, found in platforms]}
            ).encode()
        self.put("manifests", manifest, tag)
        return f"{self.host}/team/trainer:{tag}"


@contextmanager
def running_registry() -> Iterator[RegistryDouble]:
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            self._answer(with_body=False)

        def do_GET(self) -> None:
            self._answer(with_body=True)

        def _answer(self, *, with_body: bool) -> None:
            double.asked.append(self.path)
            content = double.content.get(self.path)
            self.send_response(double.status if content is None else 200)
            self.send_header("Content-Length", str(len(content or b"")))
            self.end_headers()
            if with_body and content is not None:
                self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            """Quiet."""

    with serving(Handler) as host:
        double = RegistryDouble(host)
        yield double


@pytest.fixture
def registry() -> Iterator[RegistryDouble]:
    with running_registry() as double:
        yield double


def layer(*files: str) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name in files:
            archive.addfile(tarfile.TarInfo(name))
    return gzip.compress(buffer.getvalue())


@pytest.mark.parametrize(
    ("status", "pull_secrets", "state"),
    [(404, False, "failed"), (401, False, "warning"), (401, True, "unknown")],
)
def test_the_registry_is_asked_for_the_manifest(
    registry: RegistryDouble, status: int, pull_secrets: bool, state: str
) -> None:
    registry.status = status
    found = image_finding(f"{registry.host}/team/data@sha256:ab", pull_secrets=pull_secrets)
    assert found.state == state
    assert set(registry.asked) == {"/v2/team/data/manifests/sha256:ab"}


def test_plain_http_is_tried_where_engines_do_and_said(registry: RegistryDouble) -> None:
    found = image_finding(registry.put_image("1"), pull_secrets=False)
    assert found.state == "ok"
    assert found.seen.endswith("is there; its registry answers plain http")


def test_a_registry_that_does_not_answer_is_one_line() -> None:
    found = image_finding("127.0.0.1:9/team/data:1", pull_secrets=False)
    assert found.state == "failed"
    assert "127.0.0.1:9 does not answer" in found.seen
    assert "\n" not in found.line()


@pytest.mark.parametrize("index", [False, True])
@pytest.mark.parametrize(
    ("files", "state"),
    [
        (["own/my_nets/__init__.py", "own/my_nets/small.py"], "ok"),
        (["./own/my_nets/small/__init__.py"], "ok"),
        (["own/my_nets/other.py"], "failed"),
        (["own/not_my_nets/small.py"], "failed"),
        (["opt/venv/lib/python3.11/site-packages/my_nets/small.py"], "ok"),
        (["opt/venv/lib/python3.11/site-packages/other/my_nets/small.py"], "failed"),
        ([], "failed"),
    ],
)
def test_an_own_network_is_looked_for_in_the_layers(
    registry: RegistryDouble, files: list[str], state: str, index: bool
) -> None:
    image = registry.put_image("mine", layer("usr/bin/python3"), layer(*files), index=index)
    found = module_finding(NETWORK, image, own=True)
    assert found.state == state
    assert "my_nets.small" in found.seen


def test_an_own_network_needs_an_image_of_its_own(registry: RegistryDouble) -> None:
    config = load_config(DEFAULT_CONFIG, ["network={kind: module, path: my_nets.small:Net}"])
    image = registry.put_image("1", layer())
    found = {finding.what: finding for finding in image_findings(ContainerImages(image, image), config)}
    assert found["own network"].state == "failed"
    assert "cluster.images.trainer" in found["own network"].fix
    unreadable = registry.put_image("broken", b"no archive")
    assert module_finding(NETWORK, unreadable, own=True).state == "unknown"
