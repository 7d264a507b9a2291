import shutil
import subprocess
from pathlib import Path

import kubernetes_validate
import pytest
import yaml
from yamllint import linter  # type: ignore[import-untyped]
from yamllint.config import YamlLintConfig  # type: ignore[import-untyped]

from tests.deploy.manifests import (
    BASE,
    KUBERNETES,
    REPOSITORY,
    Object,
    find,
    kustomizations,
    load,
    objects,
    patches,
    yaml_files,
)
from tests.support.bounds import HANG_SECONDS_MAX

VERSIONS = ("1.29", "1.31", kubernetes_validate.latest_version())
LINT = YamlLintConfig(
    "{extends: default, rules: {line-length: {max: 100}, document-start: {present: false}}}"
)
PLACED = ("resources", "components")


def name_of(value: object) -> str:
    if isinstance(value, Path):
        return str(value.relative_to(KUBERNETES))
    return f"{value['kind']}-{value['metadata']['name']}" if isinstance(value, dict) else str(value)


def problem_with(manifest: Object, version: str) -> str:
    """Say what the schema refuses; "" when nothing."""
    try:
        kubernetes_validate.validate(manifest, version, strict=True)
    except kubernetes_validate.ValidationError as error:
        return f"{'.'.join(map(str, error.path))}: {error.message}"
    return ""


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("manifest", list(objects(KUBERNETES)), ids=name_of)
def test_every_manifest_fits_the_schema(manifest: Object, version: str) -> None:
    assert problem_with(manifest, version) == ""


def test_a_manifest_with_a_wrong_field_does_not_fit() -> None:
    manifest = find("Deployment", "example-app")
    manifest["spec"]["template"]["spec"]["initContainers"][0]["restartPolicies"] = "Always"

    assert "'restartPolicies' was unexpected" in problem_with(manifest, VERSIONS[0])


def test_every_patch_has_its_object_in_the_base() -> None:
    for path in patches():
        for part in load(path):
            assert find(part["kind"], part["metadata"]["name"])["apiVersion"] == part["apiVersion"]


@pytest.mark.parametrize("path", yaml_files(), ids=name_of)
def test_every_file_is_tidy(path: Path) -> None:
    assert [str(problem) for problem in linter.run(path.read_text(), LINT)] == []


def named_by(kustomization: Path) -> set[Path]:
    """Files and folders that a kustomization names."""
    (document,) = load(kustomization)
    names = [name for field in PLACED for name in document.get(field, [])]
    names += [patch["path"] for patch in document.get("patches", [])]
    names += [name for made in document.get("configMapGenerator", []) for name in made["files"]]
    return {(kustomization.parent / name).resolve() for name in names}


@pytest.mark.parametrize("kustomization", kustomizations(), ids=name_of)
def test_everything_a_kustomization_names_is_there(kustomization: Path) -> None:
    for path in named_by(kustomization):
        assert (path / "kustomization.yaml").is_file() if path.is_dir() else path.is_file()


def test_every_file_is_named_by_a_kustomization() -> None:
    named = {path for kustomization in kustomizations() for path in named_by(kustomization)}
    files = {path for path in KUBERNETES.rglob("*") if path.is_file()} - set(kustomizations())

    assert files - named == set()


def test_config_maps_that_are_mounted_are_generated() -> None:
    generated = {
        made["name"]
        for kustomization in kustomizations()
        for document in load(kustomization)
        for made in document.get("configMapGenerator", [])
    }
    mounted = {
        volume["configMap"]["name"]
        for o in objects()
        if o["kind"] in {"Deployment", "StatefulSet"}
        for volume in o["spec"]["template"]["spec"]["volumes"]
        if "configMap" in volume
    }

    assert mounted == generated


def test_selectors_choose_the_pods_they_are_meant_for() -> None:
    control = find("StatefulSet", "tallyd-control")["spec"]
    app = find("Deployment", "example-app")["spec"]
    service = find("Service", "tallyd-control")["spec"]
    policy = find("NetworkPolicy", "tallyd-control")["spec"]
    budget = find("PodDisruptionBudget", "example-app")["spec"]
    control_labels = control["template"]["metadata"]["labels"].items()
    app_labels = app["template"]["metadata"]["labels"].items()

    assert control["selector"]["matchLabels"].items() <= control_labels
    assert service["selector"].items() <= control_labels
    assert policy["podSelector"]["matchLabels"].items() <= control_labels
    assert app["selector"]["matchLabels"].items() <= app_labels
    assert budget["selector"]["matchLabels"].items() <= app_labels
    assert not control["selector"]["matchLabels"].items() <= app_labels


def callers_let_in(policy: Object) -> list[Object]:
    """Label selectors of the pods that may call the gRPC port."""
    return [
        peer["podSelector"]["matchLabels"]
        for rule in policy["spec"]["ingress"]
        if any(port["port"] == "grpc" for port in rule["ports"])
        for peer in rule["from"]
    ]


def test_the_control_plane_lets_in_sidecars_only() -> None:
    (callers,) = callers_let_in(find("NetworkPolicy", "tallyd-control"))
    app = find("Deployment", "example-app")["spec"]["template"]["metadata"]["labels"]

    assert callers == {"tallyd-sidecar": "true"}
    assert callers.items() <= app.items()


def test_only_prometheus_reaches_a_sidecars_probes_and_the_apps_ports_stay_open() -> None:
    spec = find("NetworkPolicy", "tallyd-sidecar")["spec"]
    app = find("Deployment", "example-app")["spec"]["template"]
    (http,) = (
        port["containerPort"]
        for port in app["spec"]["initContainers"][0]["ports"]
        if port["name"] == "tallyd-http"
    )
    guarded, opened = spec["ingress"]
    open_to_all = {
        (port["protocol"], number)
        for port in opened["ports"]
        for number in range(port["port"], port["endPort"] + 1)
    }
    everything = {(protocol, n) for protocol in ("TCP", "UDP") for n in range(1, 65_536)}

    assert spec["podSelector"]["matchLabels"].items() <= app["metadata"]["labels"].items()
    assert spec["policyTypes"] == ["Ingress"]
    assert guarded["from"] == [
        {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "monitoring"}}}
    ]
    assert guarded["ports"] == [{"port": http, "protocol": "TCP"}]
    assert "from" not in opened
    assert everything - open_to_all == {("TCP", http)}


def kubectl() -> str:
    found = shutil.which("kubectl")
    if found is None:
        pytest.skip("kubectl is not installed; it renders the kustomizations")
    return found


@pytest.mark.parametrize("folder", [BASE, KUBERNETES / "overlays" / "example"], ids=name_of)
def test_what_kustomize_renders_fits_the_schema_and_still_connects(folder: Path) -> None:
    command = [kubectl(), "kustomize", str(folder)]
    rendered = subprocess.run(
        command,
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=True,
        timeout=HANG_SECONDS_MAX,
    )
    manifests = [document for document in yaml.safe_load_all(rendered.stdout) if document]

    problems = [problem_with(manifest, VERSIONS[0]) for manifest in manifests]
    assert problems == [""] * len(manifests)
    policies = {m["metadata"]["name"]: m for m in manifests if m["kind"] == "NetworkPolicy"}
    assert set(policies) == {"tallyd-control", "tallyd-sidecar"}
    assert callers_let_in(policies["tallyd-control"]) == [{"tallyd-sidecar": "true"}]
    assert {"Deployment", "StatefulSet", "Service", "ConfigMap"} <= {m["kind"] for m in manifests}
