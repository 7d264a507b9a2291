"""What sidecars are granted of a company's limits, by its catalog and timeline."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import pytest
from msgspec.structs import replace

from sidecar.control.rules.history import Greeting
from sidecar.control.services import apply, ingest
from sidecar.control.services.apply import Desired
from sidecar.control.storage.port import PlaneStore
from sidecar.control.storage.values import CORRECTIONS, CounterKey
from sidecar.domain.bounds import EVENT_PAST_US_MAX, FOREVER_US, INT64_MAX
from sidecar.domain.capabilities import Capability
from sidecar.domain.catalog.model import (
    Across,
    Catalog,
    Enforcement,
    EntitlementGrant,
    Feature,
    FeatureKind,
    Limit,
    Plan,
    Scope,
)
from sidecar.domain.company.model import Company, Override, ScheduledChange, Subscription
from sidecar.domain.errors import FailedPrecondition
from sidecar.domain.leases.model import LeaseRequest, LeaseResult, LeaseStatus
from sidecar.domain.limits.counters import CounterName, CounterRef, slot_of
from sidecar.domain.time.units import DAY_US, HOUR_US, MINUTE_US, SECOND_US
from sidecar.domain.time.windows import Window, WindowSpec, WindowUnit
from tests.support.tables import contents
from tests.unit.control.leasing_plane import DAILY, Plane, day, told
from tests.unit.control.support import (
    ALICE,
    BOB,
    CAROL,
    DAY_START_US,
    LIFETIME,
    NOW_US,
    TODAY,
    Writer,
    company,
    per_user,
    record,
    set_up,
)

(
    GRANTED, EXHAUSTED, RECALLING, GONE, SUPERSEDED, REFUSED, RECOVERING, BEHIND, WITHHELD,
) = LeaseStatus  # fmt: skip
TOMORROW: Final = Window(TODAY.end_us, TODAY.end_us + DAY_US)
YESTERDAY: Final = Window(TODAY.start_us - DAY_US, TODAY.start_us)


@pytest.fixture
def plane(store: PlaneStore) -> Plane:
    plane = Plane(store)
    plane.apply()
    return plane


def test_a_lease_of_the_running_window_is_good_until_its_end(plane: Plane) -> None:
    result = plane.ask(day(), 3, 10)
    assert LeaseResult(1, GRANTED, 10, TODAY.end_us, True, 0, 100) == result
    assert (1, (TODAY,)) == (plane.leased.revision, plane.leased.windows)


def test_records_settle_a_lease_and_others_get_what_is_left(plane: Plane) -> None:
    assert (GRANTED, 60) == told(plane.ask(day(), 60))
    assert (RECALLING, 0) == told(plane.ask(day(), 41, who=BOB))
    writer = Writer()
    writer.write(record(60, counters=(day(),)))
    writer.push(plane.store)
    assert (GRANTED, 40) == told(plane.ask(day(), 40, who=BOB))
    assert (RECALLING, 60) == told(plane.ask(day(), 1, held=60, used=60))
    writer = Writer(BOB)
    writer.write(record(40, counters=(day(),)))
    writer.push(plane.store)
    assert (EXHAUSTED, 60) == told(plane.ask(day(), 1, held=60, used=60))
    assert plane.leased.recalls == ()


def test_what_others_hold_is_recalled_while_they_are_there(plane: Plane) -> None:
    plane.ask(day(), 60)
    plane.watching = {ALICE}
    result = plane.ask(day(), 50, who=BOB)
    assert (RECALLING, 0) == told(result)
    assert 0 < result.retry_after_ms <= 100
    key = CounterKey("acme", "tokens", day())
    assert [(ALICE, key)] == list(plane.leased.recalls)
    assert (GRANTED, 0) == told(plane.ask(day(), held=0))
    assert (GRANTED, 50) == told(plane.ask(day(), 50, who=BOB))


def test_who_was_heard_lately_is_there_too(plane: Plane) -> None:
    plane.ask(day(), 60)
    plane.now_us += 20 * SECOND_US
    assert (RECALLING, 0) == told(plane.ask(day(), 50, who=BOB))
    plane.now_us += 20 * SECOND_US
    # Who is gone holds it: the limit is not used up, and it is to be asked again.
    assert (WITHHELD, 0) == told(plane.ask(day(), 50, who=BOB))


def test_corrections_make_room_again(plane: Plane) -> None:
    plane.ask(day(), 100)
    with plane.store.write() as transaction:
        key = CounterKey("acme", "tokens", day())
        transaction.add_to_counters(ALICE, {key: 100}, 1)
        transaction.add_to_counters(CORRECTIONS, {key: -30}, 2)
    assert (GRANTED, 30) == told(plane.ask(day(), 30, who=BOB))
    assert (EXHAUSTED, 30) == told(plane.ask(day(), 1, held=30, used=30, who=BOB))


def test_values_have_leases_of_their_own_by_their_own_amounts(plane: Plane) -> None:
    limit = Limit(
        "daily", DAILY.window, 10, scope=Scope(("user",)), amounts=(("eve", 20), ("root", None))
    )
    plane.apply(limit)
    assert (GRANTED, 10) == told(plane.ask(per_user("ann"), 10))
    assert 20 == plane.ask(per_user("eve"), 20).amount
    assert EXHAUSTED is plane.ask(per_user("ben"), 20).status
    assert GONE is plane.ask(per_user("root"), 1).status  # unlimited
    assert GONE is plane.ask(CounterRef(slot_of(limit), (), TODAY), 1).status


def test_the_next_window_is_leased_shortly_before_it_opens(plane: Plane) -> None:
    assert GONE is plane.ask(day(TOMORROW), 1).status
    plane.now_us = TOMORROW.start_us - MINUTE_US
    result = plane.ask(day(TOMORROW), 5)
    assert (GRANTED, 5, TOMORROW.end_us) == (*told(result), result.valid_until_us)
    later = Window(TOMORROW.end_us, TOMORROW.end_us + DAY_US)
    assert GONE is plane.ask(day(later), 1).status


def test_windows_that_have_ended_are_leased_while_usage_may_be_late(plane: Plane) -> None:
    writer = Writer(BOB)
    at_us = YESTERDAY.end_us - 1
    writer.write(record(90, counters=(day(YESTERDAY),), at_us=at_us))
    writer.push(plane.store)
    result = plane.ask(day(YESTERDAY), 10)
    assert (GRANTED, 10, YESTERDAY.end_us) == (*told(result), result.valid_until_us)
    assert EXHAUSTED is plane.ask(day(YESTERDAY), 11, who=CAROL).status
    plane.now_us = YESTERDAY.end_us + EVENT_PAST_US_MAX
    assert GONE is plane.ask(day(YESTERDAY), held=10).status


SCHEDULED: Final[dict[str, tuple[ScheduledChange, int | None]]] = {
    "a lower plan": (ScheduledChange(NOW_US + HOUR_US, "small"), 10),
    "an equal plan": (ScheduledChange(NOW_US + HOUR_US, "same"), None),
    "a reset": (ScheduledChange(NOW_US + HOUR_US, resets_usage=True), 100),
}


@pytest.mark.parametrize(("change", "amount"), SCHEDULED.values(), ids=SCHEDULED)
def test_a_lease_is_good_until_what_is_planned(
    plane: Plane, change: ScheduledChange, amount: int | None
) -> None:
    grants = {
        key: (EntitlementGrant("tokens", limits=(replace(DAILY, amount=limit),)),)
        for key, limit in (("pro", 100), ("same", 100), ("small", 10))
    }
    catalog = Catalog(
        (Feature("tokens", FeatureKind.METERED),),
        tuple(Plan(key, "", grant) for key, grant in sorted(grants.items())),
    )
    planned = Company("acme", subscription=Subscription("pro", DAY_START_US, changes=(change,)))
    apply.apply(plane.store, Desired(catalog, (planned,)), NOW_US)
    until_us = change.at_us if amount is not None else TODAY.end_us
    assert until_us == plane.ask(day(), 5).valid_until_us
    plane.now_us = change.at_us
    after = day() if not change.resets_usage else day(generation=change.at_us)
    result = plane.ask(after, 5, who=BOB)
    assert (TODAY.end_us, amount or 100) == (result.valid_until_us, result.amount)
    if change.resets_usage:  # of the generation before, late usage is left
        assert change.at_us == plane.ask(day(), 5, who=BOB).valid_until_us


def test_a_reset_that_is_near_has_leases_ahead_and_one_that_is_far_has_none(plane: Plane) -> None:
    reset = ScheduledChange(NOW_US + HOUR_US, resets_usage=True)
    planned = Company("acme", subscription=Subscription("pro", DAY_START_US, changes=(reset,)))
    plane.apply(DAILY, planned)
    anew = day(generation=reset.at_us)
    assert GONE is plane.ask(anew, 5).status
    plane.now_us = reset.at_us - MINUTE_US
    assert (GRANTED, 5) == told(plane.ask(anew, 5))
    assert GONE is plane.ask(day(generation=reset.at_us - 1), 5).status


def test_a_counter_that_is_to_be_filled_grants_nothing_until_it_is(plane: Plane) -> None:
    writer = Writer(BOB)
    writer.write(record(90, counters=(day(),)))
    writer.push(plane.store)
    hourly = replace(DAILY, window=WindowSpec(WindowUnit.HOUR))
    plane.ask(day(), 10)
    plane.apply(hourly, fills=False)
    start_us = NOW_US - NOW_US % HOUR_US
    hour = CounterRef(slot_of(hourly), (), Window(start_us, start_us + HOUR_US))
    assert (RECALLING, 0) == told(plane.ask(hour, 1))
    plane.fill()
    assert (RECALLING, 0) == told(plane.ask(hour, 1))  # the ten that are leased by the day
    plane.ask(day())
    assert (GRANTED, 10) == told(plane.ask(hour, 10))
    assert EXHAUSTED is plane.ask(hour, 1, held=10, used=10).status


def test_an_override_ends_the_lease_that_was_granted_by_it(plane: Plane) -> None:
    more = EntitlementGrant("tokens", limits=(replace(DAILY, amount=500),))
    granted = Override(more, expires_us=NOW_US + HOUR_US)
    plane.apply(DAILY, replace(company("acme"), overrides=(granted,)))
    result = plane.ask(day(), 300)
    assert (GRANTED, 300, 500) == (*told(result), result.amount)
    assert NOW_US + HOUR_US == result.valid_until_us
    plane.now_us += HOUR_US
    assert (RECALLING, 300, 500) == (*told(back := plane.ask(day(), 1, held=300)), back.amount)
    assert [ALICE] == [who for who, _ in plane.leased.recalls]
    assert (GRANTED, 100, 100) == (*told(back := plane.ask(day(), 100)), back.amount)


NOT_LEASED: Final[dict[str, Limit]] = {
    "soft": replace(DAILY, enforcement=Enforcement.SOFT),
    "shadow": replace(DAILY, enforcement=Enforcement.SHADOW),
    "eventual": replace(DAILY, across=Across.EVENTUAL),
    "unlimited": replace(DAILY, amount=None),
    "another window": replace(DAILY, window=WindowSpec(WindowUnit.MONTH)),
}


@pytest.mark.parametrize("limit", NOT_LEASED.values(), ids=NOT_LEASED)
def test_only_exact_limits_are_leased(plane: Plane, limit: Limit) -> None:
    plane.apply(limit)
    assert GONE is plane.ask(day(), 1).status


def _nobody(plane: Plane) -> LeaseResult:
    return plane.ask(day(), 5, name="nobody")


def _hostile_slot(plane: Plane) -> LeaseResult:
    slot = "DAY/1/CALENDAR||9999999999999999999"
    return plane.ask(CounterRef(slot, (), TODAY), 5)


def _odd_window(plane: Plane) -> LeaseResult:
    return plane.ask(day(Window(TODAY.start_us + 1, TODAY.end_us)), 5)


def _held_more(plane: Plane) -> LeaseResult:
    return plane.ask(day(), 5, held=8)


def _held_beyond_all(plane: Plane) -> LeaseResult:
    return plane.ask(day(), INT64_MAX, held=INT64_MAX, used=INT64_MAX)


def _smaller_number(plane: Plane) -> LeaseResult:
    return plane.ask(day(), 5, held=7, number=0)


BAD: Final[dict[str, tuple[Callable[[Plane], LeaseResult], LeaseStatus]]] = {
    "a company that is not there": (_nobody, GONE),
    "a feature that is gone": (lambda plane: plane.ask(day(), 5, feature="gone"), GONE),
    "a limit that is gone": (lambda plane: plane.ask(LIFETIME, 5), GONE),
    "values that it has not": (lambda plane: plane.ask(replace(day(), values=("x",)), 5), GONE),
    "a slot that cannot be": (_hostile_slot, GONE),
    "a window that nobody has": (_odd_window, GONE),
    "a window long past": (lambda plane: plane.ask(day(Window(0, DAY_US)), 5), GONE),
    "a window far ahead": (lambda plane: plane.ask(day(TOMORROW), 5), GONE),
    "more held than granted": (_held_more, REFUSED),
    "as much as numbers hold": (_held_beyond_all, REFUSED),
    "a smaller number": (_smaller_number, SUPERSEDED),
}


@pytest.mark.parametrize(("ask", "status"), BAD.values(), ids=BAD)
def test_what_cannot_be_asked_moves_nothing(
    plane: Plane, ask: Callable[[Plane], LeaseResult], status: LeaseStatus
) -> None:
    assert (GRANTED, 7) == told(plane.ask(day(), 7))
    before = contents(plane.store)
    assert status is ask(plane).status
    assert before == contents(plane.store)
    assert plane.leased.revision is None


def test_as_much_as_numbers_hold_can_be_leased_and_no_more(plane: Plane) -> None:
    plane.apply(replace(DAILY, amount=INT64_MAX))
    assert (GRANTED, INT64_MAX) == told(plane.ask(day(), INT64_MAX))
    with plane.store.write() as transaction:
        key = CounterKey("acme", "tokens", day())
        transaction.add_to_counters(ALICE, {key: INT64_MAX}, 1)
        transaction.add_to_counters(CORRECTIONS, {key: -50}, 2)
    assert (EXHAUSTED, 0) == told(plane.ask(day(), 51, who=BOB))
    # There are 50, and no number for where its own usage would get by them.
    full = plane.ask(day(), 1, INT64_MAX, held=INT64_MAX, used=INT64_MAX)
    assert (EXHAUSTED, INT64_MAX) == told(full)
    assert (GRANTED, 50) == told(plane.ask(day(), 50, who=BOB))


def test_of_a_limit_that_is_gone_what_is_given_back_counts(plane: Plane) -> None:
    plane.ask(day(), 60)
    plane.apply(replace(DAILY, enforcement=Enforcement.SOFT))
    assert (GONE, 20) == told(plane.ask(day(), held=20, used=20))
    plane.apply()
    assert (GRANTED, 80) == told(plane.ask(day(), 80, who=BOB))


def test_a_company_that_is_removed_has_no_leases_and_has_them_again(plane: Plane) -> None:
    plane.ask(day(), 60)
    apply.apply(plane.store, Desired(remove=("acme",)), NOW_US)
    assert GONE is plane.ask(day(), 1, who=BOB).status
    apply.apply(plane.store, Desired(companies=(company("acme"),)), NOW_US + 1)
    plane.now_us += 2
    assert (GRANTED, 40) == told(plane.ask(day(), 40, who=BOB))


def test_a_denied_company_has_no_leases(plane: Plane) -> None:
    canceled = Company("acme", subscription=Subscription("pro", DAY_START_US, cancel_us=NOW_US))
    plane.apply(DAILY, canceled)
    assert GONE is plane.ask(day(), 1).status


def test_another_epoch_is_told_and_moves_nothing(plane: Plane) -> None:
    before = contents(plane.store)
    request = LeaseRequest(CounterName("acme", "tokens", day()), 1, 0, 0, 5, 5)
    with pytest.raises(FailedPrecondition) as raised:
        plane.request(ALICE, request, epoch="another")
    assert "EPOCH_CHANGED" == raised.value.reason
    assert before == contents(plane.store)


def test_a_fenced_incarnation_is_refused_and_gives_nothing_back(plane: Plane) -> None:
    plane.ask(day(), 5)
    with plane.store.write() as transaction:
        known = transaction.incarnation(ALICE)
        assert known is not None
        transaction.put_incarnation(replace(known, fenced=True))
    before = contents(plane.store)
    assert REFUSED is plane.ask(day(), 9, held=5).status
    assert before == contents(plane.store)
    # Nor is it asked for what it holds.
    assert (WITHHELD, 0) == told(plane.ask(day(), 96, who=BOB))


def test_a_limit_is_exact_while_everybody_who_counts_on_it_knows_leases(plane: Plane) -> None:
    def greet(incarnation: str, *knows: Capability) -> None:
        greeting = Greeting(0, 0, b"")
        ingest.greet(plane.store, incarnation, "", greeting, plane.now_us, (), frozenset(knows))

    writer = Writer(BOB)
    writer.write(record(1, counters=(day(),)))
    writer.push(plane.store)
    assert not plane.ask(day(), 1).exact
    greet(BOB, Capability.LEASES)
    assert plane.ask(day(), 1, held=1).exact
    greet(BOB)
    assert not plane.ask(day(), 1, held=1).exact
    plane.now_us += DAY_US // 3
    greet(CAROL)
    assert not plane.ask(day(), 1, held=1).exact
    plane.now_us = NOW_US + DAY_US
    assert plane.ask(day(TOMORROW), 1).exact


def test_a_thousand_values_are_answered_in_one_message(plane: Plane) -> None:
    plane.apply(Limit("daily", DAILY.window, 10, scope=Scope(("user",))))
    requests = [
        LeaseRequest(CounterName("acme", "tokens", per_user(f"user-{at}")), at + 1, 0, 0, 1, 4)
        for at in range(1_000)
    ]
    leased = plane.request(ALICE, *requests)
    assert [(each.number, 4) for each in requests] == [
        (result.number, result.granted) for result in leased.results
    ]
    assert (1, (TODAY,)) == (leased.revision, leased.windows)


def test_what_is_given_back_and_granted_again_is_no_news_to_the_witness(plane: Plane) -> None:
    plane.ask(day(), 50)
    plane.ask(day(), held=10, used=10)
    assert (2, ()) == (plane.leased.revision, plane.leased.windows)
    plane.ask(LIFETIME, 5)
    assert (None, ()) == (plane.leased.revision, plane.leased.windows)


def test_a_lifetime_limit_is_leased_for_ever(plane: Plane) -> None:
    set_up(plane.store, "acme")
    plane.fill()
    assert FOREVER_US == plane.ask(LIFETIME, 900).valid_until_us
    assert EXHAUSTED is plane.ask(LIFETIME, 1_001, who=BOB).status
    assert (GRANTED, 100) == told(plane.ask(LIFETIME, 100, who=BOB))
