"""What rolls over where the subscription changes: chains follow the timeline.

The limit is 100 a day; what is left carries over for 2 days. Today is 15 March 2026.
"""

from __future__ import annotations

import msgspec
import pytest

from sidecar.domain.company.model import (
    Company,
    Override,
    Pause,
    ScheduledChange,
    Subscription,
)
from sidecar.domain.time.units import DAY_US, HOUR_US
from sidecar.domain.time.windows import Alignment, WindowSpec, WindowUnit
from tests.support.build import NOW_US, catalog, metered
from tests.support.inside import Inside
from tests.support.rolling import (
    ANCHOR_US,
    CONTENT,
    TOMORROW_US,
    carried,
    rolling,
    told,
    use,
)


def planned(*changes: ScheduledChange, plan: str = "basic", **fields: object) -> Company:
    subscription = Subscription(plan, ANCHOR_US, changes=changes)
    return Company("acme", subscription=msgspec.structs.replace(subscription, **fields))


def with_bonus(amount: int | None, until_us: int) -> Company:
    limits = () if amount is None else (rolling(amount, None),)
    bonus = Override(metered("calls", *limits), until_us)
    return msgspec.structs.replace(planned(), overrides=(bonus,))


@pytest.mark.parametrize(
    ("acme", "used", "expected"),
    [
        pytest.param(
            planned(ScheduledChange(TOMORROW_US, "plain")),
            (60,),
            0,
            id="to a plan that carries nothing: it may not be used",
        ),
        pytest.param(
            planned(
                ScheduledChange(TOMORROW_US, "plain"),
                ScheduledChange(TOMORROW_US + DAY_US, "basic"),
            ),
            (60, 10),
            0,
            id="and back: a new chain",
        ),
        pytest.param(
            planned(
                ScheduledChange(TOMORROW_US, "plain"),
                ScheduledChange(TOMORROW_US + DAY_US, "basic"),
            ),
            (60, 10, 30),
            70,
            id="and on from there",
        ),
        pytest.param(
            planned(ScheduledChange(TOMORROW_US, "small")),
            (60,),
            40,
            id="to a smaller one: what was left of the larger",
        ),
        pytest.param(
            planned(ScheduledChange(TOMORROW_US, "small")),
            (60, 0),
            30,
            id="and then what is left of the smaller",
        ),
        pytest.param(
            planned(ScheduledChange(TOMORROW_US - 1, "small")),
            (60,),
            0,
            id="within a window: the amount in its last microsecond counts",
        ),
        pytest.param(
            planned(
                ScheduledChange(TOMORROW_US, "free"), ScheduledChange(TOMORROW_US + 1, "small")
            ),
            (60,),
            40,
            id="unlimited in between, but not at the end of a window",
        ),
        pytest.param(
            planned(ScheduledChange(TOMORROW_US, "basic", resets_usage=True)),
            (60,),
            40,
            id="reset at a window's end: what is left goes on in the next generation",
        ),
        pytest.param(
            planned(
                ScheduledChange(NOW_US + HOUR_US, resets_usage=True),
                ScheduledChange(NOW_US + DAY_US - HOUR_US, resets_usage=True),
            ),
            (60, 10),
            190,
            id="reset within windows: what was carried into them is there again",
        ),
        pytest.param(
            with_bonus(None, TOMORROW_US + HOUR_US),
            (60,),
            40,
            id="unlimited for a while: it is there when that has ended",
        ),
        pytest.param(
            with_bonus(5_000, TOMORROW_US + HOUR_US),
            (60,),
            40,
            id="more for a while, that does not roll over: so it is",
        ),
        pytest.param(
            planned(pause=Pause(NOW_US + 1, TOMORROW_US + DAY_US)),
            (60, 0),
            140,
            id="paused: it carries all the same",
        ),
        pytest.param(
            planned(plan="unpaused", pause=Pause(NOW_US + 1, TOMORROW_US + DAY_US)),
            (60, 0),
            0,
            id="paused, where that earns nothing",
        ),
        pytest.param(
            planned(plan="unpaused", pause=Pause(NOW_US + 1, TOMORROW_US - 1)),
            (60, 0),
            140,
            id="paused no longer at the end, where that earns nothing",
        ),
        pytest.param(
            planned(cancel_us=TOMORROW_US - 1), (60,), 0, id="canceled: it ends with the contract"
        ),
    ],
)
def test_a_chain_follows_the_timeline(acme: Company, used: tuple[int, ...], expected: int) -> None:
    sidecar = told(acme=acme)
    use(sidecar, *used)
    assert expected == carried(sidecar)


@pytest.mark.parametrize("authority", [True, False], ids=["alone", "of a plane"])
def test_a_chain_that_the_timeline_shows_to_begin_needs_nobody_to_say_so(authority: bool) -> None:
    """It began to roll over today at noon, with a change of plan: in a window of its own."""
    acme = planned(ScheduledChange(NOW_US, "basic"), plan="plain")
    sidecar = Inside(CONTENT, acme, authority=authority)
    use(sidecar, 30)
    assert 70 == carried(sidecar)


BILLING_DAY = rolling(window=WindowSpec(WindowUnit.DAY, 1, Alignment.ANCHORED))
BILLED = catalog({"basic": [metered("calls", BILLING_DAY)], "plain": [metered("calls")]})
ANEW_US = NOW_US + DAY_US


def anew(*, resets: bool) -> Company:
    """It rolls over since noon; tomorrow at noon counters start anew."""
    return planned(
        ScheduledChange(NOW_US, "basic"),
        ScheduledChange(ANEW_US, resets_usage=resets, moves_anchor=not resets),
        plan="plain",
    )


@pytest.mark.parametrize("authority", [True, False], ids=["alone", "of a plane"])
@pytest.mark.parametrize(
    ("resets", "expected"),
    [pytest.param(True, 70, id="a reset"), pytest.param(False, 45, id="a new billing cycle")],
)
def test_what_was_carried_is_there_in_the_counters_that_start_anew(
    authority: bool, resets: bool, expected: int
) -> None:
    """30 of 100 are used today; tomorrow 25 more, before counters start anew at noon."""
    sidecar = Inside(BILLED, anew(resets=resets), authority=authority)
    use(sidecar, 30)
    sidecar.now_us = ANEW_US - HOUR_US
    assert 70 == carried(sidecar)
    assert sidecar.decide(25).decision.allowed
    sidecar.now_us = ANEW_US
    assert expected == carried(sidecar)
    assert sidecar.decide(100 + expected).decision.allowed
    assert not sidecar.decide(1).decision.allowed


def test_late_usage_is_taken_from_what_a_new_billing_cycle_took_over() -> None:
    sidecar = Inside(BILLED, anew(resets=False))
    use(sidecar, 30)
    sidecar.now_us = ANEW_US
    assert sidecar.decide(10).decision.allowed
    assert 70 == carried(sidecar)
    assert sidecar.decide(25, at_us=ANEW_US - HOUR_US).decision.allowed
    assert 45 == carried(sidecar)
