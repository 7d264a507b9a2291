"""Credits that are given back: where they return, and what is lost."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from sidecar.api.sync.v1 import sync_pb2
from sidecar.control.services.credit_accounts import SourceAccount
from sidecar.control.services.credit_refunds import Refunded, RefundWanted, refund_credits
from sidecar.control.storage.port import PlaneStore
from sidecar.domain.credits.grants import GrantKind
from sidecar.domain.credits.source_slots import OVERDRAFT_COUNTER
from sidecar.domain.errors import Conflict, FailedPrecondition, InvalidInput, NotFound
from sidecar.domain.limits.counters import CounterRef
from sidecar.domain.time.units import DAY_US
from sidecar.shared.convert.counters import counter_to_message
from tests.unit.control.burning_plane import burning
from tests.unit.control.credit_plane import DAILY_COUNTER, CreditPlane, counter, grant
from tests.unit.control.support import ALICE, BOB, NOW_US, Writer

WELCOME = grant(amount=60)
BOUGHT = grant("bought", 100, kind=GrantKind.PAID)


class _Plane(CreditPlane):
    def __init__(self, store: PlaneStore) -> None:
        super().__init__(store)
        self.writer = Writer(ALICE)

    def use(self, *parts: tuple[CounterRef, int], cost: int = 0, key: str = "") -> None:
        """Have a record arrive that burned parts, and costs as much or more."""
        burned = sum(amount for _, amount in parts)
        record = burning(9, cost or burned, parts, key=key, at_us=self.now_us, feature="tokens")
        self.writer.write(record)
        self.writer.push(self.store, len(self.writer.records), now_us=self.now_us)

    def refund(
        self,
        amount: int = 0,
        *,
        sequence: int = 1,
        feature: str = "",
        request: str = "",
        dry_run: bool = False,
    ) -> Refunded:
        wanted = RefundWanted("acme", ALICE, sequence, feature, amount, "sorry", request)
        return refund_credits(self.store, wanted, self.now_us, dry_run=dry_run)


@pytest.fixture
def plane(store: PlaneStore) -> _Plane:
    plane = _Plane(store)
    plane.grant(WELCOME)
    plane.grant(BOUGHT)
    return plane


def _returned(refunded: Refunded) -> list[tuple[str, int, bool]]:
    return [
        (named.grant or named.limit or "overdraft", named.part.amount, named.part.is_lost)
        for named in refunded.parts
    ]


def test_a_refund_returns_what_burned_last_first(plane: _Plane) -> None:
    plane.use((counter(WELCOME), 60), (counter(BOUGHT), 40))

    refunded = plane.refund(50)

    assert _returned(refunded) == [("bought", 40, False), ("welcome", 10, False)]
    assert plane.accounts() == {
        "welcome": SourceAccount(60, burned=50, left=10),
        "bought": SourceAccount(100, left=100),
    }
    assert plane.balance().balance == 110


def test_refunds_go_on_where_the_last_one_ended(plane: _Plane) -> None:
    plane.use((counter(WELCOME), 60), (counter(BOUGHT), 40))
    plane.refund(50)

    assert _returned(plane.refund()) == [("welcome", 50, False)]

    with pytest.raises(FailedPrecondition) as refused:
        plane.refund()
    assert refused.value.field == "record"
    assert plane.balance().balance == 160


def test_no_more_is_refunded_than_was_burned(plane: _Plane) -> None:
    plane.use((counter(WELCOME), 60))

    with pytest.raises(FailedPrecondition) as refused:
        plane.refund(61)

    assert refused.value.field == "amount"
    assert plane.accounts()["welcome"].burned == 60


def test_the_same_request_again_returns_nothing_more(plane: _Plane) -> None:
    plane.use((counter(WELCOME), 60))
    first = plane.refund(20, request="r-1")

    again = plane.refund(20, request="r-1")

    assert (first.changed, again.changed) == (True, False)
    assert (again.parts, again.feature) == (first.parts, "credits")
    assert plane.accounts()["welcome"].burned == 40
    plane.use((counter(BOUGHT), 5))
    for amount, sequence, feature in ((21, 1, ""), (20, 2, ""), (20, 1, "more")):
        with pytest.raises(Conflict) as refused:
            plane.refund(amount, sequence=sequence, feature=feature, request="r-1")
        assert refused.value.field == "request_id"


def test_what_would_return_to_a_grant_that_is_over_is_lost(plane: _Plane) -> None:
    soon = grant("soon", 30, expires_us=NOW_US + DAY_US)
    plane.grant(soon)
    plane.use((counter(soon), 30), (counter(WELCOME), 10), (DAILY_COUNTER, 1))
    plane.void("welcome")
    plane.now_us += DAY_US

    refunded = plane.refund()

    assert refunded.lost == refunded.amount == 41
    accounts = plane.accounts()
    assert accounts["soon"] == SourceAccount(30, lost=30)
    assert accounts["welcome"] == SourceAccount(60, lost=10, voided=50)


def test_a_window_that_runs_gets_back_what_it_granted(store: PlaneStore) -> None:
    plane = _Plane(store)
    plane.use((DAILY_COUNTER, 7))

    assert _returned(plane.refund(3)) == [("DAY/1/CALENDAR||", 3, False)]


def test_what_is_owed_of_it_is_forgiven_first(plane: _Plane) -> None:
    plane.use((counter(WELCOME), 60), (counter(BOUGHT), 100), cost=190)
    assert plane.balance().debt == 30

    refunded = plane.refund(40)

    assert _returned(refunded) == [("overdraft", 30, False), ("bought", 10, False)]
    assert plane.balance().balance == 10


def test_who_repaid_the_debt_gets_it_back(plane: _Plane) -> None:
    plane.use((counter(WELCOME), 60), (counter(BOUGHT), 100), cost=190)
    first, second = grant("first", 10), grant("second", 100)
    plane.grant(first)
    plane.grant(second)
    assert plane.accounts()["second"].burned == 20

    refunded = plane.refund(25)

    assert _returned(refunded) == [("second", 20, False), ("first", 5, False)]
    accounts = plane.accounts()
    assert (accounts["first"].burned, accounts["second"].burned) == (5, 0)
    assert _returned(plane.refund(6)) == [("first", 5, False), ("bought", 1, False)]


def test_what_returns_repays_what_is_owed(plane: _Plane) -> None:
    plane.use((counter(WELCOME), 60))
    plane.use((counter(BOUGHT), 100))
    plane.owe(25)

    plane.refund(20)

    assert (plane.balance().debt, plane.balance().balance) == (5, -5)
    assert plane.accounts()["welcome"] == SourceAccount(60, burned=60)


def test_what_the_plane_burned_is_refunded_too(plane: _Plane) -> None:
    plane.use((counter(WELCOME), 20), cost=70)
    assert plane.accounts()["bought"].burned == 10

    refunded = plane.refund()

    assert refunded.amount == 70
    assert plane.balance().balance == 160


def test_a_refund_is_of_a_record_that_burned_something(plane: _Plane) -> None:
    with pytest.raises(NotFound) as unknown:
        plane.refund()
    assert unknown.value.field == "record"
    plane.use((counter(WELCOME), 20), key="once")
    plane.use((counter(WELCOME), 20), key="once")
    assert plane.accounts()["welcome"].burned == 20

    for sequence, feature in ((2, ""), (1, "more")):
        with pytest.raises(FailedPrecondition) as refused:
            plane.refund(sequence=sequence, feature=feature)
        assert refused.value.field == "record"


def test_a_dry_run_returns_nothing(plane: _Plane) -> None:
    plane.use((counter(WELCOME), 20))

    assert plane.refund(dry_run=True).amount == 20

    assert plane.accounts()["welcome"].burned == 20


def test_a_spent_grant_is_told_again_once_something_returns(plane: _Plane) -> None:
    plane.use((counter(WELCOME), 60))
    with plane.store.write() as transaction:
        stored = transaction.credit_grant("acme", "welcome")
        assert stored is not None
        transaction.put_credit_grants([replace(stored, told=False)])

    plane.refund(1)

    assert "welcome" in plane.told()
    assert plane.lease(counter(WELCOME), 1, used=0, who=BOB).granted == 1


def test_credits_of_several_features_are_named(plane: _Plane) -> None:
    record = sync_pb2.UsageRecord.FromString(burning(1, 5, [(counter(WELCOME), 5)]))
    other = counter_to_message(OVERDRAFT_COUNTER)
    record.burns.append(sync_pb2.CreditBurn(feature="more", counter=other, amount=2))
    record.costs.append(sync_pb2.CreditCost(feature="more", amount=2))
    plane.writer.write(record.SerializeToString(deterministic=True))
    plane.writer.push(plane.store)

    with pytest.raises(InvalidInput) as refused:
        plane.refund()
    assert refused.value.field == "feature"

    assert plane.refund(feature="more").amount == 2
    assert plane.refund(feature="credits").amount == 5
