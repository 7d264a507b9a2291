import pytest

from sidecar.shared.config import split_host_port
from sidecar.shared.config.addresses import check_listen_address, check_socket_path, check_target


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("127.0.0.1:7711", ("127.0.0.1", 7711)),
        ("localhost:0", ("localhost", 0)),
        ("[::1]:65535", ("::1", 65535)),
        (
            "tallyd-control.tallyd.svc.cluster.local.:7721",
            ("tallyd-control.tallyd.svc.cluster.local.", 7721),
        ),
    ],
)
def test_host_and_port_are_split(address: str, expected: tuple[str, int]) -> None:
    assert split_host_port(address) == expected


@pytest.mark.parametrize(
    "address",
    [
        "",
        "host",
        ":7711",
        "host:",
        "host:65536",
        "host:-1",
        "host:٣",
        "::1:7711",
        "a b:1",
        "host:1\n",
    ],
)
def test_other_addresses_are_refused(address: str) -> None:
    with pytest.raises(ValueError, match="must be HOST:PORT"):
        split_host_port(address)


def test_listening_can_be_switched_off() -> None:
    check_listen_address("")
    check_target("")
    check_socket_path("")


@pytest.mark.parametrize(
    "target", ["plane:7721", "dns:///plane:7721", "unix:/run/plane.sock", "unix:///run/plane.sock"]
)
def test_targets_that_can_be_called(target: str) -> None:
    check_target(target)


@pytest.mark.parametrize(
    "target", ["plane", "plane:0", "unix:", "unix:///", "http://plane:7721", "unix:" + "/x" * 60]
)
def test_targets_that_cannot_be_called(target: str) -> None:
    with pytest.raises(ValueError, match=r"^must "):
        check_target(target)


def test_a_socket_path_fits_into_a_socket_address() -> None:
    check_socket_path("/" + "x" * 106)
    with pytest.raises(ValueError, match="at most 107 bytes, not one of 108"):
        check_socket_path("/" + "x" * 107)
