"""The methods without a transport: time, snapshots that are fetched, answers to retries."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from sidecar.api.enforcement.v1 import enforcement_pb2 as pb
from sidecar.domain.bounds import DAY_US, EVENT_PAST_US_MAX, HOUR_US
from sidecar.domain.decision import Reason
from sidecar.domain.errors import FieldError
from sidecar.domain.timeline import compile_snapshot
from sidecar.rpc.answer_wire import AnswerEncoder
from sidecar.rpc.enforcement import EnforcementMethods
from sidecar.service.directory import Directory
from sidecar.service.enforce import Enforcer
from sidecar.service.query import Queries
from sidecar.service.runner import InlineRunner
from sidecar.service.standing import Standing
from sidecar.storage.snapshots import SnapshotChanges
from tests.support.build import NOW_US, catalog, catalog_snapshot, company, limit, metered
from tests.support.sidecar_api import ask, stamp
from tests.support.stores import MemoryDisk, OpenedStore


class Plane:
    """Knows some companies; remembers what it was asked for."""

    def __init__(self, directory: Directory, *names: str) -> None:
        self._directory = directory
        self._names = names
        self.asked: list[list[str]] = []
        self.deadlines: list[float | None] = []

    async def fetch(self, companies: Sequence[str], seconds: float | None) -> None:
        self.asked.append(sorted(companies))
        self.deadlines.append(seconds)
        found = [compile_snapshot(company(name), 2) for name in companies if name in self._names]
        self._directory.apply(SnapshotChanges(companies=found))


class Observer:
    """Remembers what it was told."""

    def __init__(self) -> None:
        self.seen: list[tuple[bool, Reason, bool] | str] = []

    def decided(self, allowed: bool, reason: Reason, replayed: bool, nanoseconds: int) -> None:
        assert nanoseconds >= 0
        self.seen.append((allowed, reason, replayed))

    def failed(self, reason: str) -> None:
        self.seen.append(reason)


class Bench:
    """Methods on a store in memory, at a time that the test sets."""

    def __init__(self) -> None:
        self.now_us = NOW_US
        self.opened = OpenedStore(MemoryDisk())
        directory = Directory(self.opened.snapshots, 10)
        content = catalog({"basic": [metered("calls", limit("monthly", 100))]})
        acme = compile_snapshot(company(), 1)
        directory.apply(SnapshotChanges(catalog_snapshot(content), [acme]))
        standing = Standing(authority=False)
        self.plane = Plane(directory, "later")
        self.observer = Observer()
        self.methods = EnforcementMethods(
            Enforcer(
                self.opened.store,
                directory,
                standing,
                AnswerEncoder(),
                answers_kept_us=24 * HOUR_US,
            ),
            Queries(self.opened.store, self.opened.counters, directory, standing),
            directory,
            InlineRunner(),
            self.plane,
            self.observer,
            lambda: self.now_us,
        )

    async def check(self, request: pb.CheckAndIncrementRequest) -> pb.CheckAndIncrementResponse:
        data = await self.methods.check_and_increment(request.SerializeToString(), lambda: 3.5)
        return pb.CheckAndIncrementResponse.FromString(data)

    async def batch(self, *checks: pb.CheckAndIncrementRequest) -> list[pb.CheckOutcome]:
        request = pb.BatchCheckAndIncrementRequest(checks=checks)
        data = await self.methods.batch_check_and_increment(
            request.SerializeToString(), lambda: None
        )
        return list(pb.BatchCheckAndIncrementResponse.FromString(data).outcomes)


@pytest.fixture
def bench() -> Bench:
    return Bench()


async def test_a_company_that_is_not_held_is_fetched_once(bench: Bench) -> None:
    for _ in range(3):
        assert (await bench.check(ask(company="later"))).decision.allowed
    assert [["later"]] == bench.plane.asked
    assert [3.5] == bench.plane.deadlines
    assert 3 == bench.opened.store.head.sequence


async def test_a_company_that_is_nowhere_is_denied(bench: Bench) -> None:
    answer = await bench.check(ask(company="nowhere"))
    assert pb.REASON_UNKNOWN_COMPANY == answer.decision.reason
    assert [["nowhere"]] == bench.plane.asked
    assert 0 == bench.opened.store.head.sequence


async def test_a_batch_fetches_all_that_it_lacks_at_once(bench: Bench) -> None:
    names = ["acme", "later", "nowhere", "later", "acme"]
    outcomes = await bench.batch(*(ask(company=name) for name in names), ask(quantity=-1))
    allowed = [outcome.response.decision.allowed for outcome in outcomes[:5]]
    assert [True, True, False, True, True] == allowed
    assert outcomes[5].HasField("error")
    assert [["later", "nowhere"]] == bench.plane.asked
    assert 4 == bench.opened.store.head.sequence


async def test_questions_fetch_too(bench: Bench) -> None:
    for method, request in [
        (bench.methods.check, pb.CheckRequest(company="later", feature="calls")),
        (bench.methods.get_usage, pb.GetUsageRequest(company="later")),
        (
            bench.methods.get_entitlement,
            pb.GetEntitlementRequest(company="later", feature="calls"),
        ),
        (bench.methods.list_entitlements, pb.ListEntitlementsRequest(company="later")),
    ]:
        await method(request.SerializeToString(), lambda: None)
    assert [["later"]] == bench.plane.asked


async def test_every_decision_and_every_error_is_observed_once(bench: Bench) -> None:
    await bench.check(ask(idempotency_key="k"))
    await bench.check(ask(idempotency_key="k"))
    await bench.check(ask(quantity=500))
    with pytest.raises(FieldError):
        await bench.check(ask(quantity=-1))
    await bench.batch(ask(), ask(quantity=-1), ask(quantity=2, idempotency_key="k"))
    assert [
        (True, Reason.ALLOWED, False),
        (True, Reason.ALLOWED, True),
        (False, Reason.LIMIT_EXCEEDED, False),
        "INVALID_ARGUMENT",
        (True, Reason.ALLOWED, False),
        "INVALID_ARGUMENT",
        "IDEMPOTENCY_CONFLICT",
    ] == bench.observer.seen


async def test_a_retry_gets_its_answer_also_when_its_event_time_has_become_too_old(
    bench: Bench,
) -> None:
    request = ask(idempotency_key="k", event_time=stamp(NOW_US - EVENT_PAST_US_MAX))
    first = await bench.check(request)
    bench.now_us += HOUR_US
    again = await bench.check(request)
    assert (first.record_id, True) == (again.record_id, again.replayed)


async def test_the_basis_tells_how_old_it_is(bench: Bench) -> None:
    basis = (await bench.check(ask())).decision.basis
    assert NOW_US // 1000 == basis.plane_age_ms
    assert not basis.HasField("uncertainty")


async def test_windows_follow_the_time(bench: Bench) -> None:
    await bench.check(ask(quantity=100))
    bench.now_us += 17 * DAY_US
    assert 1 == (await bench.check(ask())).decision.binding_limit.used
