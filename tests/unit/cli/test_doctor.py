"""`tallyd doctor`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from grpc_health.v1 import health_pb2

from sidecar import __version__
from sidecar.api.admin.v1 import admin_pb2
from sidecar.api.control.v1 import control_pb2
from sidecar.cli.common import ExitCode
from sidecar.cli.doctor_checks import Outcome, file_system_of, path_results, status_results
from sidecar.shared.convert.times import duration, timestamp
from sidecar.shared.wall_clock import wall_us
from tests.unit.cli.fakes import FakeServer, tallyd

NOW_US = 1_769_860_800_000_000
GIB = 1024**3
SERVING = health_pb2.HealthCheckResponse(status=health_pb2.HealthCheckResponse.SERVING)


def status(**changes: object) -> admin_pb2.GetStatusResponse:
    """A sidecar that is well, with changes; a `heard_us` of 0 is never."""
    heard_us = int(str(changes.pop("heard_us", NOW_US)))
    facts: dict[str, object] = {
        "version": __version__,
        "ready": True,
        "plane_connected": True,
        "plane_heard_at": timestamp(heard_us) if heard_us else None,
        "store_used_bytes": GIB // 10,
        "store_max_bytes": GIB,
        "leases_in_use": True,
        **changes,
    }
    return admin_pb2.GetStatusResponse(**facts)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("changes", "name", "outcome", "found"),
    [
        ({}, "version", "ok", f"sidecar {__version__}, this command {__version__}"),
        ({"version": "0.0.9"}, "version", "warn", f"sidecar 0.0.9, this command {__version__}"),
        (
            {"seats_untold": 3},
            "seats",
            "warn",
            "3 changes that the control plane is to be told",
        ),
        ({"draining": True}, "drain", "warn", "a drain has begun"),
        ({}, "control plane", "ok", "connected, heard 0 ms ago"),
        (
            {"plane_connected": False, "heard_us": NOW_US - 5_000_000},
            "control plane",
            "warn",
            "not connected, heard 5 s ago",
        ),
        (
            {"heard_us": NOW_US - 60_000_000},
            "control plane",
            "warn",
            "connected, heard 1 min ago",
        ),
        ({"heard_us": 0}, "control plane", "fail", "the sidecar never heard it"),
        ({"clock_offset_us": -999}, "clock", "ok", "as the control plane's"),
        ({"clock_offset_us": 1_999_999}, "clock", "ok", "1 s behind the control plane's"),
        ({"clock_offset_us": 2_000_000}, "clock", "warn", "2 s behind the control plane's"),
        ({"clock_offset_us": -60_000_000}, "clock", "fail", "1 min ahead of the control plane's"),
        (
            {
                "clock_offset_us": 600_000_000,
                "plane_connected": False,
                "heard_us": NOW_US - 3_600_000_000,
            },
            "clock",
            "fail",
            "10 min behind the control plane's, as of 1 h ago",
        ),
        (
            {"clock_doubted_us": 400_000_000},
            "clock jump",
            "fail",
            "the control plane's clock has jumped ahead by 6 min 40 s",
        ),
        (
            {"clock_doubted_us": -60_000_000, "standalone": True},
            "clock jump",
            "fail",
            "this machine's clock has jumped back by 1 min",
        ),
        ({"leases_held": 12}, "leases", "ok", "12 held"),
        ({"leases_in_use": False}, "leases", "warn", "none: the control plane grants none"),
        (
            {"lease_refusals": 3},
            "leases",
            "warn",
            "the control plane knows nothing of 3 that were held",
        ),
        (
            {"outbox_records": 100_000, "outbox_bytes": 2048},
            "outbox",
            "ok",
            "100000 records wait, 2.0 KiB",
        ),
        ({"outbox_records": 100_001}, "outbox", "warn", "100001 records wait, 0 bytes"),
        (
            {"outbox_records": 1, "plane_connected": False},
            "outbox",
            "warn",
            "1 records wait, 0 bytes",
        ),
        (
            {"outbox_records": 700, "outbox_max_records": 1_000},
            "outbox",
            "ok",
            "700 records wait, 0 bytes",
        ),
        (
            {"outbox_records": 701, "outbox_max_records": 1_000},
            "outbox",
            "warn",
            "701 records wait, 0 bytes",
        ),
        (
            {"outbox_records": 900, "outbox_max_records": 1_000},
            "outbox",
            "fail",
            "900 records wait, 0 bytes, of 1000 at most",
        ),
        ({"store_trouble": "no room"}, "store", "fail", "no room"),
        (
            {
                "remembered": duration(7_200_000_000),
                "answers_bytes": GIB,
                "answers_max_bytes": 2 * GIB,
            },
            "answers",
            "warn",
            "idempotency keys are remembered for 2 h: 1.0 GiB of 2.0 GiB used for answers",
        ),
        (
            {"disk_free_bytes": 20 * GIB, "disk_bytes": 100 * GIB},
            "store's disk",
            "ok",
            "20.0 GiB free of 100.0 GiB",
        ),
        (
            {"disk_free_bytes": 15 * GIB, "disk_bytes": 100 * GIB},
            "store's disk",
            "warn",
            "15.0 GiB free of 100.0 GiB",
        ),
        (
            {"disk_free_bytes": GIB, "disk_bytes": 100 * GIB},
            "store's disk",
            "fail",
            "1.0 GiB free of 100.0 GiB",
        ),
        (
            {"store_used_bytes": 69 * GIB, "store_max_bytes": 100 * GIB},
            "store size",
            "ok",
            "69.0 GiB of 100.0 GiB used (69 %)",
        ),
        (
            {"store_used_bytes": 70 * GIB, "store_max_bytes": 100 * GIB},
            "store size",
            "warn",
            "70.0 GiB of 100.0 GiB used (70 %)",
        ),
        (
            {"store_used_bytes": 90 * GIB, "store_max_bytes": 100 * GIB},
            "store size",
            "fail",
            "90.0 GiB of 100.0 GiB used (90 %)",
        ),
    ],
)
def test_what_a_sidecar_says_is_graded(
    changes: dict[str, object], name: str, outcome: str, found: str
) -> None:
    results = {result.name: result for result in status_results(status(**changes), NOW_US)}

    result = results[name]
    assert (outcome, found) == (result.outcome.value, result.found)
    assert (outcome == "ok") == (result.hint == "")


def test_a_standalone_sidecar_is_not_asked_for_its_plane() -> None:
    results = status_results(status(standalone=True, heard_us=0), NOW_US)

    assert ["version", "store size", "store content"] == [result.name for result in results]


@pytest.mark.parametrize(
    ("mode", "outcome"), [(0o700, "ok"), (0o750, "warn"), (0o755, "warn"), (0o777, "fail")]
)
def test_a_store_is_for_its_owner_alone(tmp_path: Path, mode: int, outcome: str) -> None:
    store = tmp_path / "store"
    store.mkdir()
    store.chmod(mode)

    results = {result.name: result for result in path_results(store)}

    assert outcome == results["store path"].outcome.value
    assert f"mode {mode:04o}" in results["store path"].found
    assert {"store path", "store files", "disk", "file system"} == set(results)


def test_files_of_a_store_that_others_may_read_are_a_warning(tmp_path: Path) -> None:
    (tmp_path / "data.mdb").touch(0o600)
    (closed,) = (result for result in path_results(tmp_path) if result.name == "store files")
    (tmp_path / "data.mdb").chmod(0o644)
    (open_to_others,) = (r for r in path_results(tmp_path) if r.name == "store files")

    assert (Outcome.OK, Outcome.WARN) == (closed.outcome, open_to_others.outcome)
    assert "data.mdb 0644" in open_to_others.found


def test_a_store_that_is_not_there_or_no_directory_fails(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()

    (missing,) = path_results(tmp_path / "none")
    (no_directory,) = path_results(file)

    assert (Outcome.FAIL, Outcome.FAIL) == (missing.outcome, no_directory.outcome)
    assert missing.found.endswith("No such file or directory")


MOUNTS = """\
/dev/sda1 / ext4 rw 0 0
server:/data /data nfs4 rw 0 0
tmpfs /data/my\\040store tmpfs rw 0 0
broken line
"""


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/var/lib", "ext4"),
        ("/data", "nfs4"),
        ("/data/x", "nfs4"),
        ("/database", "ext4"),
        ("/data/my store/y", "tmpfs"),
    ],
)
def test_the_file_system_is_that_of_the_nearest_mount(path: str, kind: str) -> None:
    assert kind == file_system_of(Path(path), MOUNTS)


def test_all_is_well(fake: FakeServer, tmp_path: Path) -> None:
    fake.answers.update(GetStatus=status(heard_us=wall_us()), Check=SERVING)
    tmp_path.chmod(0o700)

    result = tallyd(
        *("doctor", "--sidecar", fake.address, "--control", fake.address, "--json"),
        *("--timeout", "1m"),
    )

    assert ExitCode.OK == result.exit_code
    answer = json.loads(result.stdout)
    assert answer["healthy"] is True
    assert [
        "sidecar",
        "liveness",
        "readiness",
        "version",
        "control plane",
        "clock",
        "outbox",
        "leases",
        "store size",
        "store content",
        "control plane, from here",
        "usage",
    ] == [check["name"] for check in answer["checks"]]
    assert {"ok"} == {check["outcome"] for check in answer["checks"]}
    assert {None} == {check["hint"] for check in answer["checks"]}


def test_a_sidecar_that_is_not_ready_fails_with_a_hint(fake: FakeServer) -> None:
    def health(request: health_pb2.HealthCheckRequest) -> health_pb2.HealthCheckResponse:
        ready = request.service != "readiness"
        names = health_pb2.HealthCheckResponse
        return names(status=names.SERVING if ready else names.NOT_SERVING)

    fake.answers.update(GetStatus=status(standalone=True), Check=health)

    result = tallyd("doctor", "--sidecar", fake.address, "--timeout", "1m")

    assert ExitCode.NEGATIVE == result.exit_code
    lines = result.stdout.splitlines()
    assert "ok    liveness: SERVING" in lines
    assert "fail  readiness: NOT_SERVING" in lines
    assert "      no check can be answered yet, or it is draining; see `tallyd status`" in lines
    assert "5 ok, 0 warn, 1 fail" == lines[-1]


def test_nobody_there_fails_and_the_rest_is_still_looked_at(tmp_path: Path) -> None:
    tmp_path.chmod(0o700)

    result = tallyd(
        *("doctor", "--sidecar", f"unix:{tmp_path}/none", "--control", "127.0.0.1:1"),
        *("--store", str(tmp_path)),
    )

    assert ExitCode.NEGATIVE == result.exit_code
    assert result.stdout.startswith("fail  sidecar: cannot reach the sidecar at unix:")
    assert "warn  control plane, from here: cannot reach the control plane" in result.stdout
    assert f"ok    store path: {tmp_path}: mode 0700" in result.stdout


@pytest.mark.parametrize(
    ("recovery", "outcome", "found"),
    [
        ({}, "ok", "none are withheld"),
        ({"recovering": True, "missing_holders": 2}, "warn", "2 are missing"),
        ({"witness_rewrites": 3}, "warn", "written anew: 3 times"),
    ],
)
def test_what_the_plane_says_of_its_leases_is_graded(
    fake: FakeServer, recovery: dict[str, Any], outcome: str, found: str
) -> None:
    fake.answers.update(GetStatus=status(), Check=SERVING)
    fake.answers["GetLeaseRecovery"] = control_pb2.GetLeaseRecoveryResponse(**recovery)
    words = ("--sidecar", fake.address, "--control", fake.address, "--json")
    result = tallyd("doctor", *words, "--timeout", "1m")
    checks = json.loads(result.stdout)["checks"]
    (shown,) = (check for check in checks if check["name"] == "leases of the control plane")
    assert outcome == shown["outcome"]
    assert found in shown["found"]
