"""What is told of a balance of credits to who watches: low, exhausted, topped up."""

from __future__ import annotations

from typing import Final

import pytest

from sidecar.directory.balances import BalanceSource
from sidecar.directory.meters import CounterAddress
from sidecar.domain.catalog.model import Feature, FeatureKind, Limit
from sidecar.domain.credits.source_slots import OVERDRAFT_COUNTER
from sidecar.domain.credits.sources import CreditSource, grant_source, overdraft_limit
from sidecar.domain.entitlement.resolve import Entitlement
from sidecar.domain.limits.counters import CounterName, CounterRef
from sidecar.domain.limits.reasons import Reason
from sidecar.domain.limits.usage import QuotaUsage
from sidecar.domain.time.units import DAY_US
from sidecar.domain.time.windows import Window
from sidecar.watch.events import FeatureState, LimitState, changes
from sidecar.watch.states import balance_state
from tests.support.build import NOW_US
from tests.support.burning import CREDITS, one_off, recurring

MARCH: Final = Window(NOW_US - DAY_US, NOW_US + 20 * DAY_US)
APRIL: Final = Window(NOW_US + 20 * DAY_US, NOW_US + 50 * DAY_US)


def monthly(
    used: int, amount: int = 100, window: Window = MARCH
) -> tuple[CreditSource, QuotaUsage]:
    """What recurs each month, and what is used of it."""
    limit = recurring(amount=amount)
    return CreditSource(limit, CounterRef("m", (), window), by_limit=True), _usage(
        limit, used, window
    )


def gift(used: int, amount: int = 30, name: str = "gift") -> tuple[CreditSource, QuotaUsage]:
    source = grant_source(one_off(name, amount).grant)
    return source, _usage(source.limit, used, source.counter.window)


def owed(used: int, overdraft: int = 10) -> tuple[CreditSource, QuotaUsage]:
    limit = overdraft_limit(overdraft)
    source = CreditSource(limit, OVERDRAFT_COUNTER)
    return source, _usage(limit, used, OVERDRAFT_COUNTER.window)


def _usage(limit: Limit, used: int, window: Window) -> QuotaUsage:
    return QuotaUsage(limit, window, used)


def state(*sources: tuple[CreditSource, QuotaUsage]) -> FeatureState:
    """A state of the balance, of which 50 and 20 are low."""
    feature = Feature(CREDITS, FeatureKind.CREDITS)
    entitlement = Entitlement(feature, Reason.ALLOWED, granted=True, low_balance=(50, 20))
    found = [
        (
            BalanceSource(
                source,
                CounterName("acme", CREDITS, source.counter),
                CounterAddress(source.counter, b"", b""),
                None,
            ),
            usage,
        )
        for source, usage in sources
    ]
    limits = tuple(LimitState(usage, 0) for _, usage in sources)
    debt = sum(usage.used for source, usage in sources if source.counter == OVERDRAFT_COUNTER)
    return FeatureState(CREDITS, entitlement, limits=limits, balance=balance_state(found, debt))


def told(before: FeatureState, now: FeatureState) -> list[str]:
    """Events of the balance as short texts; those of its limits are told elsewhere."""
    return [
        f"{event.kind.name} {event.low_balance}".removesuffix(" 0")
        for event in changes(before, now)
        if not event.usages
    ]


@pytest.mark.parametrize(
    ("before", "now", "expected"),
    [
        pytest.param(state(monthly(7)), state(monthly(49)), [], id="enough-is-left"),
        pytest.param(state(monthly(49)), state(monthly(50)), ["LOW_BALANCE 50"], id="low"),
        pytest.param(state(monthly(50)), state(monthly(60)), [], id="told-once"),
        pytest.param(
            state(monthly(10)),
            state(monthly(100)),
            ["LOW_BALANCE 50", "LOW_BALANCE 20", "BALANCE_EXHAUSTED"],
            id="all-at-once",
        ),
        pytest.param(
            state(monthly(60), gift(0)),
            state(monthly(100), gift(5)),
            ["LOW_BALANCE 50"],
            id="a-sum",
        ),
        pytest.param(
            state(monthly(90), owed(0)),
            state(monthly(100), owed(5)),
            [],
            id="an-overdraft-is-left-which-is-no-balance",
        ),
        pytest.param(
            state(monthly(100), owed(5)),
            state(monthly(100), owed(10)),
            ["BALANCE_EXHAUSTED"],
            id="the-overdraft-is-used-up",
        ),
        pytest.param(
            state(monthly(90)), state(monthly(90), gift(0)), ["TOPPED_UP"], id="a-grant-begins"
        ),
        pytest.param(
            state(monthly(10)),
            state(monthly(95), gift(25)),
            ["TOPPED_UP", "LOW_BALANCE 50", "LOW_BALANCE 20"],
            id="topped-up-and-burned-at-once",
        ),
        pytest.param(
            state(monthly(90)),
            state(monthly(90, amount=150)),
            ["TOPPED_UP"],
            id="a-plan-grants-more",
        ),
        pytest.param(
            state(monthly(90)), state(monthly(0, window=APRIL)), [], id="a-new-window-is-a-reset"
        ),
        pytest.param(
            state(monthly(60), gift(0)),
            state(monthly(60)),
            ["LOW_BALANCE 50"],
            id="a-grant-is-over",
        ),
        pytest.param(
            state(monthly(90), owed(0)), state(monthly(90), owed(0, 50)), [], id="more-may-be-owed"
        ),
        pytest.param(state(monthly(60)), state(monthly(10)), [], id="given-back"),
    ],
)
def test_what_is_told(before: FeatureState, now: FeatureState, expected: list[str]) -> None:
    assert expected == told(before, now)


def test_who_watches_from_now_on_is_told_the_state_alone() -> None:
    assert [] == [
        kind for kind in told(FeatureState(CREDITS), state(monthly(100))) if kind != "CHANGED"
    ]
