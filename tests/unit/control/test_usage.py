"""Questions to ledger and counters."""

from __future__ import annotations

import msgspec
import pytest

from sidecar.control.services import apply, usage
from sidecar.control.services.subscriptions import change_subscription
from sidecar.control.services.usage import FeaturesByLimit, LedgerLimitUsage, LedgerUsagePage
from sidecar.control.storage.port import PlaneStore
from sidecar.control.storage.values import IncarnationTally, LineFilter
from sidecar.domain.catalog.model import EntitlementGrant, Limit, Plan
from sidecar.domain.company.subscription_changes import NOW, ResetUsage
from sidecar.domain.errors import NotFound
from sidecar.domain.time.units import DAY_US
from sidecar.domain.time.windows import LIFETIME_WINDOW, WindowSpec, WindowUnit
from tests.unit.control.support import (
    ALICE,
    BOB,
    CATALOG,
    LIFETIME,
    NOW_US,
    TODAY,
    Writer,
    company,
    per_user,
    record,
    set_up,
)

EVER, DAILY = CATALOG.plans[0].entitlements[1].limits


def _push(store: PlaneStore, *records: bytes, incarnation: str = ALICE) -> None:
    writer = Writer(incarnation)
    writer.write(*records)
    writer.push(store)


def test_usage_stands_against_every_limit_in_the_window_of_the_instant(store: PlaneStore) -> None:
    set_up(store, "acme")
    _push(
        store,
        record(5, counters=[LIFETIME, per_user("eve")]),
        record(2, counters=[LIFETIME, per_user("bob")]),
    )
    today = usage.company_usage(store, "acme", "", NOW_US)
    yesterday = usage.company_usage(store, "acme", "tokens", NOW_US - DAY_US)
    ever = LedgerLimitUsage("tokens", EVER, (), LIFETIME_WINDOW, 7)
    expected = [
        ever,
        LedgerLimitUsage("tokens", DAILY, ("bob",), TODAY, 2),
        LedgerLimitUsage("tokens", DAILY, ("eve",), TODAY, 5),
    ]
    tokens = FeaturesByLimit([], ["tokens"], [])
    every = FeaturesByLimit([], ["tokens"], ["calls"])
    assert LedgerUsagePage(expected, None, company_unknown=False, by_limit=every) == today
    assert LedgerUsagePage([ever], None, company_unknown=False, by_limit=tokens) == yesterday


def test_it_is_told_what_has_limits_what_has_none_and_what_is_not_granted(
    store: PlaneStore,
) -> None:
    only_users = EntitlementGrant("tokens", limits=(DAILY,))
    at_once = Limit("at_once", WindowSpec(WindowUnit.REQUEST), 5)
    plans = (
        Plan("pro", entitlements=(EntitlementGrant("sso", enabled=True), only_users)),
        Plan("free", entitlements=(EntitlementGrant("calls", limits=(at_once,)),)),
    )
    catalog = msgspec.structs.replace(CATALOG, plans=plans)
    apply.apply(store, apply.Desired(catalog, (company(), company("bob", "free"))), NOW_US)

    def by_limit(name: str, feature: str = "") -> FeaturesByLimit | None:
        return usage.company_usage(store, name, feature, NOW_US).by_limit

    assert FeaturesByLimit([], ["tokens"], ["calls"]) == by_limit("acme")
    assert FeaturesByLimit(["calls"], [], ["tokens"]) == by_limit("bob")
    assert FeaturesByLimit([], [], ["tokens"]) == by_limit("bob", "tokens")


def test_a_limit_without_usage_stands_at_0(store: PlaneStore) -> None:
    set_up(store, "acme")
    limits = usage.company_usage(store, "acme", "tokens", NOW_US).limits
    assert [LedgerLimitUsage("tokens", EVER, (), LIFETIME_WINDOW, 0)] == limits


def test_a_value_stands_against_its_own_amount(store: PlaneStore) -> None:
    own = msgspec.structs.replace(DAILY, amounts=(("bob", None), ("eve", 500)))
    grant = EntitlementGrant("tokens", limits=(EVER, own))
    sold = msgspec.structs.replace(CATALOG, plans=(Plan("pro", "", (grant,)),))
    apply.apply(store, apply.Desired(sold, (company("acme"),)), NOW_US)
    counters = [[LIFETIME, per_user(user)] for user in ("ann", "bob", "eve")]
    _push(store, *(record(5, counters=names) for names in counters))
    told = usage.company_usage(store, "acme", "tokens", NOW_US).limits[1:]
    assert {("ann",): 100, ("bob",): None, ("eve",): 500} == {
        found.values: found.limit.amount for found in told
    }


def test_usage_starts_at_0_after_a_reset_and_stays_known_before_it(store: PlaneStore) -> None:
    set_up(store, "acme")
    _push(store, record(5))
    change_subscription(store, "acme", ResetUsage(), NOW, NOW_US + 1)
    before = usage.company_usage(store, "acme", "tokens", NOW_US).limits
    after = usage.company_usage(store, "acme", "tokens", NOW_US + 1).limits
    assert [5] == [found.used for found in before]
    assert [0] == [found.used for found in after]


@pytest.mark.parametrize(
    ("company", "feature", "field"),
    [("nobody", "", "company"), ("acme", "unheard-of", "feature")],
)
def test_usage_of_what_is_unknown_is_not_found(
    store: PlaneStore, company: str, feature: str, field: str
) -> None:
    set_up(store, "acme")
    with pytest.raises(NotFound) as refused:
        usage.company_usage(store, company, feature, NOW_US)
    assert field == refused.value.field


def test_sums_say_when_they_are_cut(store: PlaneStore) -> None:
    _push(store, record(1), record(2, feature="calls"))
    wanted = LineFilter("acme")
    all_sums, whole = usage.sum_usage(store, wanted, False, False, 2)
    cut_sums, cut = usage.sum_usage(store, wanted, False, False, 1)
    assert (2, False) == (len(all_sums), whole)
    assert (all_sums[:1], True) == (cut_sums, cut)


def test_lines_page_to_the_end_while_new_ones_come(store: PlaneStore) -> None:
    _push(store, *(record(at, at_us=NOW_US + at) for at in range(5)))
    seen, position = [], None
    for _ in range(3):
        lines, position = usage.list_lines(store, LineFilter("acme"), position, 2)
        seen += [line.quantity for line in lines]
        incarnation = f"00000000-0000-0000-0000-00000000000{len(seen)}"
        _push(store, record(99, at_us=NOW_US - 1), incarnation=incarnation)
    assert [0, 1, 2, 3, 4] == seen
    assert position is None


def test_an_incarnation_is_looked_up_with_its_sums(store: PlaneStore) -> None:
    _push(store, record(5), record(6, feature="calls"))
    known, tallies = usage.look_up_incarnation(store, ALICE)
    assert known is not None
    assert (2, False) == (known.watermark, known.fenced)
    assert [IncarnationTally("calls", 1, 6), IncarnationTally("tokens", 1, 5)] == tallies
    assert (None, []) == usage.look_up_incarnation(store, BOB)


@pytest.mark.parametrize("size", [1, 2, 3, 7, 8, 9, 100])
def test_usage_comes_in_pages_that_have_each_limit_once(store: PlaneStore, size: int) -> None:
    writer = Writer(ALICE)
    set_up(store, "acme")
    users = [per_user(f"user {user}") for user in range(7)]
    writer.write(*(record(1, counters=[LIFETIME, user]) for user in users))
    writer.push(store)
    whole = usage.company_usage(store, "acme", "", NOW_US).limits
    assert [("ever", 7), *[("daily", 1)] * 7] == [(found.limit.id, found.used) for found in whole]
    page = usage.company_usage(store, "acme", "", NOW_US, size)
    found = [*page.limits]
    while page.after is not None:
        assert len(found) % size == 0
        page = usage.company_usage(store, "acme", "", page.after.at_us, size, page.after)
        found += page.limits
    assert whole == found


def test_one_features_users_hide_no_other_features_company_wide_limit(store: PlaneStore) -> None:
    tokens = CATALOG.plans[0].entitlements[1]
    calls = msgspec.structs.replace(tokens, feature="calls")
    plan = msgspec.structs.replace(CATALOG.plans[0], entitlements=(calls, tokens))
    content = msgspec.structs.replace(CATALOG, plans=(plan,))
    apply.apply(store, apply.Desired(content, (company(),)), NOW_US)
    writer = Writer(ALICE)
    users = [per_user(f"user {user}") for user in range(5)]
    writer.write(*(record(1, feature="calls", counters=[LIFETIME, user]) for user in users))
    writer.write(record(9, feature="tokens", counters=[LIFETIME]))
    writer.push(store)
    page = usage.company_usage(store, "acme", "", NOW_US, 4)
    assert [("calls", "ever", 5), ("tokens", "ever", 9), *[("calls", "daily", 1)] * 2] == [
        (one.feature, one.limit.id, one.used) for one in page.limits
    ]
    assert page.after is not None
