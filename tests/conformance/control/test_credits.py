"""What every database behind the control plane has to do about credits."""

from __future__ import annotations

from msgspec.structs import replace

from sidecar.control.storage.credit_values import (
    CreditEntry,
    CreditEntryKind,
    CreditRepayment,
    EntryFilter,
    EntryPart,
    GrantFilter,
    GrantPlace,
    StoredGrant,
)
from sidecar.control.storage.port import PlaneStore
from sidecar.control.storage.values import CORRECTIONS, CounterKey
from sidecar.domain.bounds import FOREVER_US
from sidecar.domain.credits.grants import CreditGrant, GrantKind
from sidecar.domain.credits.source_slots import OVERDRAFT_COUNTER, counter_of_grant
from tests.unit.control.support import ALICE, BOB, NOW_US, Writer, record, set_up

PROMO = GrantKind.PROMOTIONAL


def _grant(
    id_: str,
    priority: int = 0,
    kind: GrantKind = PROMO,
    expires_us: int = FOREVER_US,
    feature: str = "credits",
    company: str = "acme",
) -> StoredGrant:
    grant = CreditGrant(id_, 100, priority, kind, NOW_US, expires_us)
    return StoredGrant(company, feature, grant, NOW_US, reason="welcome")


def _put(store: PlaneStore, *grants: StoredGrant) -> None:
    with store.write() as transaction:
        transaction.put_credit_grants(grants)


def _place(stored: StoredGrant) -> GrantPlace:
    grant = stored.grant
    paid = grant.kind is GrantKind.PAID
    return GrantPlace(
        stored.feature, grant.priority, grant.expires_us, paid, grant.effective_us, grant.id
    )


def test_a_grant_is_found_as_it_was_put_last(store: PlaneStore) -> None:
    _put(store, _grant("welcome"), _grant("welcome", company="other"))
    voided = replace(_grant("welcome"), voided_us=NOW_US + 1, void_reason="fraud", told=False)
    _put(store, voided)

    with store.read() as transaction:
        assert transaction.credit_grant("acme", "welcome") == voided
        assert transaction.credit_grant("acme", "Welcome") is None
        assert transaction.told_credit_grants("acme") == []
        assert transaction.told_credit_grants("other") == [_grant("welcome", company="other")]


def test_grants_come_by_feature_and_in_burn_order_page_by_page(store: PlaneStore) -> None:
    ordered = [
        _grant("z", expires_us=NOW_US + 5),
        _grant("b"),
        _grant("c"),
        _grant("a", kind=GrantKind.PAID),
        _grant("0", priority=1),
        _grant("1", feature="other"),
    ]
    _put(store, *reversed(ordered), _grant("1", company="bcme"))

    wanted, found, after = GrantFilter("acme"), [], None
    with store.read() as transaction:
        while page := transaction.credit_grants(wanted, after, 2):
            found += page
            after = _place(page[-1])

    assert found == ordered


def test_grants_that_are_over_are_left_out_where_asked(store: PlaneStore) -> None:
    voided = replace(_grant("voided"), voided_us=NOW_US)
    _put(store, _grant("spent", expires_us=NOW_US + 1), voided, _grant("open"))

    with store.read() as transaction:
        at_us = NOW_US + 1
        found = transaction.credit_grants(GrantFilter("acme", "credits", at_us), None, 9)
        expired = transaction.expired_credit_grants(EntryFilter("acme"), (0, ""), 9)
        elsewhere = transaction.expired_credit_grants(EntryFilter("acme", "x"), (0, ""), 9)

    assert [each.grant.id for each in found] == ["open"]
    assert [each.grant.id for each in expired] == ["spent"]
    assert elsewhere == []


def test_entries_come_in_the_order_of_their_times(store: PlaneStore) -> None:
    part = EntryPart(OVERDRAFT_COUNTER, 5)
    later = CreditEntry("acme", "credits", 20, CreditEntryKind.REPAID, (part,))
    refund = CreditEntry(
        "acme", "credits", 10, CreditEntryKind.REFUNDED, (part,), "", ALICE, 3, "sorry", "r-1"
    )
    with store.write() as transaction:
        transaction.put_credit_entries([later, refund, replace(later, company="other")])
    with store.read() as transaction:
        found = transaction.credit_entries(EntryFilter("acme"), (0, 0), 9)
        of_record = transaction.credit_entries_of("acme", ALICE, 3)
        of_other = transaction.credit_entries_of("acme", BOB, 3)
        behind = transaction.credit_entries(EntryFilter("acme"), (10, found[0].number), 9)

    assert [replace(each, number=0) for each in found] == [refund, later]
    assert of_record == [found[0]]
    assert behind == [found[1]]
    assert of_other == []
    with store.read() as transaction:
        assert transaction.credit_request("acme", "r-1") == found[0]
        assert transaction.credit_request("acme", "") is None
        assert transaction.credit_request("other", "r-1") is None


def test_a_line_is_found_by_its_record(store: PlaneStore) -> None:
    set_up(store, "acme", "other")
    writer = Writer(ALICE)
    writer.write(record(5), record(7))
    writer.push(store)

    with store.read() as transaction:
        line = transaction.line_of_record("acme", ALICE, 2)
        assert line is not None
        assert line.quantity == 7
        assert transaction.line_of_record("acme", ALICE, 3) is None
        assert transaction.line_of_record("other", ALICE, 2) is None


def test_losses_of_a_counter_add_up(store: PlaneStore) -> None:
    key = _grant("a").key
    with store.write() as transaction:
        transaction.add_credit_losses({key: 2})
        transaction.add_credit_losses({key: 3})
        assert transaction.credit_losses([key, _grant("b").key]) == {key: 5}


def test_the_last_repayments_are_remembered(store: PlaneStore) -> None:
    counters = [counter_of_grant(_grant(id_).grant) for id_ in "abc"]
    repayments = [CreditRepayment(counter, 5) for counter in counters]
    with store.write() as transaction:
        transaction.put_credit_repayments("acme", "credits", repayments, most=2)
        transaction.put_credit_repayments("other", "credits", repayments[:1], most=2)
        last, before = transaction.credit_repayments("acme", "credits", 9)
        assert [last.counter, before.counter] == [counters[2], counters[1]]
        transaction.set_credit_repayments({last.number: 0, before.number: 1})
        assert transaction.credit_repayments("acme", "credits", 9) == [replace(before, amount=1)]


def test_balances_that_owe_are_found(store: PlaneStore) -> None:
    debts = {CounterKey(name, "credits", OVERDRAFT_COUNTER): 5 for name in ("a", "b", "c")}
    with store.write() as transaction:
        transaction.add_to_counters(CORRECTIONS, debts, 1)
        transaction.add_to_counters(
            CORRECTIONS, {CounterKey("b", "credits", OVERDRAFT_COUNTER): -5}, 2
        )
        assert transaction.credit_debts(("", ""), 9) == [("a", "credits"), ("c", "credits")]
        assert transaction.credit_debts(("a", "credits"), 9) == [("c", "credits")]
