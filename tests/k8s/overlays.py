"""What kubectl makes of the overlays, offline."""

import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
OVERLAYS = tuple(sorted(path.name for path in (ROOT / "k8s" / "overlays").iterdir()))
CHOSEN = ("workload-identity", "serving", "google-storage", "azure-storage")  # components that prod leaves to choice
SETS = (*OVERLAYS, *(f"prod+{name}" for name in CHOSEN))
KUBECTL = Path(sys.executable).with_name("kubectl")

Object = dict[str, Any]


def render(folder: Path) -> list[Object]:
    """The objects of a kustomization."""
    rendered = subprocess.run([KUBECTL, "kustomize", folder], capture_output=True, text=True, check=False)
    if rendered.returncode != 0:
        raise RuntimeError(rendered.stderr)
    assert rendered.stderr == "", "kustomize warns"
    return list(yaml.safe_load_all(rendered.stdout))


def render_with(folder: Path, overlay: str, components: Sequence[str]) -> list[Object]:
    """An overlay with further components, from a kustomization in ``folder``."""
    k8s = os.path.relpath(ROOT / "k8s", folder.resolve())
    kustomization = {
        "resources": [f"{k8s}/overlays/{overlay}"],
        "components": [f"{k8s}/components/{name}" for name in components],
    }
    (folder / "kustomization.yaml").write_text(yaml.safe_dump(kustomization))
    return render(folder)


def name_of(item: Object) -> str:
    """Kind, namespace and name."""
    return "/".join([item["kind"], item["metadata"].get("namespace", ""), item["metadata"]["name"]])


def of_kind(objects: list[Object], *kinds: str) -> list[Object]:
    """The objects of some kinds."""
    return [item for item in objects if item["kind"] in kinds]


def pods(objects: list[Object]) -> Iterator[tuple[str, dict[str, str], Object]]:
    """Namespace, labels and specification of every pod template."""
    for item in of_kind(objects, "Deployment", "StatefulSet", "DaemonSet", "Job"):
        template = item["spec"]["template"]
        yield item["metadata"]["namespace"], template["metadata"]["labels"], template["spec"]


def containers(pod: Object) -> list[Object]:
    """All containers of a pod, those that start it among them."""
    return [*pod.get("initContainers", []), *pod["containers"]]
