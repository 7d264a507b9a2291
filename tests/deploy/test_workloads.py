import tomllib
from typing import Any

import pytest

from sidecar import __version__
from sidecar.shared.config import (
    ControlConfig,
    SidecarConfig,
    fields,
    load_control_config,
    load_sidecar_config,
    split_host_port,
)
from tests.deploy.manifests import (
    Object,
    Workload,
    bytes_of,
    containers,
    control,
    find,
    sidecar,
)

WORKLOADS = [pytest.param(sidecar(), id="sidecar"), pytest.param(control(), id="control")]
CONFIGS = {"sidecar": SidecarConfig, "control": ControlConfig}
COMMAND_LINE_VARIABLES = {"TALLYD_SIDECAR", "TALLYD_CONTROL", "TALLYD_CONFIG"}


def config_of(workload: Workload) -> Any:
    """What the daemon reads, from the file and the variables of its manifest."""
    environ = {v["name"]: v.get("value", "pod-name") for v in workload.container.get("env", [])}
    flags = {"config": str(workload.settings)}
    if workload.daemon == "sidecar":
        return load_sidecar_config(flags, environ).config
    return load_control_config(flags, environ).config


def volumes(workload: Workload) -> dict[str, Object]:
    return {volume["name"]: volume for volume in workload.spec["volumes"]}


@pytest.mark.parametrize("workload", WORKLOADS)
def test_the_settings_load(workload: Workload) -> None:
    config_of(workload)

    assert list(tomllib.loads(workload.settings.read_text())) == [workload.daemon]


@pytest.mark.parametrize("workload", WORKLOADS)
def test_the_arguments_start_the_daemon_with_its_file(workload: Workload) -> None:
    daemon, *flags = workload.container["args"]
    known = {"--config", *(field.flag for field in fields(CONFIGS[workload.daemon]))}

    assert daemon == workload.daemon
    assert {flag for flag in flags if flag.startswith("--")} <= known
    assert flags[flags.index("--config") + 1] == f"/etc/tallyd/{workload.settings.name}"
    assert "/etc/tallyd" in workload.mounts().values()


@pytest.mark.parametrize("workload", WORKLOADS)
def test_every_variable_is_a_setting(workload: Workload) -> None:
    known = {field.variable for field in fields(CONFIGS[workload.daemon])}
    of_daemon = {variable["name"] for variable in workload.container.get("env", [])}
    of_others = {
        variable["name"]
        for container in containers(workload.pod)
        if container is not workload.container
        for variable in container.get("env", [])
        if variable["name"].startswith("TALLYD_")
    }

    assert of_daemon <= known
    assert of_others <= COMMAND_LINE_VARIABLES


@pytest.mark.parametrize("workload", WORKLOADS)
def test_probes_ask_the_http_port_on_the_pods_address(workload: Workload) -> None:
    host, port = split_host_port(config_of(workload).http_listen)
    probes = {
        name: workload.container[name]["httpGet"]
        for name in ("startupProbe", "readinessProbe", "livenessProbe")
    }

    assert host == "0.0.0.0"
    assert {name: workload.ports()[probe["port"]] for name, probe in probes.items()} == (
        dict.fromkeys(probes, port)
    )
    assert {name: probe["path"] for name, probe in probes.items()} == {
        "startupProbe": "/startupz",
        "readinessProbe": "/readyz",
        "livenessProbe": "/livez",
    }


@pytest.mark.parametrize("workload", WORKLOADS)
def test_prometheus_finds_the_metrics(workload: Workload) -> None:
    annotations = workload.pod["metadata"]["annotations"]

    assert annotations["prometheus.io/path"] == "/metrics"
    assert (
        int(annotations["prometheus.io/port"])
        == split_host_port(config_of(workload).http_listen)[1]
    )


@pytest.mark.parametrize("workload", WORKLOADS)
def test_the_grace_period_outlasts_the_drain(workload: Workload) -> None:
    assert workload.spec["terminationGracePeriodSeconds"] > config_of(workload).drain_seconds_max


@pytest.mark.parametrize("workload", WORKLOADS)
def test_every_container_is_locked_down(workload: Workload) -> None:
    pod = workload.spec["securityContext"]
    assert pod["runAsNonRoot"] is True
    assert pod["runAsUser"] == pod["runAsGroup"] == pod["fsGroup"] == 10001
    assert pod["seccompProfile"] == {"type": "RuntimeDefault"}
    assert workload.spec["automountServiceAccountToken"] is False

    for container in containers(workload.pod):
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }


@pytest.mark.parametrize("workload", WORKLOADS)
def test_every_container_is_bounded_in_memory(workload: Workload) -> None:
    for container in containers(workload.pod):
        resources = container["resources"]
        assert {"cpu", "memory"} <= set(resources["requests"])
        assert bytes_of(resources["requests"]["memory"]) <= bytes_of(resources["limits"]["memory"])


@pytest.mark.parametrize("workload", WORKLOADS)
def test_service_accounts_exist_and_hold_no_token(workload: Workload) -> None:
    account = find("ServiceAccount", workload.spec["serviceAccountName"])

    assert account["automountServiceAccountToken"] is False


@pytest.mark.parametrize("workload", WORKLOADS)
def test_the_image_is_of_this_version(workload: Workload) -> None:
    assert workload.container["image"] == f"tallyd:{__version__}"


@pytest.mark.parametrize("workload", WORKLOADS)
def test_every_mount_has_its_volume(workload: Workload) -> None:
    claims = find("StatefulSet", "tallyd-control")["spec"]["volumeClaimTemplates"]
    known = set(volumes(workload)) | {claim["metadata"]["name"] for claim in claims}
    mounted = {
        mount["name"]
        for container in containers(workload.pod)
        for mount in container["volumeMounts"]
    }

    assert mounted <= known
    assert set(volumes(workload)) <= mounted


def test_the_sidecar_is_a_native_sidecar() -> None:
    assert sidecar().container["restartPolicy"] == "Always"


def test_the_sidecar_calls_the_control_planes_service() -> None:
    host, port = split_host_port(config_of(sidecar()).control)
    service = find("Service", "tallyd-control")
    (service_port,) = service["spec"]["ports"]
    control_plane = control()

    assert (host, port) == (service["metadata"]["name"], service_port["port"])
    assert split_host_port(config_of(control_plane).listen) == ("0.0.0.0", port)
    assert control_plane.ports()[service_port["targetPort"]] == port


def test_sidecar_and_app_share_the_socket() -> None:
    workload = sidecar()
    (app,) = workload.spec["containers"]
    socket_path = config_of(workload).socket_path
    of_app = {mount["name"]: mount for mount in app["volumeMounts"]}
    (shared,) = set(of_app) & set(workload.mounts())

    assert "emptyDir" in volumes(workload)[shared]
    assert workload.mounts()[shared] == of_app[shared]["mountPath"]
    assert socket_path.startswith(of_app[shared]["mountPath"] + "/")
    assert {"name": "TALLYD_SIDECAR", "value": f"unix:{socket_path}"} in app["env"]


def test_the_store_lies_on_a_bounded_volume_with_room_for_two() -> None:
    workload = sidecar()
    config = config_of(workload)
    (name,) = (n for n, path in workload.mounts().items() if config.store_path.startswith(path))
    volume = volumes(workload)[name]["emptyDir"]

    assert bytes_of(volume["sizeLimit"]) > 2 * config.store_bytes_max
    assert "medium" not in volume  # memory would be lost and counted


def test_every_scratch_volume_is_bounded() -> None:
    for workload in (sidecar(), control()):
        for volume in workload.spec["volumes"]:
            assert "emptyDir" not in volume or bytes_of(volume["emptyDir"]["sizeLimit"]) > 0


def test_grpc_of_the_sidecar_stays_in_the_pod() -> None:
    assert split_host_port(config_of(sidecar()).listen)[0] == "127.0.0.1"


def test_the_database_has_one_writer_on_a_volume_that_stays() -> None:
    workload = control()
    spec = find("StatefulSet", "tallyd-control")["spec"]
    (claim,) = spec["volumeClaimTemplates"]
    mounted_at = workload.mounts()[claim["metadata"]["name"]]

    assert spec["replicas"] == 1
    assert claim["spec"]["accessModes"] == ["ReadWriteOncePod"]
    assert config_of(workload).database_path.startswith(mounted_at + "/")
    assert spec["persistentVolumeClaimRetentionPolicy"]["whenDeleted"] == "Retain"
