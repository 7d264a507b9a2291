"""Who gives way where places, or descriptors, have run out."""

from __future__ import annotations

import errno
import http.client
import socket
import subprocess
import sys
from typing import cast

import pytest

from sidecar.shared.ops.http_places import Acceptor, Connection, who_gives_way
from tests.support.bounds import HANG_SECONDS_MAX
from tests.support.processes import ROOT

NOWHERE = cast("socket.socket", None)

CHILD = """
import os, resource, sys
from http import HTTPStatus
from sidecar.shared.ops.http import HttpServer, Response
server = HttpServer("127.0.0.1", 0, {"/livez": lambda: Response(HTTPStatus.OK, b"alive")})
taken = []
resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
try:
    while True:
        taken.append(os.open("/dev/null", os.O_RDONLY))
except OSError:
    print(server.port, flush=True)
sys.stdin.readline()
for descriptor in taken:
    os.close(descriptor)
print("freed", flush=True)
sys.stdin.readline()
server.close()
"""


@pytest.mark.parametrize(
    ("held", "newcomer", "gives_way"),
    [
        ("a", "b", 0),
        ("ab", "c", 0),
        ("abb", "a", 0),
        ("abb", "c", 1),
        ("abbcc", "c", 3),
        ("abcc", "c", 2),
        ("abab", "c", 0),
    ],
)
def test_the_peer_with_most_places_gives_up_its_oldest(
    held: str, newcomer: str, gives_way: int
) -> None:
    connections = [Connection(NOWHERE, peer, 0.0) for peer in held]

    assert who_gives_way(connections, newcomer) is connections[gives_way]


class Exhausted:
    """A listening socket that lacks descriptors for so many attempts."""

    def __init__(self, failures: int, number: int = errno.EMFILE) -> None:
        self.failures = failures
        self.number = number

    def accept(self) -> tuple[socket.socket, tuple[str, int]]:
        if self.failures:
            self.failures -= 1
            raise OSError(self.number, "no descriptors")
        return socket.socket(), ("10.0.0.1", 1)


@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENFILE, errno.ENOMEM])
@pytest.mark.parametrize("failures", [1, 2, 4])
def test_where_descriptors_are_out_the_reserve_goes_first_then_connections_give_way(
    capsys: pytest.CaptureFixture[str], number: int, failures: int
) -> None:
    given = []

    def give_way() -> bool:
        given.append(1)
        return True

    acceptor = Acceptor(cast("socket.socket", Exhausted(failures, number)), give_way)
    for _ in range(2):  # the second needs no room
        accepted = acceptor.accept()
        assert accepted is not None
        accepted[0].close()
        assert len(given) == max(0, failures - 2)
        acceptor.refill()
    acceptor.close()
    output = capsys.readouterr().out
    assert (1, 1) == (
        output.count("http.no_descriptors"),
        output.count("http.descriptors_back"),
    )


def test_with_nothing_left_to_give_up_it_says_so_instead_of_trying_for_ever() -> None:
    acceptor = Acceptor(cast("socket.socket", Exhausted(99)), lambda: False)
    with pytest.raises(OSError, match="no descriptors"):
        acceptor.accept()
    acceptor.close()


def test_a_probe_is_answered_by_a_process_that_has_no_descriptor_left() -> None:
    pipe = subprocess.PIPE
    with subprocess.Popen(
        [sys.executable, "-c", CHILD], cwd=ROOT, stdin=pipe, stdout=pipe, text=True
    ) as child:
        assert child.stdin is not None
        assert child.stdout is not None
        port = int(child.stdout.readline())
        for _ in range(20):
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=HANG_SECONDS_MAX)
            connection.request("GET", "/livez")
            assert connection.getresponse().read() == b"alive"
            connection.close()
        child.stdin.write("free\n")
        child.stdin.flush()
        lines = []
        while (line := child.stdout.readline()) != "freed\n":
            lines.append(line)
        child.stdin.close()
    assert child.returncode == 0
    assert [1] == [line.count("http.no_descriptors") for line in lines]
