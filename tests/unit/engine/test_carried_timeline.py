"""What rolls over where the subscription changes: chains follow the timeline.

The limit is 100 a day; what is left carries over for 2 days. Today is 15 March 2026.
"""

from __future__ import annotations

import msgspec
import pytest

from sidecar.domain.company.model import Company, Pause, ScheduledChange, Subscription
from sidecar.domain.time.units import DAY_US
from tests.support.build import (
    NOW_US,
)
from tests.support.inside import Inside
from tests.support.rolling import (
    ANCHOR_US,
    CONTENT,
    TOMORROW_US,
    carried,
    told,
    use,
)


def planned(*changes: ScheduledChange, plan: str = "basic", **fields: object) -> Company:
    subscription = Subscription(plan, ANCHOR_US, changes=changes)
    return Company("acme", subscription=msgspec.structs.replace(subscription, **fields))


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
            0,
            id="reset: nothing is carried to another generation",
        ),
        pytest.param(
            planned(pause=Pause(NOW_US + 1, TOMORROW_US + DAY_US)),
            (60, 0),
            140,
            id="paused: it carries all the same",
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
