"""(k): first calls of users, each of which has an exact limit of its own, at one plane.

Each needs a lease, for which the plane waits for its disk. Compared are calls one by one and many
at once; the plane alone is asked as many sidecars would, a counter a message.
"""

from __future__ import annotations

import random
import sqlite3
import time
import uuid
from collections.abc import Callable, Iterable
from contextlib import closing
from pathlib import Path
from typing import Any, Final

import grpc

from sidecar.api.enforcement.v1 import enforcement_pb2 as pb
from sidecar.api.enforcement.v1 import enforcement_pb2_grpc
from sidecar.api.sync.v1 import sync_pb2
from sidecar.control.services.apply import Desired, apply
from sidecar.control.services.filling import Filler, any_unfinished
from sidecar.control.services.filling_walk import FillingWalker
from sidecar.control.storage.sqlite import SqliteStore
from sidecar.domain.limits.counters import CounterName, CounterRef, slot_of
from sidecar.domain.time.units import DAY_US
from sidecar.domain.time.windows import Window
from sidecar.shared.convert.leases import name_to_message
from tests.bench.catalogs import PER_USER, USERS_LIMIT, company, users_catalog
from tests.bench.errors import BenchError
from tests.bench.figures import Section, pair_ratios, summary, turn_order
from tests.bench.h2driver import process_cpu_ns
from tests.bench.inside import now_us
from tests.bench.load import ONE, SIXTY_FOUR, Callers, Load
from tests.bench.servers import Server
from tests.bench.traffic import CHECK, Rpc, Traffic, company_id, user_id
from tests.bench.workbench import Workbench

_USERS: Final = 1_000_000_000
"""So many that no two calls are of the same one."""
_SIDECARS: Final = tuple(str(uuid.UUID(int=number)) for number in range(1, 65))
_LEASING_SECONDS_MAX: Final = 60.0
_POLL_SECONDS: Final = 0.02


def measure_first_calls(bench: Workbench) -> dict[str, Section]:
    """Section `first_calls`: what they cost, and how much more of them go at once."""
    database = bench.new_folder("plane") / "control.db"
    _fill(database)
    with bench.plane(database) as plane, bench.connected(plane, "all") as sidecar:
        _await_leases(sidecar)
        rounds = _of_calls(bench, plane, sidecar, database)
        rounds |= _of_messages(bench, plane, database)
    return {"first_calls": summary(rounds)}


def _of_calls(
    bench: Workbench, plane: Server, sidecar: Server, database: Path
) -> dict[str, list[float]]:
    """Calls at one sidecar, each of another user."""
    spent: dict[Callers, list[Load]] = {ONE: [], SIXTY_FOUR: []}
    counters_per_message: list[float] = []
    plane_cpu_us: list[float] = []
    calls = _calls(bench)
    checks = Traffic(1, users=_USERS, feature=PER_USER).checks
    for turn in bench.turns("first calls"):
        for callers in turn_order([ONE, SIXTY_FOUR], turn):
            counters, messages = _leased(database)
            cpu_ns = process_cpu_ns(plane.pid)
            spent[callers].append(bench.load(sidecar, CHECK, checks, callers, calls[callers]))
            if callers is SIXTY_FOUR:
                after, messages_after = _leased(database)
                counters_per_message.append((after - counters) / (messages_after - messages))
                cpu_ns = process_cpu_ns(plane.pid) - cpu_ns
                plane_cpu_us.append(cpu_ns / 1_000 / (after - counters))
    alone, together = spent[ONE], spent[SIXTY_FOUR]
    return {
        "calls_ratio": _per_second(together, alone),
        "counters_per_message": counters_per_message,
        "p50_us": [load.p50_us for load in alone],
        "together_p99_us": [load.p99_us for load in together],
        "cpu_us_per_call": [load.cpu_us_per_call for load in alone],
        "together_cpu_us_per_call": [load.cpu_us_per_call for load in together],
        "plane_cpu_us_per_counter": plane_cpu_us,
    }


def _of_messages(bench: Workbench, plane: Server, database: Path) -> dict[str, list[float]]:
    """Messages of many sidecars at the plane, each about a counter."""
    spent: dict[Callers, list[Load]] = {ONE: [], SIXTY_FOUR: []}
    calls = _calls(bench)
    bodies = _requests(database)
    for turn in bench.turns("first calls at the plane"):
        for callers in turn_order([ONE, SIXTY_FOUR], turn):
            spent[callers].append(bench.load(plane, _REQUEST, bodies, callers, calls[callers]))
    alone, together = spent[ONE], spent[SIXTY_FOUR]
    return {
        "plane_calls_ratio": _per_second(together, alone),
        "plane_cpu_us_per_message": [load.cpu_us_per_call for load in alone],
        "plane_together_cpu_us_per_message": [load.cpu_us_per_call for load in together],
    }


def _calls(bench: Workbench) -> dict[Callers, int]:
    """How many are made in a round; one by one each waits for the disk."""
    return {ONE: bench.sizes.lone_calls // 10, SIXTY_FOUR: bench.sizes.parallel_calls}


def _per_second(together: list[Load], alone: list[Load]) -> list[float]:
    return pair_ratios(
        [load.calls_per_s for load in together], [load.calls_per_s for load in alone]
    )


def _fill(database: Path) -> None:
    """A plane's database with a company, whose limits are filled."""
    with closing(SqliteStore(database)) as store:
        apply(store, Desired(users_catalog(), (company(company_id(0)),)), now_us())
        walker, filler = FillingWalker(), Filler()
        while walker.any_left(store):
            walker.step(store, now_us())
        while any_unfinished(store):
            filler.step(store, now_us())


def _await_leases(sidecar: Server) -> None:
    """Wait until a sidecar counts by leases. Raises BenchError where it does not."""
    deadline_s = time.monotonic() + _LEASING_SECONDS_MAX
    with grpc.insecure_channel(sidecar.target) as channel:
        stub = enforcement_pb2_grpc.EnforcementServiceStub(channel)
        while time.monotonic() < deadline_s:
            request = Traffic(1, users=_USERS, feature=PER_USER).check()
            decision = stub.CheckAndIncrement(request, timeout=_LEASING_SECONDS_MAX).decision
            if decision.allowed and decision.basis.mode == pb.BASIS_MODE_LEASED:
                return
            time.sleep(_POLL_SECONDS)
    raise BenchError("a sidecar does not count by leases")


def _leased(database: Path) -> tuple[int, int]:
    """Leases that were granted so far, and in how many messages."""
    leases, revision = _found(
        database, "SELECT (SELECT count(*) FROM lease), lease_revision FROM meta"
    )
    return leases, revision


def _found(database: Path, question: str) -> Any:
    """What the plane's database says, in one row."""
    with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as connection:
        return connection.execute(question).fetchone()


def _requests(database: Path) -> Callable[[int], Iterable[bytes]]:
    """Bodies of `RequestLeases`, each about a counter that nobody has used, of one of many."""
    (epoch,) = _found(database, "SELECT epoch FROM meta")
    start_us = now_us() // DAY_US * DAY_US
    window, slot = Window(start_us, start_us + DAY_US), slot_of(USERS_LIMIT)

    def body() -> bytes:
        counter = CounterRef(slot, (user_id(random.randrange(_USERS)),), window)
        name = name_to_message(CounterName(company_id(0), PER_USER, counter))
        request = sync_pb2.LeaseRequest(counter=name, number=1, need=1, want=8)
        return sync_pb2.RequestLeasesRequest(
            incarnation=random.choice(_SIDECARS), epoch=epoch, requests=[request]
        ).SerializeToString()

    return lambda count: (body() for _ in range(count))


def _verify_granted(request: bytes, response: bytes) -> None:
    for result in sync_pb2.RequestLeasesResponse.FromString(response).results:
        if result.status != sync_pb2.LEASE_STATUS_GRANTED:
            raise BenchError(f"a lease was not granted: {result}")


_REQUEST: Final = Rpc("/sidecar.api.sync.v1.SyncService/RequestLeases", _verify_granted)
