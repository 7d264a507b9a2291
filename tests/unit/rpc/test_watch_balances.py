"""What a stream tells of a balance of credits: what it has, and that it is low or topped up."""

from __future__ import annotations

from typing import Any, Final

from msgspec.structs import replace

from sidecar.api.enforcement.v1 import enforcement_pb2 as pb
from sidecar.domain.company.timeline import compile_snapshot
from sidecar.storage.snapshots import SnapshotChanges
from tests.support.build import company, counter_ref
from tests.support.burning import (
    CREDITS,
    costs,
    credits_catalog,
    one_off,
    recurring,
    with_low_balances,
)
from tests.unit.rpc.watch_bench import Bench, Stream

MONTHLY: Final = recurring(amount=100)
CONTENT: Final = with_low_balances(
    credits_catalog({"calls": [costs()]}, MONTHLY, overdraft=10), 50, 20
)


def burn(bench: Bench, amount: int) -> None:
    bench.opened.count(amount, counter_ref(MONTHLY, at_us=bench.now_us), feature=CREDITS)
    bench.watchlist.touch("acme", CREDITS)


async def of_balance(stream: Stream) -> tuple[str, int, int, int]:
    """The next event that is about the balance as a whole: kind, threshold, balance, available."""
    event: Any = pb.WatchEntitlementsResponse()
    while not event.event or (event.limits and event.event != pb.ENTITLEMENT_EVENT_CURRENT):
        event = await stream.next()
    kind = pb.EntitlementEvent.Name(event.event).removeprefix("ENTITLEMENT_EVENT_")
    return kind, event.low_balance, event.balance.balance, event.balance.available


async def test_a_balance_is_told_as_it_falls_and_as_it_is_topped_up() -> None:
    bench = Bench(company(), content=CONTENT)
    stream = bench.watch(CREDITS)
    assert ("CURRENT", 0, 100, 110) == await of_balance(stream)
    burn(bench, 60)
    assert ("LOW_BALANCE", 50, 40, 50) == await of_balance(stream)
    snapshot = replace(compile_snapshot(company(), 2), credit_grants=(one_off("gift", 200),))
    changes = SnapshotChanges(companies=[snapshot])
    bench.directory.apply(changes)
    bench.watchlist.applied(changes)
    assert ("TOPPED_UP", 0, 240, 250) == await of_balance(stream)
    assert await stream.silent()
