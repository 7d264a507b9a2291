"""What happened to a company's balances, page by page."""

from __future__ import annotations

import pytest

from sidecar.control.services import credit_history
from sidecar.control.services.credit_accounts import SourceAccount
from sidecar.control.services.credit_history import (
    HistoryEvent,
    HistoryPlace,
    list_history,
)
from sidecar.control.services.credit_refunds import RefundWanted, refund_credits
from sidecar.control.storage.credit_values import EntryFilter
from sidecar.control.storage.port import PlaneStore
from sidecar.control.storage.values import record_id
from sidecar.domain.errors import NotFound
from sidecar.domain.limits.counters import CounterRef
from sidecar.domain.time.units import DAY_US, SECOND_US
from tests.unit.control.burning_plane import burning
from tests.unit.control.credit_plane import DAILY_COUNTER, CreditPlane, counter, grant
from tests.unit.control.support import ALICE, NOW_US, Writer, record

WELCOME = grant(amount=60)
ALL = EntryFilter("acme")


class _Plane(CreditPlane):
    def __init__(self, store: PlaneStore) -> None:
        super().__init__(store, "pro")
        self.writer = Writer(ALICE)

    def use(self, *parts: tuple[CounterRef, int], cost: int = 0, key: str = "") -> None:
        """A second later, have a record arrive that burned parts, and costs as much or more."""
        self.now_us += SECOND_US
        cost = cost or sum(amount for _, amount in parts)
        self.push(burning(9, cost, parts, key=key, at_us=self.now_us, feature="tokens"))

    def push(self, data: bytes) -> None:
        self.writer.write(data)
        self.writer.push(self.store, len(self.writer.records), now_us=self.now_us)

    def history(self, wanted: EntryFilter = ALL, limit: int = 1_000) -> list[HistoryEvent]:
        """All of it, page by page."""
        events: list[HistoryEvent] = []
        place: HistoryPlace | None = HistoryPlace()
        while place is not None:
            page, place = list_history(self.store, wanted, place, limit, self.now_us)
            assert len(page) <= limit
            events += page
        return events


@pytest.fixture
def plane(store: PlaneStore) -> _Plane:
    return _Plane(store)


def _told(events: list[HistoryEvent]) -> list[tuple[str, int]]:
    return [(event.kind.name, event.amount) for event in events]


def _live(plane: _Plane) -> None:
    """Grant, burn, void, refund, owe and repay something."""
    plane.grant(WELCOME)
    plane.grant(grant("soon", 9, expires_us=NOW_US + DAY_US, priority=9))
    plane.use((counter(WELCOME), 40), (DAILY_COUNTER, 5))
    plane.use(cost=140)
    plane.now_us += SECOND_US
    refund_credits(plane.store, RefundWanted("acme", ALICE, 1, amount=7), plane.now_us)
    plane.now_us += SECOND_US
    plane.void()
    plane.now_us += 2 * DAY_US


LIVED = [
    ("GRANTED", 60),
    ("GRANTED", 9),
    ("BURNED", 45),
    ("BURNED", 140),
    ("REFUNDED", 7),
    ("REPAID", 7),
    ("VOIDED", 0),
    ("EXPIRED", 0),
]


def test_a_history_tells_what_happened_in_its_order(plane: _Plane) -> None:
    _live(plane)

    events = plane.history()

    assert _told(events) == LIVED
    burned, by_plane, refunded = events[2:5]
    assert burned.record == record_id(ALICE, 1) == refunded.record
    assert (burned.metered, burned.quantity) == ("tokens", 9)
    assert [(part.grant or part.limit, part.part.amount) for part in burned.parts] == [
        ("welcome", 40),
        ("daily", 5),
    ]
    assert by_plane.record == record_id(ALICE, 2)
    assert sum(part.part.amount for part in by_plane.parts) == 140
    assert [part.is_overdraft for part in by_plane.parts] == [False, False, False, True]
    assert (events[0].grant, events[0].reason, events[-1].grant) == ("welcome", "sales", "soon")


@pytest.mark.parametrize("limit", [1, 2, 3, 5])
def test_pages_make_up_the_whole(plane: _Plane, limit: int) -> None:
    _live(plane)
    for _ in range(4):
        plane.use((DAILY_COUNTER, 1))

    assert plane.history(limit=limit) == plane.history()


def test_records_that_burn_nothing_are_passed_by(
    plane: _Plane, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(credit_history, "LINES_LOOKED_MAX", 4)
    monkeypatch.setattr(credit_history, "_LINES_AT_ONCE", 2)
    for at in range(11):
        plane.push(record(1, at_us=plane.now_us + at))
    plane.now_us += SECOND_US
    plane.use((DAILY_COUNTER, 5))
    plane.now_us += SECOND_US
    plane.grant(WELCOME)

    assert _told(plane.history()) == [("BURNED", 5), ("GRANTED", 60)]
    assert _told(plane.history(limit=1)) == [("BURNED", 5), ("GRANTED", 60)]


def test_what_was_taken_back_did_not_burn(plane: _Plane) -> None:
    plane.grant(WELCOME)
    plane.use((counter(WELCOME), 5), key="once")
    plane.use((counter(WELCOME), 5), key="once")
    elsewhere = CounterRef(f"{DAILY_COUNTER.slot}|9", (), DAILY_COUNTER.window)
    plane.use((elsewhere, 3))

    assert _told(plane.history()) == [("GRANTED", 60), ("BURNED", 5), ("BURNED", 3)]
    (part,) = plane.history()[-1].parts
    assert part.grant == "welcome"


def test_a_history_is_of_a_feature_and_a_time(plane: _Plane) -> None:
    plane.grant(WELCOME)
    plane.grant(grant("other", 7), feature="more")
    plane.use((counter(WELCOME), 5))
    plane.use((counter(WELCOME), 6))

    of_more = EntryFilter("acme", "more")
    assert _told(plane.history(of_more)) == [("GRANTED", 7)]
    later = EntryFilter("acme", "", NOW_US + SECOND_US, NOW_US + 2 * SECOND_US)
    assert _told(plane.history(later)) == [("BURNED", 5)]


def test_a_void_is_told_with_what_it_took(plane: _Plane) -> None:
    plane.grant(WELCOME)
    plane.use((counter(WELCOME), 5))
    plane.now_us += SECOND_US
    plane.void()

    assert _told(plane.history())[-1] == ("VOIDED", 55)


def test_what_was_leased_and_not_burned_has_expired_with_its_grant(plane: _Plane) -> None:
    soon = grant("soon", 100, expires_us=NOW_US + DAY_US)
    plane.grant(soon)
    plane.lease(counter(soon), 60)
    plane.use((counter(soon), 30))
    plane.now_us = NOW_US + DAY_US

    assert plane.accounts()["soon"] == SourceAccount(100, burned=30, expired=70)
    assert _told(plane.history())[-1] == ("EXPIRED", 70)

    plane.burn(counter(soon), 20)  # before the expiry, and told late
    assert plane.accounts()["soon"] == SourceAccount(100, burned=50, expired=50)


def test_a_history_is_of_a_company_that_is_there(plane: _Plane) -> None:
    with pytest.raises(NotFound):
        plane.history(EntryFilter("nobody"))
    assert plane.history() == []
