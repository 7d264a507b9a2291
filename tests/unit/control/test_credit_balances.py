"""What a company has of credits: one-off grants, limits in their windows, and debts."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from sidecar.control.services import apply
from sidecar.control.services.apply import Desired
from sidecar.control.services.credit_accounts import SourceAccount
from sidecar.control.services.credit_balances import get_balances
from sidecar.control.services.credit_debts import balances_in_debt, repay_debts
from sidecar.control.storage.credit_values import CreditEntryKind, EntryFilter
from sidecar.control.storage.port import PlaneStore
from sidecar.domain.credits.grants import GrantKind
from sidecar.domain.errors import InvalidInput, NotFound
from sidecar.domain.time.units import DAY_US, HOUR_US
from tests.unit.control.credit_plane import (
    CATALOG,
    DAILY,
    DAILY_COUNTER,
    CreditPlane,
    counter,
    grant,
)
from tests.unit.control.support import NOW_US

WELCOME = grant()
_PRO = replace(
    CATALOG.plans[0],
    entitlements=(replace(CATALOG.plans[0].entitlements[0], limits=(replace(DAILY, amount=40),)),),
)
LOWERED = replace(CATALOG, plans=(_PRO, *CATALOG.plans[1:]))
"""Of what recurs daily 40 are left of 100."""


@pytest.fixture
def plane(store: PlaneStore) -> CreditPlane:
    return CreditPlane(store, "pro")


def test_a_balance_is_what_recurs_and_what_was_granted(plane: CreditPlane) -> None:
    plane.grant(grant("last", 7, priority=9, kind=GrantKind.PAID))
    plane.grant(WELCOME)
    plane.burn(DAILY_COUNTER, 40)
    plane.lease(DAILY_COUNTER, 10, used=40)

    found = plane.balance()

    assert [held.source.limit.id for held in found.sources] == ["welcome", "daily", "last"]
    assert found.sources[1].account == SourceAccount(100, burned=40, leased=10, left=50)
    assert (found.left, found.leased, found.balance) == (1_057, 10, 1_067)
    assert (found.debt, found.overdraft) == (0, 50)


def test_a_source_of_which_too_much_is_used_takes_nothing_of_others(plane: CreditPlane) -> None:
    plane.grant(WELCOME)
    plane.lease(DAILY_COUNTER, 100)
    plane.burn(DAILY_COUNTER, 90)
    apply.apply(plane.store, Desired(LOWERED), plane.now_us)

    found = plane.balance()

    assert found.sources[1].account.overcommitted == 60
    assert (found.left, found.leased, found.balance) == (1_000, 10, 1_000)


def test_what_is_leased_of_a_lowered_amount_is_left_as_far_as_there_is_some(
    plane: CreditPlane,
) -> None:
    plane.lease(DAILY_COUNTER, 100)
    plane.burn(DAILY_COUNTER, 10)
    apply.apply(plane.store, Desired(LOWERED), plane.now_us)
    assert plane.balance().balance == 30


def test_what_recurs_is_there_anew_in_the_next_window(plane: CreditPlane) -> None:
    plane.burn(DAILY_COUNTER, 100)
    assert plane.balance().balance == 0

    plane.now_us += DAY_US

    assert plane.balance().balance == 100


def test_a_company_has_balances_of_what_it_has_something_of(plane: CreditPlane) -> None:
    assert [each.feature for each in get_balances(plane.store, "acme", "", NOW_US)] == ["credits"]

    plane.grant(WELCOME, feature="more")

    found = get_balances(plane.store, "acme", "", NOW_US)
    assert [(each.feature, each.balance) for each in found] == [("credits", 100), ("more", 1_000)]


def test_balances_are_of_companies_and_features_that_are_there(plane: CreditPlane) -> None:
    with pytest.raises(NotFound, match="company"):
        get_balances(plane.store, "nobody", "", NOW_US)
    with pytest.raises(NotFound, match="feature"):
        get_balances(plane.store, "acme", "credit", NOW_US)
    with pytest.raises(InvalidInput, match="feature"):
        get_balances(plane.store, "acme", "tokens", NOW_US)


def test_a_grant_repays_a_debt_at_once(plane: CreditPlane) -> None:
    plane.burn(DAILY_COUNTER, 100)
    plane.owe(30)
    assert plane.balance().balance == -30

    done = plane.grant(WELCOME)

    assert (done.repaid, done.account) == (30, SourceAccount(1_000, burned=30, left=970))
    assert (plane.balance().debt, plane.balance().balance) == (0, 970)
    with plane.store.read() as transaction:
        entries = transaction.credit_entries(EntryFilter("acme"), (0, 0), 9)
        (repayment,) = transaction.credit_repayments("acme", "credits", 9)
    kinds = [CreditEntryKind.GRANTED, CreditEntryKind.REPAID]
    assert [entry.kind for entry in entries] == kinds
    assert (repayment.counter, repayment.amount) == (counter(WELCOME), 30)


def test_a_debt_is_repaid_in_burn_order_and_of_no_lease(plane: CreditPlane) -> None:
    plane.grant(grant("first", 20))
    plane.lease(counter(grant("first", 20)), 15)
    plane.burn(DAILY_COUNTER, 95)
    plane.owe(30)

    assert plane.grant(grant("later", 100, priority=9)).repaid == 30

    accounts = plane.accounts()
    assert accounts["first"] == SourceAccount(20, burned=5, leased=15)
    assert accounts["later"] == SourceAccount(100, burned=20, left=80)
    assert plane.balance().debt == 0


def test_a_grant_that_starts_later_repays_then(plane: CreditPlane) -> None:
    plane.burn(DAILY_COUNTER, 100)
    plane.owe(30)
    later = grant(effective_us=NOW_US + HOUR_US)
    assert plane.grant(later).repaid == 0
    debts = balances_in_debt(plane.store, ("", ""))
    assert debts == [("acme", "credits")]
    assert not repay_debts(plane.store, debts, plane.now_us).changed

    plane.now_us += HOUR_US
    assert 2 == len(repay_debts(plane.store, debts, plane.now_us).changed)

    assert plane.accounts()["welcome"].burned == 30
    assert plane.balance().debt == 0
    assert balances_in_debt(plane.store, ("", "")) == []
