"""The methods without a transport: time, snapshots that are fetched, answers to retries."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from sidecar.api.enforcement.v1 import enforcement_pb2 as pb
from sidecar.domain.bounds import EVENT_PAST_US_MAX
from sidecar.domain.catalog.model import Enforcement
from sidecar.domain.errors import Exhausted, FieldError
from sidecar.domain.limits.reasons import FallbackCause, Reason
from sidecar.domain.time.units import DAY_US, HOUR_US, SECOND_US
from tests.support.build import NOW_US, SHADOW, catalog, company, limit, metered
from tests.support.inside import Inside
from tests.support.method_calls import ANYONE, Call, answer_of, call
from tests.support.sidecar_api import ask, stamp


class Notes:
    """Remembers what an observer is told."""

    def __init__(self) -> None:
        self.seen: list[tuple[object, ...] | str] = []

    def decided(
        self, feature: str, allowed: bool, reason: Reason, replayed: bool, nanoseconds: int
    ) -> None:
        assert nanoseconds >= 0
        self.seen.append((feature, allowed, reason, replayed))

    def counted(self, feature: str, nanoseconds: int) -> None:
        self.decided(feature, True, Reason.ALLOWED, False, nanoseconds)

    def fell_back(self, cause: FallbackCause, allowed: bool) -> None:
        self.seen.append((cause, allowed))

    def fell_low(self, feature: str) -> None:
        self.seen.append(("low", feature))

    def shadow_denied(self, feature: str, limits: Sequence[str]) -> None:
        self.seen.append((feature, *limits))

    def failed(self, reason: str) -> None:
        self.seen.append(reason)


@pytest.fixture
def notes() -> Notes:
    return Notes()


@pytest.fixture
def sidecar(notes: Notes) -> Inside:
    content = catalog(
        {"basic": [metered("calls", limit("monthly", 100), limit("trial", 90, SHADOW))]}
    )
    found = Inside(content, company(), observer=notes)
    found.plane.companies["later"] = company("later")
    return found


async def check(
    sidecar: Inside, request: pb.CheckAndIncrementRequest
) -> pb.CheckAndIncrementResponse:
    (outcome,) = await call("check", sidecar, request)
    return outcome.response


async def test_a_company_that_is_not_held_is_fetched_once(sidecar: Inside) -> None:
    for _ in range(3):
        data = ask(company="later").SerializeToString()
        answer = await answer_of(sidecar.methods.check_and_increment, data, 3.5)
        assert pb.CheckAndIncrementResponse.FromString(answer).decision.allowed
    assert [(["later"], 3.5)] == sidecar.plane.asked
    assert 3 == sidecar.opened.store.head.sequence


async def test_a_company_that_is_nowhere_is_denied(sidecar: Inside) -> None:
    answer = await check(sidecar, ask(company="nowhere"))
    assert pb.REASON_UNKNOWN_COMPANY == answer.decision.reason
    assert [(["nowhere"], None)] == sidecar.plane.asked
    assert 0 == sidecar.opened.store.head.sequence


async def test_a_company_that_is_nowhere_is_asked_for_again_after_a_minute(sidecar: Inside) -> None:
    for seconds in (0, 59, 60, 61):
        sidecar.now_us = NOW_US + seconds * SECOND_US
        await check(sidecar, ask(company="nowhere"))
    assert [(["nowhere"], None)] * 2 == sidecar.plane.asked


async def test_a_batch_fetches_all_that_it_lacks_at_once(sidecar: Inside) -> None:
    names = ["acme", "later", "nowhere", "later", "acme"]
    outcomes = await call(
        "batch", sidecar, *(ask(company=name) for name in names), ask(quantity=-1)
    )
    allowed = [outcome.response.decision.allowed for outcome in outcomes[:5]]
    assert [True, True, False, True, True] == allowed
    assert outcomes[5].HasField("error")
    assert [(["later", "nowhere"], None)] == sidecar.plane.asked
    assert 4 == sidecar.opened.store.head.sequence


async def test_questions_fetch_too(sidecar: Inside) -> None:
    methods = sidecar.query_methods
    for method, request in [
        (methods.check, pb.CheckRequest(company="later", feature="calls")),
        (methods.get_usage, pb.GetUsageRequest(company="later")),
        (methods.get_entitlement, pb.GetEntitlementRequest(company="later", feature="calls")),
        (methods.list_entitlements, pb.ListEntitlementsRequest(company="later")),
    ]:
        await method(request.SerializeToString(), ANYONE)
    assert [(["later"], None)] == sidecar.plane.asked


async def test_usage_that_has_happened_asks_for_its_company_as_a_check_does(
    sidecar: Inside,
) -> None:
    (outcome,) = await call("record", sidecar, ask(company="later", quantity=107))
    assert (True, pb.REASON_LIMIT_EXCEEDED) == (
        outcome.response.decision.allowed,
        outcome.response.decision.reason,
    )
    assert [(["later"], None)] == sidecar.plane.asked
    (record,) = sidecar.records()
    assert ("later", 107, 1, False) == (
        record.company,
        record.quantity,
        len(record.counters),
        record.unattributed,
    )


async def test_usage_that_has_happened_is_recorded_where_its_company_cannot_be_had(
    sidecar: Inside,
) -> None:
    sidecar.plane.away = True
    (outcome,) = await call("record", sidecar, ask(company="later", quantity=7))
    assert pb.REASON_UNKNOWN_COMPANY == outcome.response.decision.reason
    (record,) = sidecar.records()
    assert (7, 0, True) == (record.quantity, len(record.counters), record.unattributed)


async def test_usage_that_has_happened_is_recorded_where_too_many_calls_wait(
    sidecar: Inside,
) -> None:
    class Unwelcome(Call):
        def defer(self) -> None:
            raise Exhausted("", "too many calls are under way")

    request = pb.RecordUsageRequest(company="later", feature="calls", quantity=7)
    one = Unwelcome(request.SerializeToString())
    sidecar.methods.record_usage(one)
    answer = pb.RecordUsageResponse.FromString(await one.answered)
    assert pb.REASON_UNKNOWN_COMPANY == answer.decision.reason
    assert [("later", 7)] == [(record.company, record.quantity) for record in sidecar.records()]
    assert [] == sidecar.plane.asked


async def test_usage_above_a_soft_limit_is_known_as_such_from_the_first_record_on() -> None:
    soft = limit("soft", 3, enforcement=Enforcement.SOFT)
    sidecar = Inside(catalog({"basic": [metered("calls", soft)]}))
    sidecar.plane.companies["later"] = company("later")
    (outcome,) = await call("record", sidecar, ask(company="later", quantity=10))
    assert 7 == outcome.response.decision.overage
    assert [7] == [record.overage for record in sidecar.records()]


async def test_every_decision_and_every_error_is_observed_once(
    sidecar: Inside, notes: Notes
) -> None:
    await check(sidecar, ask(idempotency_key="k"))
    await check(sidecar, ask(idempotency_key="k"))
    await check(sidecar, ask(quantity=500))
    with pytest.raises(FieldError):
        await check(sidecar, ask(quantity=-1))
    await call("batch", sidecar, ask(), ask(quantity=-1), ask(quantity=2, idempotency_key="k"))
    await check(sidecar, ask(company="nowhere"))
    await call("record", sidecar, ask(quantity=90))
    assert [
        ("calls", True, Reason.ALLOWED, False),
        ("calls", True, Reason.ALLOWED, True),
        ("calls", False, Reason.LIMIT_EXCEEDED, False),
        ("calls", "trial"),
        "INVALID_ARGUMENT",
        ("calls", True, Reason.ALLOWED, False),
        "INVALID_ARGUMENT",
        "IDEMPOTENCY_CONFLICT",
        ("calls", False, Reason.UNKNOWN_COMPANY, False),
        (FallbackCause.NO_SNAPSHOT, False),
        ("calls", True, Reason.ALLOWED, False),
        ("calls", "trial"),
    ] == notes.seen


async def test_a_retry_gets_its_answer_also_when_its_event_time_has_become_too_old(
    sidecar: Inside,
) -> None:
    request = ask(idempotency_key="k", event_time=stamp(NOW_US - EVENT_PAST_US_MAX))
    first = await check(sidecar, request)
    sidecar.now_us += HOUR_US
    again = await check(sidecar, request)
    assert (first.record_id, True) == (again.record_id, again.replayed)


async def test_the_basis_tells_how_old_it_is(sidecar: Inside) -> None:
    sidecar.now_us += 1_500_000
    basis = (await check(sidecar, ask())).decision.basis
    assert 1500 == basis.plane_age_ms
    assert not basis.HasField("uncertainty")


async def test_a_plane_that_was_never_heard_is_as_old_as_can_be(sidecar: Inside) -> None:
    sidecar.plane_status.heard_us = sidecar.plane_status.known_us = None
    assert NOW_US // 1000 == (await check(sidecar, ask())).decision.basis.plane_age_ms


async def test_windows_follow_the_time(sidecar: Inside) -> None:
    await check(sidecar, ask(quantity=100))
    sidecar.now_us += 17 * DAY_US
    assert 1 == (await check(sidecar, ask())).decision.binding_limit.used


@pytest.mark.parametrize("way", ["batch", "check"])
async def test_a_batch_over_more_companies_than_may_be_held_is_decided_at_once(way: str) -> None:
    """None of them goes for another while they are needed."""
    content = catalog({"basic": [metered("calls", limit("monthly", 100))]})
    sidecar = Inside(content, company(), companies_held_max=2, companies_cached_max=1)
    names = [f"company-{number}" for number in range(6)]
    sidecar.plane.companies = {name: company(name) for name in names}
    for _ in range(2):
        outcomes = await call(way, sidecar, *(ask(company=name) for name in names))
        assert [True] * 6 == [outcome.response.decision.allowed for outcome in outcomes]
    assert 12 == sidecar.opened.store.head.sequence


async def test_a_batch_whose_companies_go_again_at_once_is_decided_all_the_same() -> None:
    """As where others that are needed more take their place: what was asked for is asked once."""
    content = catalog({"basic": [metered("calls", limit("monthly", 100))]})
    sidecar = Inside(content, company())
    asked: list[list[str]] = []

    async def fetch(companies: Sequence[str], seconds: float | None) -> None:
        asked.append(sorted(companies))

    sidecar.plane.fetch = fetch  # type: ignore[method-assign]
    outcomes = await call("batch", sidecar, ask(company="a"), ask(company="b"), ask())
    allowed = [outcome.response.decision.allowed for outcome in outcomes]
    assert [False, False, True] == allowed
    assert [["a", "b"]] == asked
