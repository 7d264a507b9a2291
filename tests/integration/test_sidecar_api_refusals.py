"""What keeps a daemon from starting: an exit status, and a readable message."""

from __future__ import annotations

import asyncio
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import lmdb
import pytest

from sidecar.storage.codec import STORE_FORMAT
from tests.support.bounds import HANG_SECONDS_MAX
from tests.support.daemons import CATALOG_FILE, Standalone, refused
from tests.support.processes import ROOT
from tests.support.sidecar_api import ask

CANNOT_RUN: Final = 4
USAGE: Final = 2
SOCKET_PATH: Final = "(setting socket_path: --socket-path, TALLYD_SOCKET_PATH)"


async def test_a_second_daemon_on_a_store_or_a_socket_is_refused(tmp_path: Path) -> None:
    async with Standalone(tmp_path) as sidecar:
        status, said = await asyncio.to_thread(refused, tmp_path, socket_path=f"{tmp_path}/t.sock")
        assert CANNOT_RUN == status
        assert said.startswith("tallyd sidecar: the store in ")
        assert f"in use by another process (id {sidecar.pid}" in said
        status, said = await asyncio.to_thread(refused, tmp_path, store_path=f"{tmp_path}/other")
        expected = f"tallyd sidecar: the socket {sidecar.socket} is in use by another process "
        assert (CANNOT_RUN, expected + SOCKET_PATH) == (status, said)
        assert (await sidecar.api.CheckAndIncrement(ask())).decision.allowed


@contextmanager
def listening() -> Iterator[str]:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        yield f"127.0.0.1:{taken.getsockname()[1]}"


@pytest.mark.parametrize("door", ["listen", "http_listen"])
def test_a_port_in_use_is_told(tmp_path: Path, door: str) -> None:
    with listening() as address:
        status, said = refused(tmp_path, **{door: address})
    assert CANNOT_RUN == status
    assert f"cannot listen on {address}: " in said
    assert "in use" in said.lower()
    flag = door.replace("_", "-")
    assert said.endswith(f"(setting {door}: --{flag}, TALLYD_{door.upper()})")


def test_a_socket_path_that_is_a_file_is_told_and_left_alone(tmp_path: Path) -> None:
    (tmp_path / "s.sock").write_text("precious")
    expected = f"tallyd sidecar: {tmp_path}/s.sock exists and is not a socket {SOCKET_PATH}"
    assert (CANNOT_RUN, expected) == refused(tmp_path)
    assert "precious" == (tmp_path / "s.sock").read_text()


def test_a_store_from_the_future_is_told(tmp_path: Path) -> None:
    (tmp_path / "store").mkdir()
    with lmdb.open(str(tmp_path / "store"), lib_version=0) as env, env.begin(write=True) as t:
        t.put(b"mformat", b"%d" % (STORE_FORMAT + 1))
    status, said = refused(tmp_path)
    assert CANNOT_RUN == status
    assert f"the store has format {STORE_FORMAT + 1}, written by a newer tallyd" in said


def test_a_store_path_that_is_a_file_is_told(tmp_path: Path) -> None:
    (tmp_path / "store").write_text("")
    status, said = refused(tmp_path)
    assert CANNOT_RUN == status
    setting = "(setting store_path: --store-path, TALLYD_STORE_PATH)"
    assert f"tallyd sidecar: {tmp_path}/store: File exists {setting}" == said


@pytest.mark.parametrize(
    ("catalog", "expected"),
    [
        pytest.param("features: [\n", "catalog.yaml:2:1: not YAML", id="no YAML"),
        pytest.param(
            CATALOG_FILE.replace("amount: 100", "amount: -1"),
            "catalog.yaml:7",
            id="against the schema",
        ),
        pytest.param(
            CATALOG_FILE.replace("plan: basic", "plan: golden"),
            "golden",
            id="a plan that is not there",
        ),
    ],
)
def test_a_bad_catalog_is_told_with_its_place(tmp_path: Path, catalog: str, expected: str) -> None:
    (tmp_path / "catalog.yaml").write_text(catalog)
    status, said = refused(tmp_path)
    assert CANNOT_RUN == status
    assert said.startswith("tallyd sidecar: ")
    assert expected in said


def test_a_catalog_that_is_not_there_is_told(tmp_path: Path) -> None:
    status, said = refused(tmp_path, standalone=tmp_path / "nowhere.yaml")
    assert CANNOT_RUN == status
    assert "nowhere.yaml" in said


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"durability": "sometimes"}, "durability"),
        ({"socket_path": "/" + "x" * 200}, "socket"),
        ({"store_bytes_max": "12"}, "store"),
        ({"control": "127.0.0.1:1"}, "control"),
        ({"standalone": None}, "control"),
    ],
)
def test_a_bad_setting_is_told(tmp_path: Path, changes: dict[str, object], expected: str) -> None:
    status, said = refused(tmp_path, **changes)
    assert (USAGE, True) == (status, expected in said), said


def test_a_full_disk_at_the_start_is_told(tmp_path: Path) -> None:
    code = (
        "import resource, signal, sys; signal.signal(signal.SIGXFSZ, signal.SIG_IGN);"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096));"
        "from sidecar.cli.main import main; main()"
    )
    _, _, _, *arguments = Standalone(tmp_path).command()
    ended = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=HANG_SECONDS_MAX,
        check=False,
    )
    assert CANNOT_RUN == ended.returncode
    assert "Traceback" not in ended.stderr
    assert f"cannot open the store in {tmp_path}/store" in ended.stderr
