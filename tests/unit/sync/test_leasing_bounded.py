"""However many leases are asked for, held and given back: no step on the event loop is large."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import pytest

from sidecar.domain.leases.model import LeaseEntry, LeaseNeed
from sidecar.domain.limits.counters import CounterName
from sidecar.storage.lease_terms import read_lease_terms
from sidecar.storage.leases import LEASES_AT_ONCE, Leases
from sidecar.sync.machine.leasing import REQUESTS_MAX
from tests.support.bounded import CONTENT, PER_USER, Bench, bench_of
from tests.support.build import counter_ref
from tests.support.processes import until

USERS: Final = 1_500
"""More than one message has room for."""


async def test_many_leases_are_had_and_given_back_in_bounded_steps(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    names = [
        CounterName("acme", "calls", counter_ref(PER_USER, (f"user {user}",)))
        for user in range(USERS)
    ]
    async with bench_of(monkeypatch, tmp_path) as bench:
        bench.apply(CONTENT, "acme")
        bench.plane.epoch, bench.plane.grants_leases = "epoch-1", True
        link = bench.container.link
        assert link is not None
        async with bench.running(link.pusher.run()), bench.running(link.leasing.run()):

            async def greeted() -> bool:
                return read_lease_terms(bench.container.store).epoch == "epoch-1"

            await until(greeted, "the plane was not greeted")
            async with bench.bounded():
                assert await link.leasing.fetch([LeaseNeed(name, 1) for name in names], None)
            assert [REQUESTS_MAX] * (USERS // REQUESTS_MAX) == sizes(bench)
            assert USERS == sum(entry.granted > 0 for entry in held(bench))
            async with bench.bounded():
                link.leasing.recalled(names[: USERS // 2])

                async def some_returned() -> bool:
                    return USERS // 2 == returned(bench)

                await until(some_returned, "not all that was recalled was given back")
            async with bench.bounded():
                await link.leasing.give_back_all(60)
            assert USERS == returned(bench)
            assert 0 == sum(entry.granted > entry.own for entry in held(bench))


def sizes(bench: Bench) -> list[int]:
    """Counters in each message that the plane was sent."""
    return [len(message.requests) for message in bench.plane.lease_requests]


def returned(bench: Bench) -> int:
    """Leases that the plane was told to be given back."""
    requests = [request for message in bench.plane.lease_requests for request in message.requests]
    return sum(not request.want for request in requests)


def held(bench: Bench) -> list[LeaseEntry]:
    """What the store has of leases."""
    leases, after = Leases(bench.container.store), b""
    found: list[LeaseEntry] = []
    while True:
        page, after = leases.page(after, LEASES_AT_ONCE)
        found += page
        if not after:
            return found
