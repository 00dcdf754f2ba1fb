"""Whether the registry has the images that the steps run in, and the network of one's own in them."""

import tarfile
from collections.abc import Iterator

import requests
from urllib3.exceptions import HTTPError

from sanefit.components.foundation.errors import first_cause
from sanefit.components.foundation.schemas.networks import ModuleSettings
from sanefit.pipeline.container_images import ContainerImages
from sanefit.pipeline.doctor.findings import Finding
from sanefit.pipeline.doctor.image_registry import (
    LARGEST_LAYER,
    ImageReference,
    Repository,
    is_loopback,
    reach,
    split_reference,
)
from sanefit.pipeline.settings.run_config import RunConfig

OWN_CODE = "build an image with it (docs/kubernetes.md, Code of your own) and set cluster.images.trainer"


def image_findings(images: ContainerImages, config: RunConfig) -> Iterator[Finding]:
    """A finding for each image, and one for the network, where it is a module of the user's."""
    yield image_finding(images.data, pull_secrets=bool(config.cluster.image_pull_secrets))
    yield image_finding(images.trainer, pull_secrets=bool(config.cluster.image_pull_secrets))
    if isinstance(config.network, ModuleSettings):
        yield module_finding(config.network, images.trainer, own=bool(config.cluster.images.trainer))


def image_finding(image: str, *, pull_secrets: bool) -> Finding:
    """Whether it is there, and how its registry answers."""
    reference = split_reference(image)
    if not reference.registry:
        return Finding("image", "failed", f"{image!r} is in no registry", "make push REGISTRY=HOST/FOLDER")
    try:
        repository, answer = reach(reference)
    except requests.RequestException as error:
        seen = f"registry {reference.registry} does not answer: {first_cause(error)}"
        return Finding("image", "failed", seen, "correct the registry")
    if answer.status_code in (401, 403):
        if pull_secrets:
            return Finding("image", "unknown", f"{image!r}: the registry wants credentials, which pods have")
        return Finding(
            "image", "warning", f"{image!r}: the registry wants credentials", "set cluster.image_pull_secrets"
        )
    if not answer.ok:
        return Finding("image", "failed", f"{image!r}: the registry answers {answer.status_code}", "make push")
    return _there(image, repository)


def _there(image: str, repository: Repository) -> Finding:
    if repository.scheme == "https":
        return Finding("image", "ok", f"{image!r} is there")
    seen = f"{image!r} is there; its registry answers plain http"
    if is_loopback(repository.image.registry):
        return Finding("image", "ok", seen)
    return Finding("image", "warning", seen, "name it in the nodes' containerd (hosts.toml), or give it a certificate")


def module_finding(network: ModuleSettings, image: str, *, own: bool) -> Finding:
    """Whether the module is in the trainer's image: in a layer, as a file that can be imported.

    Args:
        network: names the module.
        image: the trainer's.
        own: whether the configuration names that image.
    """
    module = network.path.partition(":")[0]
    if not own:
        return Finding("own network", "failed", f"{network.named}: sanefit's image has no {module!r}", OWN_CODE)
    try:
        found = _holds(split_reference(image), module)
    except (OSError, HTTPError, tarfile.TarError, EOFError, LookupError, ValueError) as error:  # requests' are OSErrors
        return Finding("own network", "unknown", f"{image!r} cannot be looked into: {first_cause(error)}")
    if not found:
        seen = f"{network.named}: {image!r} has no {module!r}, neither in /own nor among its packages"
        return Finding("own network", "failed", seen, OWN_CODE)
    return Finding("own network", "ok", f"{network.named}: {image!r} has it")


def _holds(image: ImageReference, module: str) -> bool:
    """The upper layers first: what users add lies there, and the lower ones are large."""
    path = module.replace(".", "/")
    files = (f"{path}.py", f"{path}/__init__.py")
    wanted = tuple(f"/{root}/{file}" for root in ("site-packages", "dist-packages") for file in files)
    own = {f"own/{file}" for file in files}
    repository, _ = reach(image)
    layers = [layer for layer, size in repository.layers().items() if size <= LARGEST_LAYER]
    names = (name for layer in reversed(layers) for name in repository.files(layer))
    return any(name in own or name.endswith(wanted) for name in names)
