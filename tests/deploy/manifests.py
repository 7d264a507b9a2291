"""The Kubernetes manifests as values, for the tests of this folder."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple

import yaml

REPOSITORY: Final = Path(__file__).resolve().parents[2]
DOCKERFILE: Final = REPOSITORY / "deploy" / "docker" / "Dockerfile"
KUBERNETES: Final = REPOSITORY / "deploy" / "kubernetes"
BASE: Final = KUBERNETES / "base"

Object = dict[str, Any]


class Workload(NamedTuple):
    """A pod template with the container that runs tallyd, and what its ConfigMap says."""

    daemon: str
    """"sidecar" or "control", as in `tallyd sidecar`."""
    pod: Object
    """The pod template."""
    container: Object
    settings: Path

    @property
    def spec(self) -> Object:
        """The pod's specification."""
        spec: Object = self.pod["spec"]
        return spec

    def mounts(self) -> dict[str, str]:
        """Return mount paths by the names of the volumes."""
        return {mount["name"]: mount["mountPath"] for mount in self.container["volumeMounts"]}

    def ports(self) -> dict[str, int]:
        """Return container ports by name."""
        return {port["name"]: port["containerPort"] for port in self.container["ports"]}


def yaml_files() -> list[Path]:
    """List every YAML file under deploy/kubernetes."""
    return sorted(path for path in KUBERNETES.rglob("*") if path.suffix in {".yaml", ".yml"})


def kustomizations() -> list[Path]:
    """List every kustomization."""
    return [path for path in yaml_files() if path.name == "kustomization.yaml"]


def load(path: Path) -> list[Object]:
    """Read the documents of a file."""
    return [document for document in yaml.safe_load_all(path.read_text()) if document]


def patches() -> list[Path]:
    """List the files that overlays merge into objects of the base: parts of an object each."""
    return [
        (kustomization.parent / patch["path"]).resolve()
        for kustomization in kustomizations()
        for document in load(kustomization)
        for patch in document.get("patches", [])
    ]


def objects(folder: Path = BASE) -> Iterator[Object]:
    """Yield every object under `folder` that is sent to Kubernetes as it stands."""
    others = {*kustomizations(), *patches()}
    for path in sorted(folder.rglob("*.yaml")):
        if path not in others:
            yield from load(path)


def find(kind: str, name: str) -> Object:
    """Return the one object of the base with this kind and name."""
    (found,) = (o for o in objects() if (o["kind"], o["metadata"]["name"]) == (kind, name))
    return found


def sidecar() -> Workload:
    """Return the example app with its sidecar."""
    pod = find("Deployment", "example-app")["spec"]["template"]
    (container,) = pod["spec"]["initContainers"]
    return Workload("sidecar", pod, container, BASE / "app" / "sidecar.toml")


def control() -> Workload:
    """Return the control plane."""
    pod = find("StatefulSet", "tallyd-control")["spec"]["template"]
    (container,) = pod["spec"]["containers"]
    return Workload("control", pod, container, BASE / "control" / "control.toml")


def containers(pod: Object) -> list[Object]:
    """List all containers of a pod template."""
    spec = pod["spec"]
    return [*spec.get("initContainers", []), *spec["containers"]]


def bytes_of(quantity: str) -> int:
    """Return the bytes of a Kubernetes quantity with a binary suffix, such as "3Gi"."""
    power = ("Ki", "Mi", "Gi", "Ti").index(quantity[-2:]) + 1
    return int(quantity[:-2]) << (10 * power)
