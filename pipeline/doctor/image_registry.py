"""What a registry of images tells over its HTTP interface (the OCI distribution specification)."""

import ipaddress
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import requests

ANSWER_SECONDS = 10
INDEXES = ("application/vnd.oci.image.index.v1+json", "application/vnd.docker.distribution.manifest.list.v2+json")
MANIFESTS = ("application/vnd.oci.image.manifest.v1+json", "application/vnd.docker.distribution.manifest.v2+json")
LARGEST_LAYER = 256 * 2**20  # bytes that are read over the network to look for a file


@dataclass(frozen=True)
class ImageReference:
    """``registry``: host and port; empty when none is named. ``version``: a tag or digest."""

    registry: str
    repository: str
    version: str


def split_reference(image: str) -> ImageReference:
    """The parts of an image reference."""
    name, _, digest = image.partition("@")
    first, slash, rest = name.partition("/")
    registry = first if slash and ("." in first or ":" in first or first == "localhost") else ""
    path = rest if registry else name
    repository, _, tag = path.partition(":")
    return ImageReference(registry, repository, digest or tag or "latest")


@dataclass(frozen=True)
class Repository:
    """A repository of a registry that answers at ``scheme``."""

    scheme: str
    image: ImageReference

    def ask(self, kind: str, version: str, method: str = "GET", **options: Any) -> requests.Response:
        """One answer, whatever its status.

        Raises:
            requests.RequestException: when there is none.
        """
        url = f"{self.scheme}://{self.image.registry}/v2/{self.image.repository}/{kind}/{version}"
        headers = {"Accept": ", ".join((*INDEXES, *MANIFESTS))} if kind == "manifests" else {}
        return requests.request(method, url, headers=headers, timeout=ANSWER_SECONDS, **options)

    def layers(self) -> dict[str, int]:
        """Size in bytes of each layer, compressed, by digest, the lowest first.

        Raises:
            requests.RequestException: when they cannot be had.
        """
        answer = self.ask("manifests", self.image.version)
        answer.raise_for_status()
        content = answer.json()
        if "manifests" in content:
            linux = [entry for entry in content["manifests"] if entry.get("platform", {}).get("os") == "linux"]
            answer = self.ask("manifests", (linux or content["manifests"])[0]["digest"])
            answer.raise_for_status()
            content = answer.json()
        return {layer["digest"]: layer["size"] for layer in content["layers"]}

    def files(self, layer: str) -> Iterator[str]:
        """Paths in a layer, without a slash before them.

        Raises:
            requests.RequestException, tarfile.TarError: when it cannot be read.
        """
        with self.ask("blobs", layer, stream=True) as answer:
            answer.raise_for_status()
            with tarfile.open(fileobj=answer.raw, mode="r|*") as archive:
                for member in archive:
                    yield member.name.removeprefix("./").lstrip("/")


def reach(image: ImageReference) -> tuple[Repository, requests.Response]:
    """The repository by https, or by plain http where that is how its registry answers; what it says of the image.

    Raises:
        requests.RequestException: when it does not answer.
    """
    secure, plain = Repository("https", image), Repository("http", image)
    try:
        return secure, secure.ask("manifests", image.version, "HEAD")
    except requests.exceptions.SSLError as error:
        if "CERTIFICATE_VERIFY_FAILED" in str(error):
            raise
    except requests.ConnectionError:
        if not is_loopback(image.registry):
            raise
    return plain, plain.ask("manifests", image.version, "HEAD")


def is_loopback(registry: str) -> bool:
    """Whether container engines take its registry on plain http without being told: addresses of the machine itself."""
    host = registry.rsplit(":", 1)[0].strip("[]")
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
